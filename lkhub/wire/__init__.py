"""Messages between processes of lkhub: typed, with a version."""
