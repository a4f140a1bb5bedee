"""The address of the hub to which the OpenID provider leads back."""

CALLBACK = "/oidc/callback"
"""Registered at the provider as https://HUB/oidc/callback."""
