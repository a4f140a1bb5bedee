"""`lkhub render kubernetes`: manifests for kustomize, and a Helm chart that makes the same objects."""
