"""Files in which applications keep the hub's URL and key: a text → the same text with other values (pure)."""
