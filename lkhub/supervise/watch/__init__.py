"""The watchers: what the supervisor checks again and again."""
