"""Mirrors `lkhub/render/proxy`."""
