"""Mirrors `lkhub/cli/shared`."""
