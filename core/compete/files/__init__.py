"""The bytes behind an image path: files, archives, slices, and the templates that paths are made from."""
