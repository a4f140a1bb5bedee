"""Mirrors `lkhub/plan`."""
