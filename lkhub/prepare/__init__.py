"""A spec and this machine → all that a hub needs, in memory."""
