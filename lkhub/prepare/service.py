"""From a spec to all that makes its hub a service: judged whole before anything is changed."""

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from dotenv import dotenv_values

from lkhub.errors import InputError
from lkhub.host.files import read_input, write_private
from lkhub.host.keyfile import dump_keys
from lkhub.host.system_user import can_execute, can_read, check_system_user, describe_useradd, has_user
from lkhub.host.temporary import temporary_folder
from lkhub.plan.model import Plan
from lkhub.plan.paths import StatePaths
from lkhub.plan.service import Service
from lkhub.prepare.hub import plan_installed, prepare_hub
from lkhub.prepare.managed_keys import read_used_keys
from lkhub.render.files import RenderedFile
from lkhub.render.targets.agent_units import render_agent_units
from lkhub.render.targets.systemd import render_environment, render_systemd
from lkhub.spec.load import load_spec

# Its folders are for root alone, and links in `live` lead to the files in `archive`.
CERTBOT = "/etc/letsencrypt"


@dataclass(frozen=True)
class PreparedService:
    """What is put in place: the spec's text, the unit, those of `agents`, and the values of the variables that the spec
    refers to. `uv` is the program that installs the hub's agents, "" where they need none."""

    plan: Plan
    spec: str = field(repr=False)
    unit: RenderedFile
    agents: tuple[RenderedFile, ...]
    variables: Mapping[str, str] = field(repr=False)
    uv: str = ""

    @property
    def environment(self) -> str:
        """The text of the file with the variables; "" where there are none."""
        return render_environment(self.variables)


def prepare_service(source: str, environ: Mapping[str, str], service: Service) -> PreparedService:
    """Read and judge the spec at this path, as the user who makes it a service. `environ` may have the variables that
    it refers to; those that an earlier installation has kept need not be given again. Raises InputError with everything
    that is wrong."""
    if not service.of_user:
        check_system_user(service.installation.user)
    if not os.path.exists(source):
        hints = ("`lkhub init` writes a hub.yaml", "--spec FILE names one")
        raise InputError("there is no spec to install", hints=hints)
    variables = {**_read_kept(service), **environ}
    with temporary_folder("lkhub-install-") as state:
        # Root can read the secrets. In a folder of its own, which it may fill with files of root; but the spec may name
        # one of the keys that the hub has made.
        if keys := read_used_keys(service.installation.paths, lambda: load_spec(read_input(source), source).spec):
            write_private(StatePaths(state).managed_keys, dump_keys(keys))
        hub = prepare_hub(source, state, variables)
    plan = plan_installed(hub, service.installation)
    if problems := [*_find_problems(plan, service)]:
        raise InputError("\n".join([*problems, "nothing was changed"]))
    named = {secret.variable: variables[secret.variable] for secret in plan.secrets if secret.variable}
    uv = next((agent.uv for agent in hub.plan.agents if agent.uv), "")
    unit, units = render_systemd(plan, service), render_agent_units(plan)
    return PreparedService(plan, _decode(hub.raw, source), unit, units, named, uv)


