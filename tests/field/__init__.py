"""Mirrors `lkhub/field`."""
