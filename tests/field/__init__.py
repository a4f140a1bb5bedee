"""Reports of self-hosters, rebuilt with real parts."""
