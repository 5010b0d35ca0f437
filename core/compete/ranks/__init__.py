"""One member over several devices: a process (rank) for each, and what these exchange."""
