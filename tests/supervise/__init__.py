"""Mirrors `lkhub/supervise`."""
