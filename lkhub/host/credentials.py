"""Secrets that the service manager passes on from files that only root may read: credentials of systemd.exec(5)."""

import os


def find_credential(name: str) -> str | None:
    """The absolute path of the credential of this name; None where the service manager gave none."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = os.path.join(folder, name) if folder else ""
    return path if path and os.path.isfile(path) else None
