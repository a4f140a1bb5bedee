"""What a firewall has to let through, and whether it does. Pure."""
