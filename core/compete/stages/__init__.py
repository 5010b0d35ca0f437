"""The stages of a run, and the runner that calls them in order."""
