"""What the store has of a secret."""

from hashlib import sha256


def digest(secret: str) -> bytes:
    """Its SHA-256. Secrets here are long and random, so they need no salt. The text may be anything that a stranger
    sends."""
    return sha256(secret.encode(errors="surrogatepass")).digest()
