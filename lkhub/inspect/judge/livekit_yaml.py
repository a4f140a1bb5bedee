"""Whether livekit-server would start with a livekit.yaml. Its own strict parser has judged it; this says what to do."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches

from lkhub.findings.catalogue.config import (
    config_key_unknown,
    config_keys_elsewhere,
    config_refused,
    config_secret_weak,
    config_unreadable,
    config_value_wrong,
    not_judged,
)
from lkhub.findings.finding import Edit, Finding, Fix, Where
from lkhub.inspect.given import GivenFile, JudgedFile, Verdict
from lkhub.inspect.livekit_keys import DURATIONS, PARTS, SECONDS, SINCE, UNTIL
from lkhub.inspect.placeholders import is_placeholder, is_template
from lkhub.source.located import Document
from lkhub.source.path import Path, dotted
from lkhub.wire.engine import ConfigMessage

# What the server looks for on its own machine, by the key that names it.
_NAMED_FILES: dict[str, Path] = {
    "bad-key-file": ("key_file",),
    "bad-turn-certificate": ("turn", "cert_file"),
    "bad-turn-secret": ("rtc", "turn_servers"),
}

# What is meant by names that livekit-server never had: those of other programs and of client SDKs.
_MEANT = {
    "api_key": "the pair of key and secret is `keys: {KEY: SECRET}` at the top; webhook.api_key names such a key",
    "api_secret": "the pair of key and secret is `keys: {KEY: SECRET}` at the top",
    "codec": "room.enabled_codecs lists codecs, as `- mime: video/vp8`",
    "codecs": "room.enabled_codecs lists codecs, as `- mime: video/vp8`",
    "debug_handler_port": "write `debug_handler: {port: PORT}`",
    "dynacast": "clients turn it on; the server needs no key",
    "egress": "egress is a service of its own, with a configuration of its own",
    "external_ip": "rtc.node_ip is the address that clients are told",
    "ice_servers": "rtc.turn_servers lists TURN servers, and rtc.stun_servers lists STUN servers",
    "log_file": "livekit-server writes to stderr; what starts it keeps the log",
    "node_id": "each start has a new one",
    "public_ip": "rtc.node_ip is the address that clients are told",
    "server": "port and bind_addresses stand at the top",
    "simulcast": "clients turn it on; the server needs no key",
    "webrtc": "the keys of WebRTC stand below rtc",
    "ws_url": "it is a key of egress, ingress and agents; the server has port",
}


def judge_livekit_yaml(file: GivenFile, document: Document, messages: Sequence[ConfigMessage]) -> JudgedFile:
    """`messages`: what the strict parser of the bundled version says of this text."""
    judge = _Judge(file, document)
    if is_template(file.text) and any(message.code == "syntax" for message in messages):
        left = [not_judged("it is a template that is no YAML before it is filled in").about(file.path)]
        return JudgedFile(file.path, "livekit.yaml", "not-judged", tuple(left))
    found: list[Finding] = []
    for finding in filter(None, map(judge.explain, messages)):
        same = next((each for each in found if each.ref == finding.ref), None)
        if same is None:
            found.append(finding)
        else:  # several things about one place are one finding
            found[found.index(same)] = replace(same, detail="\n".join(filter(None, (same.detail, finding.detail))))
    verdict: Verdict = "ok"
    if any(finding.severity == "error" for finding in found):
        verdict = "will-not-start"
    elif judge.left or any(finding.code == "config-keys-elsewhere" for finding in found):
        verdict = "not-judged"
    left = [not_judged(reason).about(file.path, where=where) for reason, where in judge.left.items()]
    return JudgedFile(file.path, "livekit.yaml", verdict, (*found, *left))


# As many keys as fit into a line or two.
_MOST_TOLD = 12

# A name that stands at more places, such as `enabled`, says nothing about which of them was meant.
_FEW_PLACES = 2

# Names that mean another thing in another part.
_GENERIC = {"bind_addresses", "cert_file", "domain", "enabled", "key_file", "password", "port", "tcp_port", "udp_port"}
_GENERIC |= {"level", "timeout", "username", "urls"}

# How like a key must be to the one that was meant (difflib): a letter too much, or two that are swapped.
_NEAR = 0.85

# Codes of engine/internal/judge/codes.go, and what to write.
_REFUSED = {
    "bad-turn-domain": "turn.domain takes a name with a dot, which the certificate is for",
    "half-login": "set both of prometheus.username and prometheus.password, or none",
    "no-trusted-proxy": "name the proxy's network in turn.trusted_proxies",
    "no-webhook-key": "webhook.api_key takes the name of one of the keys, with which webhooks are signed",
    "no-turn-credentials": "give the server a `secret`, or a `username` and a `credential`",
    "no-turn-domain": "set turn.domain, or leave turn.tls_port out",
    "no-turn-port": "set turn.udp_port, or turn.tls_port, or turn.enabled: false",
    "tcp-forced-off": "set rtc.tcp_port, or leave rtc.force_tcp out",
}

_DURATION = re.compile(r"(\d+)([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


class _Judge:
    """`left`: why something could not be judged, each reason with its first place."""

    def __init__(self, file: GivenFile, document: Document) -> None:
        self.file, self.document = file, document
        self.lines = file.text.splitlines()
        self.left: dict[str, Where] = {}
        self._told: set[Path] = set()

    def explain(self, message: ConfigMessage) -> Finding | None:
        path = self._find_path(message)
        where = Where(self.file.path, message.line, dotted(path))
        # A key that is unknown is so whatever its value is.
        line = self.lines[message.line - 1] if message.line else ""
        shown = line.partition(":")[0] if message.code == "unknown-key" else line
        if is_placeholder(_without_comment(shown)):
            self.left.setdefault("a value is still to be filled in", where)
            return None
        if message.code in _NAMED_FILES and self._find_value(_NAMED_FILES[message.code]):
            self.left.setdefault("it names files of the machine that it is for", where)
            return None
        if message.code == "no-webhook-key" and not self._find_value(("keys",)):
            self.left.setdefault("it names a key for webhooks, and has no keys itself", where)
            return None
        if message.code == "bad-turn-certificate":
            self.left.setdefault("it has no turn.cert_file, so LIVEKIT_TURN_CERT or --turn-cert has to name one", where)
            return None
        key = dotted(path)
        # With the file in it: a finding is known by its code and its subject.
        subject = f"{self.file.path}: {key}" if key else self.file.path
        match message.code:
            case "syntax":
                mend = Fix("indent with spaces, and put text that begins with a sign of YAML in quotes")
                return config_unreadable(message.message).about(self.file.path, fix=(mend,), where=where)
            case "unknown-key":
                fix = tuple(_explain_key(path, message.known, where))
                return config_key_unknown(key).about(subject, fix=fix, where=where)
            case "wrong-type" | "bad-value" | "bad-port":
                fix = tuple(_explain_time(self._find_value(path), where)) if message.code == "wrong-type" else ()
                return config_value_wrong(key).about(subject, detail=message.message, fix=fix, where=where)
            case "weak-key":
                make = Fix("make another one, and write it wherever the old one is", "openssl rand -hex 32")
                return config_secret_weak().about(
                    self.file.path,
                    detail=message.message,
                    fix=(make,),
                    where=Where(self.file.path, message.line, "keys"),
                )
            case "no-keys":
                give = Fix("give the server its keys", 'LIVEKIT_KEYS="KEY: SECRET"')
                return config_keys_elsewhere().about(self.file.path, fix=(give,), where=where)
        fix = (Fix(_REFUSED[message.code]),) if message.code in _REFUSED else ()
        return config_refused().about(subject, detail=message.message, fix=fix, where=where)

    def _find_path(self, message: ConfigMessage) -> Path:
        """The key that a message is about; () where that is not known."""
        at = [path for path, line in self.document.lines.items() if line == message.line and path]
        if message.code == "unknown-key":
            # Several keys may stand on one line; the parser names each of them in a message of its own, and does not
            # look below it.
            at = [
                path for path in at if not _is_known(path) and path[-1] not in message.known and path not in self._told
            ]
            found = min(at, key=len, default=())
            self._told.add(found)
            return found
        leaves = [path for path in at if not isinstance(self._find_value(path), dict | list)]
        if len(leaves) > 1:  # which of them is not told
            return _find_common(leaves)
        return max(at, key=len, default=())

    def _find_value(self, path: Path) -> object:
        """The value at a path of keys; None where there is none."""
        value: object = self.document.data
        for step in path:
            if isinstance(value, dict):
                value = value.get(step)
            else:
                value = value[step] if isinstance(value, list) and isinstance(step, int) else None
        return value


def _find_common(paths: Sequence[Path]) -> Path:
    """What all of these are below."""
    first, last = min(paths, key=str), max(paths, key=str)
    length = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:length]


def _is_known(path: Path) -> bool:
    return ".".join(step for step in path if isinstance(step, str)) in PARTS


def _explain_time(value: object, where: Where) -> Iterator[Fix]:
    """What to write for a time in the wrong form."""
    if where.key in SECONDS and isinstance(value, str) and (found := _DURATION.fullmatch(value)):
        seconds = int(found[1]) * _SECONDS[found[2]]
        yield Fix(f"write {seconds}, the seconds", edit=Edit(where.key, seconds, where.file, where.line))
    elif where.key in DURATIONS and type(value) is int:
        yield Fix(f"write {value}s, or another unit", edit=Edit(where.key, f"{value}s", where.file, where.line))


def _explain_key(path: Path, known: Sequence[str], where: Where) -> Iterator[Fix]:
    key, name = dotted(path), str(path[-1]) if path else ""
    out = Edit(key, None, where.file, where.line)
    if key in UNTIL:
        yield Fix(f"take {key} out: {UNTIL[key]} is the last version that knows it", edit=out)
        return
    if key in SINCE:
        yield Fix(f"take {key} out, or run livekit-server {SINCE[key]} or newer, which knows it", edit=out)
        return
    if name in _MEANT:
        yield Fix(_MEANT[name])
        return
    elsewhere = [place for place in sorted(PARTS) if place.rpartition(".")[2] == name]
    if 1 <= len(elsewhere) <= _FEW_PLACES and name not in _GENERIC:
        yield Fix(f"move it: livekit-server knows {' and '.join(elsewhere)}")
        return
    above = key.rpartition(".")[0]
    if near := get_close_matches(name, known, 1, _NEAR):
        yield Fix(f"write {above}.{near[0]}" if above else f"write {near[0]}")
    else:
        there = f"below {above}" if above else "at the top"
        told = f"; {there} it knows {', '.join(known)}" if 0 < len(known) <= _MOST_TOLD else ""
        yield Fix(f"take {key} out{told}", edit=out)


def _without_comment(line: str) -> str:
    return line.partition(" #")[0]
