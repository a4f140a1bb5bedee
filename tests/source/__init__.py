"""Mirrors `lkhub/source`."""
