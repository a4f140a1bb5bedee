"""Rooms with presets: who sits where in rooms with a capacity, and what rooms of others' tokens are like."""
