"""The only code that touches this machine: files, sockets, processes, addresses."""
