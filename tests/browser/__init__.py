"""Mirrors `lkhub/browser`."""
