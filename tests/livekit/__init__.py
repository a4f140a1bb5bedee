"""Mirrors `lkhub/livekit`."""
