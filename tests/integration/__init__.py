"""Mirrors `lkhub/integration`."""
