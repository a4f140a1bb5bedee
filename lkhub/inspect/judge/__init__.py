"""Judges: what a reader has found → findings, one subject a file."""
