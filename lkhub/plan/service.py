"""Where a hub that is a service of its machine has its files: what `lkhub install` makes, and what units refer to."""

from lkhub.plan.installation import Installation

UNIT = "lkhub.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"

FOLDER = "/etc/lkhub"
SPEC = f"{FOLDER}/hub.yaml"

ENVIRONMENT = f"{FOLDER}/lkhub.env"
"""The variables that the spec refers to, `NAME=VALUE`, for root alone: systemd reads them."""

PROGRAMS = "/opt/lkhub"
"""One folder for each installed version, and the link `current` to the one that runs."""

CURRENT = f"{PROGRAMS}/current"

COMMAND = "/usr/local/bin/lkhub"
"""A link to the program, for root's shell."""

USER = "lkhub"

HIDDEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108
"""Folders that the service does not see: ProtectHome and PrivateTmp of its unit."""

INSTALLED = Installation(
    engine=f"{CURRENT}/bin/lkhub-engine",
    python=f"{CURRENT}/bin/python",
    state="/var/lib/lkhub",
    folder=FOLDER,
    user=USER,
)
"""The installation of such a hub."""
