"""TOML files: read with line numbers, slips of the pen, overrides, the gallery, and which table has which kind."""
