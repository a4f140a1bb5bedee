"""Parts that tests of a real hub share."""
