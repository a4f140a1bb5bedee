"""Who asks for a token: the modes of `access`, each of which finds its own callers."""
