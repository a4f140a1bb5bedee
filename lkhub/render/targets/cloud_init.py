"""`lkhub render cloud-init`: user data with which a new server of Debian or Ubuntu becomes a hub at its first boot."""

from lkhub import __version__
from lkhub.errors import InputError
from lkhub.plan.model import Plan
from lkhub.plan.service import FOLDER, INSTALLED, SPEC, USER
from lkhub.render.files import RenderedFile
from lkhub.render.targets.target import Given, Target
from lkhub.render.yaml_text import dump_text
from lkhub.source.path import dotted

SETUP = "/opt/lkhub-setup"
"""The environment with the lkhub that `lkhub install` makes a copy of."""

USER_DATA = f"""\
#cloud-config
# Written by `lkhub render cloud-init`, for Debian 12, Ubuntu 24.04 and later.
package_update: true
packages: [python3, python3-venv]
write_files:
  - path: {SPEC}
    permissions: "0640"
    content: {{spec}}runcmd:
  - |
    set -e
    python3 -m venv {SETUP}
    {SETUP}/bin/pip install 'lkhub{{extras}}=={__version__}'
{{install}}"""

# What follows `runcmd` runs when the first boot is nearly over, and its output goes to this file.
INSTALL = f"""\
    # Exits 1 where calls do not get through; /var/log/cloud-init-output.log has what it says.
    {SETUP}/bin/lkhub install
"""

LATER = f"""\
    # What the spec refers to is not on a new machine: {{missing}}.
    # Once it is, type this as root:
{{join}}    #   {{variables}}{SETUP}/bin/lkhub install
{{allow}}"""

# An auth key would join by itself, and every program of a server can read its user data.
JOIN = """\
    #   tailscale up
"""

ALLOW = f"""\
    # and, for its certificate, which the hub waits for:
    #   tailscale set --operator={USER}
"""


def render_cloud_init(plan: Plan, spec: str) -> RenderedFile:
    """The user data of a hub. Raises InputError where the spec holds secrets: every program of a server can read its
    user data, and so can whoever may look at the server in the provider's console."""
    if plan.written_out:
        raise InputError(
            f"user data are no place for the secrets in the spec: {', '.join(map(dotted, plan.written_out))}",
            hints=(f"write {{file: {FOLDER}/NAME.secret}} or {{env: NAME}} there; the rendered file says what to do",),
        )
    text = spec.replace("\r\n", "\n").removeprefix("\ufeff").rstrip("\n") + "\n"
    extras = "[agents]" if plan.agents else ""
    user_data = USER_DATA.format(spec=dump_text(text, 4), install=_describe_install(plan), extras=extras)
    return RenderedFile("user-data", user_data, 0o644)


def _describe_install(plan: Plan) -> str:
    tls = plan.edge.tls if plan.edge else None
    files = [
        *(secret.file for secret in plan.secrets if secret.file),
        *((tls.cert, tls.key) if tls and tls.cert else ()),
        *(agent.project for agent in plan.agents),
        *(site.build.project if site.build else site.root for site in (plan.edge.sites if plan.edge else ())),
    ]
    variables = sorted({secret.variable for secret in plan.secrets if secret.variable})
    tailnet = ["Tailscale, logged in"] if tls and tls.mode == "tailscale" else []
    if not files and not variables and not tailnet:
        return INSTALL
    return LATER.format(
        missing=", ".join([*files, *variables, *tailnet]),
        join=JOIN if tailnet else "",
        allow=ALLOW if tailnet else "",
        variables="".join(f"{name}=… " for name in variables),
    )


def _render(plan: Plan, given: Given, _: str | None) -> tuple[RenderedFile, ...]:
    return (render_cloud_init(plan, given.spec.decode()),)


CLOUD_INIT = Target(
    "cloud-init",
    "user data with which a new server of Debian or Ubuntu becomes a hub that starts with it.",
    _render,
    installation=INSTALLED,
    elsewhere=True,
    starts=True,
)
