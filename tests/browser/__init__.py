"""Tests with Chromium."""
