"""LiveKit's own interface: tokens, rooms."""
