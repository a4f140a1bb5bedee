"""What the operator wants: the text of `hub.yaml` and its typed form. Pure."""
