"""Tests of real hubs."""
