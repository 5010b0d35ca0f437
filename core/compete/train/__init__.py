"""Train one member: its parts, its progress, the loop and its checkpoints."""
