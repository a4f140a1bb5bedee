"""From a spec file and this machine to everything that a hub needs: the plan, and its files in memory.

Nothing is changed here, except that secrets are generated the first time.
"""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from lkhub import __version__
from lkhub.errors import MachineError
from lkhub.findings.catalogue.spec import (
    engine_missing,
    key_missing,
    key_unknown,
    livekit_refuses,
)
from lkhub.findings.finding import Edit
from lkhub.host.engine import check_config, engine_build, is_program
from lkhub.host.files import digest, read_input
from lkhub.host.installation import find_installation
from lkhub.host.kernel import require_load_figures
from lkhub.host.keyfile import Keys, dump_keys
from lkhub.host.lookup import look_up
from lkhub.host.network import gather_network
from lkhub.host.secrets import ensure_secret
from lkhub.host.state_directory import ensure_state_dir
from lkhub.host.variables import resolve_variables
from lkhub.plan.build import build_plan
from lkhub.plan.elsewhere import imagine_network
from lkhub.plan.installation import Installation
from lkhub.plan.media import needs_domain
from lkhub.plan.model import REDIS_PASSWORD, Plan
from lkhub.plan.network import Interface, NetworkFacts
from lkhub.plan.paths import StatePaths
from lkhub.plan.process import Fingerprint, ProcessPlan
from lkhub.prepare.agents import judge_agents, judge_kinds, keep_agents
from lkhub.prepare.certificates import establish_authority, judge_files
from lkhub.prepare.given import list_given
from lkhub.prepare.managed_keys import read_kept_keys
from lkhub.prepare.secrets import (
    Secrets,
    list_referenced,
    place_agent_key,
    place_secrets,
    resolve_keys,
    resolve_secrets,
)
from lkhub.prepare.sites import complete_builds, judge_sites, list_private
from lkhub.render.all import render_all
from lkhub.render.livekit import render_livekit
from lkhub.secret import Secret
from lkhub.source.path import Path
from lkhub.source.yaml import parse_document
from lkhub.spec.load import LoadedSpec, load_spec, suggest
from lkhub.state.restore import require_restored


@dataclass(frozen=True)
class PreparedHub:
    """A plan with the text of all its files.

    `spec` is the spec's absolute path, None for the defaults, `raw` its text. `files` maps absolute paths to texts and
    includes the ones with secrets. `fingerprints` tell versions of a process apart; `spare` are those of `plan.spare`.
    `environ` has the variables that the spec refers to, for a supervisor whose own environment is another. `network` is
    what the plan was made for. `redis_password`: None where Redis asks for none.
    """

    plan: Plan
    spec: str | None
    raw: bytes = field(repr=False)
    files: Mapping[str, str] = field(repr=False)
    fingerprints: Mapping[str, Fingerprint]
    environ: Mapping[str, str] = field(repr=False)
    network: NetworkFacts
    spare: Mapping[str, Fingerprint] = field(default_factory=dict)
    redis_password: Secret | None = field(default=None, repr=False)

    def exchange(self, name: str) -> "PreparedHub":
        """The same hub with the spare process of this name in the place of the other one, which becomes the spare."""
        [planned] = [each for each in self.plan.processes if each.name == name]
        [spare] = [each for each in self.plan.spare if each.name == name]
        plan = replace(
            self.plan,
            processes=tuple(spare if each is planned else each for each in self.plan.processes),
            spare=tuple(planned if each is spare else each for each in self.plan.spare),
        )
        return replace(
            self,
            plan=plan,
            fingerprints={**self.fingerprints, name: self.spare[name]},
            spare={**self.spare, name: self.fingerprints[name]},
        )

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """Of the machine."""
        return self.network.interfaces


@dataclass(frozen=True)
class PlannedHub:
    """A plan with the network and the text of the spec that it was made from."""

    plan: Plan
    network: NetworkFacts
    raw: bytes = field(repr=False)


def prepare_hub(spec: str | None, state: str, environ: Mapping[str, str]) -> PreparedHub:
    """Read and judge the spec (None: the defaults). Raises SpecError with every fault, or MachineError, also where a
    restore has not ended: the keys of that hub are not in their place."""
    require_restored(StatePaths(state))
    path = os.path.abspath(spec) if spec else None
    raw = b"" if spec is None else read_input(spec)
    return _prepare(raw, spec or "hub.yaml", path, find_installation(state, spec), environ)


