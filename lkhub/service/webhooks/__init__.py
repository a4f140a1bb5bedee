"""LiveKit's webhooks: taken from media, kept, and passed on to applications."""
