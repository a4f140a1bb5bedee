"""Turns facts into findings, one file for each subject. Pure."""