def _decode(raw: bytes, path: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8", hints=("save it as UTF-8",)) from None


def _find_problems(plan: Plan, service: Service) -> Iterator[str]:
    if not service.of_user:
        yield from _find_programs_problem(service)
    yield from _find_engine_problem(plan, service)
    files = {secret.name: secret.file for secret in plan.secrets if secret.file}
    tls = plan.edge.tls if plan.edge else None
    read = {"tls.cert": tls.cert, "tls.key": tls.key} if tls and tls.cert else {}
    for site in plan.edge.sites if plan.edge else ():
        if site.build is None:
            read[f"sites[{site.index}].root"] = f"{site.root}/index.html"
        elif problem := _find_project_problem(site.build.project, service):
            yield f"sites[{site.index}].build: {problem}"
    for index, agent in enumerate(plan.agents):
        if problem := _find_project_problem(agent.project, service):
            yield f"agents[{index}].project: {problem}"
    for key, path in (files | read).items():
        if not os.path.isfile(path):
            yield f"{key}: there is no file {path}; the spec goes to {service.folder}, so write an absolute path"
        elif key in read and not service.of_user and not can_read(service.installation.user, path):
            user = service.installation.user
            yield f"{key}: the service's user {user} can't read {path}; {_tell_how_to_allow(path, service)}"


def _find_programs_problem(service: Service) -> Iterator[str]:
    """Why the service's user can't get to the copy of lkhub that it runs."""
    real = os.path.realpath(service.programs)
    if f"{real}/".startswith(service.hidden):
        yield (
            f"{service.programs} leads to {real}, and a service does not see {', '.join(service.hidden)}: lead it "
            "elsewhere, as to /srv"
        )
        return
    there = next(str(each) for each in (PurePosixPath(real), *PurePosixPath(real).parents) if os.path.isdir(each))
    user = service.installation.user
    if not can_execute(user, there):
        closed = [str(each) for each in (there, *PurePosixPath(there).parents) if _is_closed(str(each))]
        # Every user may read lkhub, and what else is in such a folder stays as closed as it is itself.
        yield (
            f"the service's user {user} can't enter {', '.join(closed)}, and lkhub goes to {service.programs}; "
            f"`chmod o+x {shlex.join(closed)}` lets it"
        )


def _find_engine_problem(plan: Plan, service: Service) -> Iterator[str]:
    """Why the service can't start the operator's own livekit-server."""
    engine = next((each.argv[0] for each in plan.processes if each.knows_participants and not each.engine), "")
    if not engine:
        return
    user, put = service.installation.user, "put it where every user can, as into /usr/local/bin"
    if not os.path.isfile(engine):
        yield f"engine: there is no file {engine}; the spec goes to {service.folder}, so write an absolute path"
    elif os.path.realpath(engine).startswith(service.hidden):
        yield f"engine: a service does not see {', '.join(service.hidden)}, where {engine} is; {put}"
    elif not service.of_user and not can_execute(user, engine):
        yield f"engine: the service's user {user} can't execute {engine}; {put}"


def _find_project_problem(project: str, service: Service) -> str:
    """Why the service can't copy what is in this folder, "" where it can."""
    if not os.path.isdir(project):
        return f"there is no folder {project}; the spec goes to {service.folder}, so write an absolute path"
    if os.path.realpath(project).startswith(service.hidden):
        return f"{project}: a service does not see {', '.join(service.hidden)}, so put it elsewhere, as into /srv"
    user = service.installation.user
    if not service.of_user and not can_read(user, project):
        return f"the service's user {user} can't read {project}; {_tell_how_to_allow(project, service)}"
    return ""


def _tell_how_to_allow(path: str, service: Service) -> str:
    user = service.installation.user
    if os.path.realpath(path).startswith(service.hidden):
        return f"a service does not see {', '.join(service.hidden)}, so put it elsewhere, as into {service.folder}"
    if path.startswith(f"{CERTBOT}/"):
        # A renewed certificate is another file, which gets the default rights of its folder.
        folders = f"{CERTBOT}/archive {CERTBOT}/live"
        commands = [f"setfacl -m u:{user}:x {CERTBOT}"] if _is_closed(CERTBOT) else []
        commands += [f"setfacl -R -m u:{user}:rX {folders}", f"setfacl -R -d -m u:{user}:rX {folders}"]
    else:
        above = [str(folder) for each in (path, os.path.realpath(path)) for folder in PurePosixPath(each).parents]
        closed = sorted({folder for folder in above if _is_closed(folder)})
        commands = [f"setfacl -m u:{user}:x {shlex.join(closed)}"] if closed else []
        rights = f"-R -m u:{user}:rX" if os.path.isdir(path) else f"-m u:{user}:r"
        commands.append(f"setfacl {rights} {shlex.quote(path)}")
    if not has_user(user):
        commands.insert(0, describe_useradd(user, service.installation.state))
    return "`" + " && ".join(commands) + "` lets it"


def _is_closed(folder: str) -> bool:
    """Whether users without rights of their own can't enter it."""
    return os.path.isdir(folder) and not os.stat(folder).st_mode & 0o001


def _read_kept(service: Service) -> dict[str, str]:
    if not os.path.exists(service.environment):
        return {}
    kept = dotenv_values(service.environment, interpolate=False)
    return {name: value for name, value in kept.items() if value is not None}
