"""The command line. May use everything; nothing imports it."""
