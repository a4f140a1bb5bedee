"""Every code that a finding can have, one file for each subject. Pure."""
