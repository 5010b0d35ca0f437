"""Where a path leads: a disk, a store behind a URL, a tar in it, tar shards."""
