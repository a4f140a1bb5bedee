"""Mirrors `lkhub/bare`."""
