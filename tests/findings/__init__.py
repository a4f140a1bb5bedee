"""Mirrors `lkhub/findings`."""
