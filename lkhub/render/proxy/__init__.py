"""Configurations for a proxy in front of the hub. Pure."""
