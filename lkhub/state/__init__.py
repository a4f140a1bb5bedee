"""The hub's records on disk: one typed document a file."""
