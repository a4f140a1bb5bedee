"""lkhub: a private, verified LiveKit from one spec and one command."""

__version__ = "0.1.0"
