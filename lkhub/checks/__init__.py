"""Facts → findings, one subject a file. Pure."""
