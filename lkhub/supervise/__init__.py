"""The hub's processes: start, watch, restart, adopt, stop."""
