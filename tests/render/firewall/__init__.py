"""Mirrors `lkhub/render/firewall`."""
