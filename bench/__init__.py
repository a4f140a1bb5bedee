"""What lkhub costs and gains beside what a user would run instead. Run by scripts/bench."""
