"""From a spec file and this machine to everything that a hub needs: the plan, and its files in memory.

Nothing is changed here but that secrets are generated the first time.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lkhub import __version__
from lkhub.errors import MachineError
from lkhub.host.engine import check_config, engine_build, is_program
from lkhub.host.files import ensure_state_dir, read_input
from lkhub.host.keyfile import Keys, dump_keys
from lkhub.host.node import gather_node_facts
from lkhub.host.secrets import ensure_managed_keys, ensure_secret, read_keys
from lkhub.plan.build import build_plan
from lkhub.plan.facts import NodeFacts
from lkhub.plan.model import Plan, ProcessPlan
from lkhub.plan.paths import StatePaths
from lkhub.render.all import render_all
from lkhub.render.livekit import render_livekit
from lkhub.spec.document import Path, parse_document
from lkhub.spec.keys import KeysError, list_variables
from lkhub.spec.load import LoadedSpec, load_spec


@dataclass(frozen=True)
class PreparedHub:
    """A plan with the text of all its files.

    `spec` is the spec's absolute path, None for the defaults. `files` maps absolute paths to texts and
    includes the ones with secrets. `fingerprints` tell two versions of a process apart. `environ` has the
    variables that the spec refers to, for a supervisor whose own environment is another.
    """

    plan: Plan
    spec: str | None
    keys: Keys
    files: Mapping[str, str] = field(repr=False)
    fingerprints: Mapping[str, str]
    environ: Mapping[str, str] = field(repr=False)


def prepare_hub(spec: str | None, state: str, environ: Mapping[str, str]) -> PreparedHub:
    """Read and judge the spec (None: the defaults). Raises SpecError with every fault, or MachineError."""
    raw = b"" if spec is None else read_input(spec)
    loaded = load_spec(raw, spec or "hub.yaml")
    folder = os.path.dirname(os.path.abspath(spec)) if spec else os.getcwd()
    facts = gather_node_facts(state, folder)
    if not any(interface.kind == "loopback" for interface in facts.interfaces):
        raise MachineError("the loopback interface is down", hints=("`ip link set lo up` brings it up",))
    plan = build_plan(loaded, facts)
    _check_engine(loaded, folder)
    if plan is not None:
        _check_raw_livekit(loaded, plan, facts)
    keys = resolve_keys(loaded, StatePaths(facts.state), folder, environ)
    loaded.require_sound()
    assert plan is not None
    files = _collect_files(plan, keys)
    fingerprints: dict[str, str] = {process.name: _fingerprint(process, files) for process in plan.processes}
    referenced = {name: environ[name] for name in list_variables(loaded.spec.keys.source)}
    return PreparedHub(plan, os.path.abspath(spec) if spec else None, keys, files, fingerprints, referenced)


def resolve_keys(loaded: LoadedSpec, paths: StatePaths, folder: str, environ: Mapping[str, str]) -> Keys:
    """The API keys of a spec, the current one first. What is wrong with them is a fault at `keys.source`."""
    source = loaded.spec.keys.source
    if source == "managed":
        # Keys are made for a spec that will run.
        return {} if loaded.faults else ensure_managed_keys(paths)
    try:
        return read_keys(source, folder, environ)
    except KeysError as error:
        for problem in error.problems:
            loaded.add(("keys", "source"), problem)
        return {}


def _check_engine(loaded: LoadedSpec, folder: str) -> None:
    engine = loaded.spec.engine
    if engine != "bundled" and not is_program(os.path.join(folder, engine)):
        loaded.add(("engine",), f"{engine} is not a program that this user can run", "write bundled, or the path")


def _check_raw_livekit(loaded: LoadedSpec, plan: Plan, facts: NodeFacts) -> None:
    """Let LiveKit's own parser judge the raw keys, and say where in the spec each complaint comes from."""
    if not plan.livekit:
        return
    # Without the raw keys nothing is wrong but that files which it names are not there before the first start.
    without = {
        complaint.message for complaint in check_config(facts.engine, render_livekit(replace(plan, livekit={})).text)
    }
    text = render_livekit(plan).text
    lines = {line: path for path, line in parse_document(text.encode(), "livekit.yaml").lines.items()}
    for complaint in check_config(facts.engine, text):
        if complaint.message not in without:
            path: Path = ("livekit", *lines.get(complaint.line or 0, ()))
            loaded.add(path, complaint.message)


def _collect_files(plan: Plan, keys: Keys) -> dict[str, str]:
    ensure_state_dir(plan.paths.root)
    files = {plan.paths.render(file.name): file.text for file in render_all(plan)}
    files[plan.paths.keys] = dump_keys(keys)
    files[plan.paths.relay_secret] = ensure_secret(plan.paths.relay_secret)
    return files


def _fingerprint(process: ProcessPlan, files: Mapping[str, str]) -> str:
    """A digest of all that makes this process what it is: arguments, files, and the program's build."""
    parts = [*process.argv, engine_build(process.argv[0]), __version__]
    parts += [files[path] for path in process.files]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
