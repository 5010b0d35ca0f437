"""What a notebook, a script or `compete predict` does with a whole run."""
