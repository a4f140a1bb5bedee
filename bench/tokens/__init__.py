"""Token servers that an application's author would write instead; each only signs what it is asked for."""