def prepare_again(hub: PreparedHub) -> PreparedHub:
    """The same spec with the same agents and sites, not as they may have been edited since, on this machine as it is
    now."""
    return _prepare(hub.raw, hub.spec or "hub.yaml", hub.spec, hub.plan.installation, hub.environ, before=hub.plan)


def plan_hub(
    spec: str | None, state: str, installation: Installation | None = None, *, starts: bool = False
) -> PlannedHub:
    """The plan alone, and what it was made from. Needs no keys, and writes nothing. With `installation` the plan is for
    that one, on this machine. `starts`: that installation starts the hub, so it must be able to run its agents."""
    raw = b"" if spec is None else read_input(spec)
    loaded, network, plan = _plan(raw, spec or "hub.yaml", find_installation(state, spec), installation)
    return PlannedHub(_require_plan(loaded, plan, starts=starts), network, raw)


def plan_elsewhere(spec: str | None, installation: Installation, *, starts: bool = False) -> PlannedHub:
    """The plan for an installation on another machine, whose network is not known here. Nothing is asked. `starts`: see
    `plan_hub`."""
    raw = b"" if spec is None else read_input(spec)
    loaded = load_spec(raw, spec or "hub.yaml")
    network = imagine_network(loaded.spec)
    plan = build_plan(loaded, network, installation)
    return PlannedHub(_require_plan(loaded, plan, starts=starts), network, raw)


def _require_plan(loaded: LoadedSpec, plan: Plan | None, *, starts: bool = False) -> Plan:
    if plan is not None and starts:
        judge_kinds(loaded, plan)
    loaded.require_sound()
    assert plan is not None
    return plan


def plan_installed(hub: PreparedHub, installation: Installation) -> Plan:
    """The plan of the same spec and machine for another installation."""
    loaded = load_spec(hub.raw, hub.spec or "hub.yaml")
    return _require_plan(loaded, build_plan(loaded, hub.network, installation))


def _plan(
    raw: bytes, shown: str, here: Installation, elsewhere: Installation | None = None
) -> tuple[LoadedSpec, NetworkFacts, Plan | None]:
    loaded = load_spec(raw, shown)
    network = gather_network()
    if not any(interface.kind == "loopback" for interface in network.interfaces):
        raise MachineError("the loopback interface is down", hints=("`ip link set lo up` brings it up",))
    looked_up = look_up(loaded.spec, here, ask_domain=needs_domain(loaded.spec, network))
    network = replace(network, looked_up=looked_up)
    return loaded, network, build_plan(loaded, network, elsewhere or here)


def _prepare(
    raw: bytes,
    shown: str,
    path: str | None,
    installation: Installation,
    environ: Mapping[str, str],
    *,
    before: Plan | None = None,
) -> PreparedHub:
    require_load_figures()
    loaded, network, plan = _plan(raw, shown, installation)
    _check_engine(loaded, installation)
    private = list_private(loaded, path, installation)
    if plan is not None:
        _check_raw_livekit(loaded, plan)
        plan = judge_files(loaded, plan)
        if before:
            plan = keep_agents(plan, before)
        else:
            plan = judge_agents(loaded, plan, private)
            judge_sites(loaded, plan, private)
    secrets = resolve_secrets(loaded, installation.folder, environ)
    if loaded.spec.keys.source == "managed":
        _check_webhook(loaded, read_kept_keys(installation.paths))
    keys = resolve_keys(loaded, secrets, installation.paths)
    if keys:
        _check_webhook(loaded, keys)
    loaded.require_sound()
    assert plan is not None
    plan, authority = establish_authority(plan)
    plan = complete_builds(plan, private, next(iter(keys)), time.time(), before)
    files = _collect_files(plan, keys, secrets) | authority
    files |= list_given(plan, files, environ)
    if loaded.spec.keys.source == "managed":
        files[plan.paths.managed_keys] = dump_keys(keys)  # the file exists already, unless a user removed it
    fingerprints = {process.name: fingerprint(process, files, environ) for process in plan.processes}
    spare = {process.name: fingerprint(process, files, environ) for process in plan.spare}
    referenced = list_referenced(loaded.spec, environ)
    password = secrets.get(REDIS_PASSWORD)
    return PreparedHub(plan, path, raw, files, fingerprints, referenced, network, spare, password)


