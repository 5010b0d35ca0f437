"""The submission file: checked against the sample, written, read back."""
