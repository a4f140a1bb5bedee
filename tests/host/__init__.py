"""Mirrors `lkhub/host`."""
