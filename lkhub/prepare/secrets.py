"""The secrets of a spec: the values of its references, and the API keys.

There is one mechanism for all of them. `lkhub.spec.references` finds a reference by walking the model, it is read here,
and its text stands in a file of the state directory (`StatePaths.secret`) where a process reads that file, or in the
file that a renderer makes with it. The process's fingerprint follows from its files.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from lkhub.findings.catalogue.spec import secret_unusable
from lkhub.host.credentials import find_credential
from lkhub.host.keyfile import Keys, add_current
from lkhub.host.secrets import ensure_managed_keys, generate_key, read_source
from lkhub.plan.model import Plan
from lkhub.plan.paths import StatePaths, name_credential
from lkhub.prepare.managed_keys import read_kept_keys
from lkhub.secret import FromEnv, FromFile, Secret, SecretError, SecretSource, WholeFile
from lkhub.source.path import Path
from lkhub.spec.keyfile import parse_key_file
from lkhub.spec.keys import DEV_KEY, DEV_SECRET, GivenKey, KeyFile, KeyFromEnv, check_pair
from lkhub.spec.load import LoadedSpec
from lkhub.spec.model import Spec
from lkhub.spec.references import Reference, list_references, list_variables
from lkhub.state.ring import follow_ring, write_notes

Secrets: TypeAlias = Mapping[Path, Secret]
"""Secrets by their place in the spec. A secret that can't be read is missing."""

KEYS: Path = ("keys", "source")


def resolve_secrets(loaded: LoadedSpec, folder: str, environ: Mapping[str, str]) -> Secrets:
    """Read all secrets; `folder` is the spec's folder. A secret that can't be read is a fault at its place."""
    found: dict[Path, Secret] = {}
    references = list_references(loaded.spec)
    unset = _find_unset(references, environ)
    for path, problem in unset.items():
        loaded.add(path, secret_unusable(problem))
    for reference in references:
        try:
            text = read_source(_find_source(reference), folder, environ)
            found[reference.path] = reference.reading.read(text)
        except SecretError as error:
            if reference.fault_path not in unset:
                for problem in error.problems:
                    loaded.add(reference.fault_path, secret_unusable(problem))
    return found


def list_secret_files(spec: Spec) -> tuple[str, ...]:
    """The files that the spec names for secrets, as it names them: also that of the certificate's key."""
    named = [each.source.path for each in list_references(spec) if isinstance(each.source, FromFile)]
    return (*named, *([spec.tls.key] if spec.tls.key else []))


def _find_source(reference: Reference) -> SecretSource:
    """Where the secret can be read. A hub that is a service has a copy of a file that only root may read."""
    if isinstance(reference.source, FromFile) and (copy := find_credential(name_credential(reference.source.path))):
        return replace(reference.source, path=copy)
    return reference.source


def _find_unset(references: Iterable[Reference], environ: Mapping[str, str]) -> dict[Path, str]:
    """Values of the spec that refer to several variables, with the variables that are not set: one fault names them
    all."""
    named: dict[Path, list[str]] = {}
    for reference in references:
        if isinstance(reference.source, FromEnv):
            named.setdefault(reference.fault_path, []).append(reference.source.name)
    missing = {path: [name for name in names if name not in environ] for path, names in named.items() if len(names) > 1}
    return {path: f"not set in the environment: {', '.join(names)}" for path, names in missing.items() if names}


def resolve_keys(loaded: LoadedSpec, secrets: Secrets, paths: StatePaths) -> Keys:
    """The API keys of a spec, the current one first. What is wrong with them is a fault at `keys.source`."""
    source = loaded.spec.keys.source
    if source == "managed":
        # Keys are generated only for a spec without faults.
        return {} if loaded.faults else _ensure_keys(paths)
    if source == "dev":
        return {DEV_KEY: Secret(DEV_SECRET)}
    given = {str(path[-1]): secret.reveal() for path, secret in secrets.items() if path[:-1] == KEYS}
    try:
        return _collect_keys(source, given)
    except SecretError as error:
        for problem in error.problems:
            loaded.add(KEYS, secret_unusable(problem))
        return {}


def _ensure_keys(paths: StatePaths) -> Keys:
    if keys := read_kept_keys(paths):
        return keys
    keys = ensure_managed_keys(paths)
    write_notes(paths, follow_ring({}, (), keys, time.time()))
    return keys


def rotate_keys(keys: Keys) -> Keys:
    """The ring with a new current key."""
    return add_current(keys, *generate_key())


def _collect_keys(source: GivenKey | KeyFile | KeyFromEnv, given: Mapping[str, str]) -> Keys:
    """`given` has the values of the source's references by their names; a missing value has a fault already."""
    match source, given:
        case GivenKey(key), {"secret": secret}:
            check_pair(key, secret)
            return {key: Secret(secret)}
        case KeyFromEnv(FromEnv(key_name), FromEnv(secret_name)), {"key": key, "secret": secret}:
            check_pair(key, secret, f"{key_name}=NAME {secret_name}=AT_LEAST_32_CHARACTERS")
            return {key: Secret(secret)}
        case KeyFile(WholeFile(path)), {"file": text}:
            return parse_key_file(text.encode(), path)
    return {}


def list_referenced(spec: Spec, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that the spec refers to, without those that are not set."""
    return {name: environ[name] for name in list_variables(list_references(spec)) if name in environ}


def place_agent_key(plan: Plan, keys: Keys) -> dict[str, str]:
    """The files with the current key, which agents are started with: path → text. None where there are no agents."""
    if not plan.agents:
        return {}
    key, secret = next(iter(keys.items()))
    return {plan.paths.agent_key: f"{key}\n", plan.paths.agent_secret: f"{secret.reveal()}\n"}


def place_secrets(plan: Plan, secrets: Secrets) -> dict[str, str]:
    """The files of secrets that the plan's processes read, or that they and agents have variables of their environment
    in: path → text."""
    read = {file for process in plan.processes for file in process.files}
    variables = [each.variables for each in plan.processes] + [each.variables for each in plan.agents]
    read |= {variable.file for each in variables for variable in each}
    placed = {plan.paths.secret(_by_name(plan, path)): secret.reveal() + "\n" for path, secret in secrets.items()}
    return {file: text for file, text in placed.items() if file in read}


def _by_name(plan: Plan, path: Path) -> Path:
    """The place of a secret of an agent by the agent's name: its number changes where another one goes."""
    match path:
        case ("agents", int(index), *rest):
            return ("agents", plan.agents[index].name, *rest)
    return path
