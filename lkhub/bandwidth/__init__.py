"""How much bandwidth rooms of a given shape need (pure)."""
