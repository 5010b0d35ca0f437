"""Rows and pixels: files and archives, decoding, the image cache, loaders, columns, folds and row checks."""
