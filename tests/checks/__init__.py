"""Mirrors `lkhub/checks`."""
