"""From a spec to all that makes its hub a service of this machine: judged whole before anything is changed."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory

from dotenv import dotenv_values

from lkhub.errors import InputError
from lkhub.host.files import read_input
from lkhub.host.system_user import can_read
from lkhub.plan.model import Plan
from lkhub.plan.service import ENVIRONMENT, FOLDER, INSTALLED, USER
from lkhub.prepare.hub import plan_hub, prepare_hub
from lkhub.render.files import RenderedFile
from lkhub.render.targets.systemd import render_environment, render_systemd


@dataclass(frozen=True)
class PreparedService:
    """What is put in place: the spec's text, the unit, and the text of the file with the variables that the spec refers
    to, "" where it refers to none."""

    plan: Plan
    spec: str = field(repr=False)
    unit: RenderedFile
    environment: str = field(repr=False)


def prepare_service(source: str, environ: Mapping[str, str]) -> PreparedService:
    """Read and judge the spec at this path, as root. `environ` may have the variables that it refers to; those that an
    earlier installation has kept need not be given again. Raises InputError with everything that is wrong."""
    if not os.path.exists(source):
        hints = ("`lkhub init` writes a hub.yaml", "--spec FILE names one")
        raise InputError("there is no spec to install", hints=hints)
    variables = {**_read_kept(), **environ}
    with TemporaryDirectory(prefix="lkhub-") as state:
        # As root, who can read the secrets, and in a folder of its own, which it may fill with files of root.
        prepare_hub(source, state, variables)
    plan, _ = plan_hub(source, INSTALLED.state, INSTALLED)
    if problems := [*_find_problems(plan)]:
        raise InputError("\n".join([*problems, "nothing was changed"]))
    named = {secret.variable: variables[secret.variable] for secret in plan.secrets if secret.variable}
    return PreparedService(plan, read_input(source).decode(), render_systemd(plan), render_environment(named))


def _find_problems(plan: Plan) -> Iterator[str]:
    files = {secret.name: secret.file for secret in plan.secrets if secret.file}
    tls = plan.edge.tls if plan.edge else None
    read = {"tls.cert": tls.cert, "tls.key": tls.key} if tls and tls.cert else {}
    for key, path in (files | read).items():
        if not os.path.isfile(path):
            yield f"{key}: there is no file {path}; the spec goes to {FOLDER}, so write an absolute path"
        elif key in read and not can_read(USER, path):
            allow = f"setfacl --modify u:{USER}:r {path}"
            yield f"{key}: the service's user {USER} can't read {path}; `{allow}` lets it, for folders above with :x"


def _read_kept() -> dict[str, str]:
    if not os.path.exists(ENVIRONMENT):
        return {}
    return {name: value for name, value in dotenv_values(ENVIRONMENT, interpolate=False).items() if value is not None}
