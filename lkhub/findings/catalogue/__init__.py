"""Every code that a finding can have, one subject a file. Pure."""