def _check_engine(loaded: LoadedSpec, installation: Installation) -> None:
    engine = loaded.spec.engine
    if engine != "bundled" and not is_program(installation.beside_spec(engine)):
        loaded.add(("engine",), engine_missing(engine), "write bundled, or the path", Edit("engine", "bundled"))


def _check_raw_livekit(loaded: LoadedSpec, plan: Plan) -> None:
    """Let LiveKit's own parser judge the raw keys, and add each of its messages as a fault at its place in the spec."""
    if not plan.livekit:
        return
    engine = plan.installation.engine
    # Without the raw keys nothing is wrong but that files which it names are not there before the first start.
    before = check_config(engine, render_livekit(replace(plan, livekit={})).text)
    without = {(complaint.code, complaint.message) for complaint in before}
    text = render_livekit(plan).text
    lines = {line: path for path, line in parse_document(text.encode(), "livekit.yaml").lines.items()}
    for complaint in check_config(engine, text):
        # `_check_webhook` says more about webhooks.
        if (complaint.code, complaint.message) not in without and complaint.code != "no-webhook-key":
            path: Path = ("livekit", *lines.get(complaint.line or 0, ()))
            if complaint.known:
                unknown = key_unknown("LiveKit has no such key")
                loaded.add(path, unknown, suggest(str(path[-1]), complaint.known))
            else:
                loaded.add(path, livekit_refuses(complaint.message))


def _check_webhook(loaded: LoadedSpec, keys: Iterable[str]) -> None:
    """Add a fault for webhooks that are signed with an unknown key: LiveKit does not start with it."""
    webhook = loaded.spec.livekit.get("webhook")
    if not isinstance(webhook, dict) or not webhook.get("urls") or webhook.get("api_key") in (names := list(keys)):
        return
    hint = "write `webhooks: [{url: …}]` at the top of the spec instead, where the hub signs with its current key" + (
        f"; or name one of its keys: {', '.join(names)}" if names else ""
    )
    path: Path = ("livekit", "webhook", "api_key") if "api_key" in webhook else ("livekit", "webhook")
    missing = key_missing("LiveKit signs webhooks with one of the hub's keys, and this names none")
    loaded.add(path, missing, hint)


def _collect_files(plan: Plan, keys: Keys, secrets: Secrets) -> dict[str, str]:
    ensure_state_dir(plan.paths.root)
    files = {plan.paths.render(file.name): file.text for file in render_all(plan, secrets, next(iter(keys)))}
    files |= place_secrets(plan, secrets)
    files[plan.paths.keys] = dump_keys(keys)
    files |= place_agent_key(plan, keys)
    files[plan.paths.relay_secret] = ensure_secret(plan.paths.relay_secret)
    return files


def fingerprint(process: ProcessPlan, files: Mapping[str, str], environ: Mapping[str, str]) -> Fingerprint:
    """Digests of all that makes this process what it is: arguments, environment and the program's build; its files.
    Raises MachineError where a variable of its environment can't be resolved; `environ` has the variables that these
    refer to."""
    # A file of the hub's own is written later.
    own = {variable.name: files[path] for variable in process.variables if (path := variable.file) in files}
    values = own | resolve_variables((each for each in process.variables if each.name not in own), environ)
    surroundings = (process.folder, process.user, *(f"{name}={value}" for name, value in values.items()))
    program = [*process.argv, engine_build(process.argv[0]), __version__, *surroundings]
    return Fingerprint(_digest(program), digest_files(process, files), digest_rereads(process, files))


def digest_files(process: ProcessPlan, files: Mapping[str, str]) -> str:
    """Fingerprint.files."""
    return _digest(files[path] for path in process.files)


def digest_rereads(process: ProcessPlan, files: Mapping[str, str]) -> str:
    """Fingerprint.rereads."""
    return _digest(files[path] for path in process.rereads) if process.rereads else ""


def _digest(parts: Iterable[str]) -> str:
    return digest("\0".join(parts).encode())
