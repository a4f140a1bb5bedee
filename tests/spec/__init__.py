"""Mirrors `lkhub/spec`."""
