"""The ASGI application: token endpoint, health, and the web application's files."""
