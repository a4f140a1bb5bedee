"""Mirrors `lkhub/hub`."""
