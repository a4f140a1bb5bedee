"""Tests of rooms with presets."""
