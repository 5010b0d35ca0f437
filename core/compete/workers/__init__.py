"""A process joins a run that another one drives, on this or another machine, and trains members of it."""
