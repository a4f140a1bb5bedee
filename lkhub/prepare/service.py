"""From a spec to all that makes its hub a service: judged whole before anything is changed."""

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
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
from lkhub.render.targets.site_units import render_site_units
from lkhub.render.targets.systemd import render_environment, render_systemd
from lkhub.source.path import dotted
from lkhub.spec.load import load_spec
from lkhub.spec.places import list_relative, make_absolute

# Its folders are for root alone, and links in `live` lead to the files in `archive`.
CERTBOT = "/etc/letsencrypt"

# What a machine serves (hier(7)). Every user can read a copy in it whose files every user could read.
PUBLIC = "/srv"

HOMES = "/home"


@dataclass(frozen=True)
class PreparedService:
    """What is put in place: the spec's text, the unit, the `others` beside it, and the values of the variables that the
    spec refers to. `uv` is the program that installs the hub's agents, "" where they need none. `absolute`: the paths
    that were relative in the spec, by their keys."""

    plan: Plan
    spec: str = field(repr=False)
    unit: RenderedFile
    others: tuple[RenderedFile, ...]
    variables: Mapping[str, str] = field(repr=False)
    uv: str = ""
    absolute: Mapping[str, str] = field(default_factory=dict)

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
    text, absolute = _move(_decode(hub.raw, source), source, service)
    plan = plan_installed(replace(hub, raw=text.encode()), service.installation)
    if problems := [*_find_problems(plan, service)]:
        copies = tuple(_tell_how_to_copy(plan, source, service))
        raise InputError("\n".join([*problems, "nothing was changed"]), hints=copies)
    named = {secret.variable: variables[secret.variable] for secret in plan.secrets if secret.variable}
    uv = next((agent.uv for agent in hub.plan.agents if agent.uv), "")
    unit, others = render_systemd(plan, service), (*render_agent_units(plan), *render_site_units(plan))
    return PreparedService(plan, text, unit, others, named, uv, absolute)


def _decode(raw: bytes, path: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8", hints=("save it as UTF-8",)) from None


def _move(text: str, source: str, service: Service) -> tuple[str, dict[str, str]]:
    """The text of the spec as it is for the service's folder, and the absolute paths in it that were relative. They
    start from the folder of the spec that is installed."""
    folder = os.path.dirname(os.path.abspath(source))
    if folder == service.folder:
        return text, {}
    text, absolute = make_absolute(text, folder)
    if left := list_relative(load_spec(text.encode(), source)):
        lines = [f"{dotted(place)}: {path} is relative; write {absolute[place]}" for place, path in left.items()]
        why = f"the spec goes to {service.folder}, and these paths can't be replaced in it by themselves"
        raise InputError("\n".join([*lines, why, "nothing was changed"]))
    return text, {dotted(place): path for place, path in absolute.items()}


def _find_problems(plan: Plan, service: Service) -> Iterator[str]:
    if not service.of_user:
        yield from _find_programs_problem(service)
    yield from _find_engine_problem(plan, service)
    tls = plan.edge.tls if plan.edge else None
    read = {"tls.cert": tls.cert, "tls.key": tls.key} if tls and tls.cert else {}
    for key, folder in _list_folders(plan).items():
        if _is_hidden(folder, service):
            yield f"{key}: {folder}: a service does not see {', '.join(service.hidden)}"
        elif key.endswith(".root"):
            read[key] = f"{folder}/index.html"
        elif problem := _find_rights_problem(folder, service):
            yield f"{key}: {problem}"
    for key, path in read.items():
        if problem := _find_rights_problem(path, service):
            yield f"{key}: {problem}"


def _list_folders(plan: Plan) -> dict[str, str]:
    """The folders that the service reads, by their keys in the spec."""
    sites = plan.edge.sites if plan.edge else ()
    built = {f"sites[{site.index}].build": site.build.project for site in sites if site.build}
    given = {f"sites[{site.index}].root": site.root for site in sites if not site.build}
    agents = {f"agents[{index}].project": agent.project for index, agent in enumerate(plan.agents) if agent.project}
    return built | given | agents


def _is_hidden(path: str, service: Service) -> bool:
    """Whether the service does not see this path."""
    return bool(service.hidden) and f"{os.path.realpath(path)}/".startswith(service.hidden)


def _find_rights_problem(path: str, service: Service) -> str:
    """Why the service can't read this file, or what is in this folder; "" where it can."""
    user = service.installation.user
    if service.of_user or can_read(user, path):
        return ""
    return f"the service's user {user} can't read {path}; {_tell_how_to_allow(path, service)}"


def _find_programs_problem(service: Service) -> Iterator[str]:
    """Why the service's user can't get to the copy of lkhub that it runs."""
    real = os.path.realpath(service.programs)
    if _is_hidden(real, service):
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
    if _is_hidden(engine, service):
        yield f"engine: a service does not see {', '.join(service.hidden)}, where {engine} is; {put}"
    elif not service.of_user and not can_execute(user, engine):
        yield f"engine: the service's user {user} can't execute {engine}; {put}"


def _tell_how_to_copy(plan: Plan, source: str, service: Service) -> Iterator[str]:
    """The commands that copy folders to where the service sees them; none where it sees all."""
    hidden = [os.path.realpath(each) for each in _list_folders(plan).values() if _is_hidden(each, service)]
    folder, name = os.path.split(os.path.realpath(source))
    # A home directory has more in it than the hub's files.
    is_home = f"{folder}/" in service.hidden or os.path.dirname(folder) == HOMES
    if hidden and not is_home and all(os.path.commonpath((folder, each)) == folder for each in hidden):
        copy = f"{PUBLIC}/{os.path.basename(folder)}/{name}"
        command = f"cp -r {shlex.quote(folder)} {PUBLIC}/ && lkhub install --spec {shlex.quote(copy)}"
        yield f"`{command}` copies all of it to where a service sees it"
        return
    for each in dict.fromkeys(hidden):
        copy = f"{PUBLIC}/{os.path.basename(each)}"
        yield f"`cp -r {shlex.quote(each)} {PUBLIC}/` copies it to where a service sees it; then write {copy}"


def _tell_how_to_allow(path: str, service: Service) -> str:
    user = service.installation.user
    if _is_hidden(path, service):
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
