"""Benchmarks of lkhub beside the programs that a user would run instead. Run by scripts/bench."""
