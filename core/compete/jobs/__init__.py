"""What processes that share a run tell each other: jobs, events, and which member each of them trains."""
