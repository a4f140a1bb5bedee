"""Mirrors `lkhub/kit`."""
