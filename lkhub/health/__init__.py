"""Diagnosis: what was proved, what is wrong, why, and what to type."""
