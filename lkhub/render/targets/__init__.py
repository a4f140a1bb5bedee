"""What `lkhub render` writes for people and for other machines: one target a file. Pure."""
