"""Findings: what is wrong, as data. Pure."""
