"""What is known of a hub, gathered and verified: for commands, the service and the dashboard."""
