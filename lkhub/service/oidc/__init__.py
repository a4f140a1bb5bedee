"""OpenID Connect: what the provider publishes, which of its tokens count, and the login of the web application."""
