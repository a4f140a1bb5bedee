"""What the supervisor looks at again and again."""
