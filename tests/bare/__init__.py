"""A machine that has only Python."""
