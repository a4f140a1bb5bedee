"""Mirrors `lkhub/health`."""
