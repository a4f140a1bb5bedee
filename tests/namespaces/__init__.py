"""Mirrors `lkhub/namespaces`."""
