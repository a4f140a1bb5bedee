"""Mirrors `lkhub/cli`."""
