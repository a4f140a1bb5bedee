"""Mirrors `lkhub/render/targets`."""
