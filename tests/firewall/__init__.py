"""Mirrors `lkhub/firewall`."""
