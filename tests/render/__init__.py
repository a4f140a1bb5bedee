"""Mirrors `lkhub/render`."""
