"""What is wrong, as data. Pure."""
