"""The database of the application service: API keys, invites, seats, the audit log, webhooks."""
