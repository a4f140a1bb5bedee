"""Mirrors `lkhub/service`."""
