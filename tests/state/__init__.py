"""Mirrors `lkhub/state`."""
