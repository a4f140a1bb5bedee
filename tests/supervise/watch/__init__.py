"""Mirrors `lkhub/supervise/watch`."""
