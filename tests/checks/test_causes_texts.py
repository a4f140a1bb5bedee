"""Every cause with its fixes, as a person reads them. causes.txt has them all, so that they can be read in one file.

A section is a reason of the probe (engine/internal/probe/reasons.go) with its evidence. In it each text is for the hubs
in brackets. `REWRITE_GOLDEN=1 pytest tests/checks/test_causes_texts.py` writes the file anew; read the
difference before it is committed.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lkhub.checks import causes, causes_connection, causes_http, causes_media
from lkhub.checks.called import FOREIGN, CalledHub
from lkhub.checks.calls import check_paths
from lkhub.checks.paths import PathResult, WebResult
from lkhub.checks.web_findings import check_web
from lkhub.findings.finding import Finding
from tests.checks.called import GIVEN, OWN, PROXIED, TABLES

FILE = Path(__file__).parent / "causes.txt"

HUBS: dict[str, CalledHub] = {
    "own": OWN,
    "own, tls.mode files": replace(OWN, tls="files"),
    "behind a proxy": replace(PROXIED, turn="turn.example.com:5349", turn_upstream=":5349"),
    "behind a proxy that splits by name": PROXIED,
    "that proxy, seen without the PROXY protocol": replace(PROXIED, unannounced="192.0.2.7"),
    "own, with an external TURN server": replace(OWN, external_turn=("turn.example.com:443", "203.0.113.5:3478")),
    "another machine's": FOREIGN,
    "another machine's, with given tokens": GIVEN,
}

# The evidence for each reason; a reason that is not listed has none. An empty set: the probe may have seen nothing.
_HTTP = {"address": "203.0.113.5:443"}
EVIDENCE: dict[str, tuple[dict[str, str], ...]] = {
    "name-unknown": ({"name": "rtc.example.com"},),
    "look-up-silent": ({"server": "192.0.2.53"}, {}),
    **dict.fromkeys(("refused", "silent", "unreachable", "not-tls", "tls-silent", "tls-closed", "tls-alert"), (_HTTP,)),
    "wrong-name": ({"names": "old.example.com, www.example.com", "host": "rtc.example.com"},),
    "chain-gap": ({"issuer": "R11"},),
    "unknown-issuer": ({"issuer": "My Issuer", "sent": "1"}, {"issuer": "My Root", "sent": "2"}),
    "redirect": (
        {"location": "https://auth.example.com/login", "to_host": "auth.example.com"},
        {},
    ),
    "to-tls": ({"location": "https://rtc.example.com/rtc/validate", "to_host": "rtc.example.com"},),
    "gateway": ({"status": "502"},),
    "http-failed": ({"status": "400"}, {"status": "413"}),
    "unknown-key": ({"key": "APIother"}, {"key_like": "secret"}),
    "bad-signature": ({"key": "APIother"},),
    "no-reply": ({"remote": "udp 203.0.113.5:7882"}, {}),
    "server-first": ({"remote": "udp 203.0.113.5:7882"},),
    "turn-silent": ({"relay": "turn:203.0.113.5:3478?transport=udp"},),
    "turn-is-web": ({"told_port": "443"}, {"told_port": "5349"}),
    "turn-forbids": ({"remote": "udp 10.0.0.5:7882"},),
}

# Reasons that are also seen while a call connects to a TURN server.
CONNECTION = tuple(causes_connection.CAUSES)
ON_TURN_ALONE = ("turn-silent", "turn-login", "turn-refused", "turn-forbids", "turn-is-web")


def list_results() -> Iterator[tuple[str, PathResult]]:
    """A heading and the result for each case that has a text of its own."""
    for reason in TABLES:
        for evidence in EVIDENCE.get(reason, ({},)):
            seen = ", ".join(f"{name} {value}" for name, value in evidence.items())
            heading = f"{reason}: {seen}" if seen else reason
            path = "turn-udp" if reason in ON_TURN_ALONE else "udp"
            if reason == "turn-is-web":
                path = "turn-tls"
            relay = "turn:203.0.113.5:3478?transport=udp" if reason in ON_TURN_ALONE else None
            loss = 0.33 if reason == "too-lossy" else None
            yield (
                heading,
                PathResult(path, False, "http", "seen", reason=reason, evidence=evidence, loss=loss, relay=relay),
            )
            if reason in CONNECTION:
                turn = {"relay": "turns:turn.example.com:443?transport=tcp", "stage": "tls"}
                yield (
                    f"{heading} (TURN over TLS)",
                    PathResult("turn-tls", False, detail="seen", reason=reason, evidence=evidence, **turn),  # type: ignore[arg-type]
                )
    for stage in causes._STAGES:
        yield f"nothing more was seen at the stage {stage}", PathResult("udp", False, stage, "seen")


def list_web() -> Iterator[tuple[str, WebResult]]:
    for reason in ("page", "nothing", "other"):
        yield f"not-redirected: {reason}", WebResult("redirect", False, "u", "not-redirected", "seen", {"said": reason})
    yield "no-forwarded-for", WebResult("forwarded", False, "u", "no-forwarded-for", "seen", {"client": "127.0.0.1"})


def write_down(finding: Finding) -> str:
    fixes = (f"  fix: {fix.text}" + (f": `{fix.command}`" if fix.command else "") for fix in finding.fix)
    return "\n".join([f"  why: {finding.cause}", *fixes])


def render() -> str:
    """The whole file."""
    parts = []
    for heading, result in list_results():
        texts: dict[str, list[str]] = {}
        hubs = {name: hub for name, hub in HUBS.items() if not hub.external_turn or hub.uses_external_turn(result)}
        for name, hub in hubs.items():
            for finding in check_paths([result], hub):
                texts.setdefault(write_down(finding), []).append(name)
        parts.append(_section(heading, texts, len(hubs)))
    page = WebResult("page", True, "u")
    for heading, web in list_web():
        [finding] = check_web([page, web], [], PROXIED)
        parts.append(_section(heading, {write_down(finding): ["behind a proxy"]}))
    return "\n".join(parts)


def _section(heading: str, texts: dict[str, list[str]], hubs: int = 0) -> str:
    lines = [f"== {heading}"]
    for text, names in texts.items():
        of = "every hub" if len(names) == hubs else "; ".join(names)
        lines += [f"[{of}]", text]
    return "\n".join(lines) + "\n"


def test_file_has_the_text_of_every_cause() -> None:
    text = render()
    if os.environ.get("REWRITE_GOLDEN"):
        FILE.write_text(text)
    assert text == FILE.read_text()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        # The verification of the own hub takes no address, key or token from the user.
        ("own", ["give ws://", "give wss://", "LIVEKIT_URL", "lkhub env", "somebody else"]),
        ("behind a proxy", ["give ws://", "give wss://", "lkhub env"]),
        # A command that is typed on this machine says nothing about a hub on another machine.
        (
            "another machine's",
            ["see whether the hub runs", "open what the hub needs:", "proxy's configuration for this hub"],
        ),
    ],
)
def test_no_fix_is_for_another_setup(name: str, wrong: list[str]) -> None:
    for heading, result in list_results():
        if heading.startswith(("hub-wrong-host", "hub-without-media", "to-tls")):
            continue  # a hub answered, under another name or address
        for finding in check_paths([result], HUBS[name]):
            text = write_down(finding)
            assert [words for words in wrong if words in text] == [], f"{heading}: {text}"


def test_hub_is_not_blamed_for_an_external_turn_server() -> None:
    for heading, result in list_results():
        hub = HUBS["own, with an external TURN server"]
        if hub.uses_external_turn(result):
            for finding in check_paths([result], hub):
                text = write_down(finding)
                wrong = ("lkhub ", "the hub runs", "turn.udp", "tls.listen", "turn.domain", "turn.tls_port")
                assert [words for words in wrong if words in text] == [], f"{heading}: {text}"


def test_port_on_which_nothing_listens_is_not_to_be_opened() -> None:
    for heading, result in list_results():
        if result.reason == "refused":
            for hub in HUBS.values():
                for finding in check_paths([result], hub):
                    # This machine's own firewall does not refuse. In front of another machine a firewall may.
                    command = "lkhub firewall" if hub.is_own else "lkhub firewall apply"
                    assert command not in write_down(finding), heading


def test_no_reason_is_left_out() -> None:
    headings = {line.removeprefix("== ").partition(":")[0] for line in render().splitlines() if line.startswith("== ")}
    known = {*causes_connection.CAUSES, *causes_http.CAUSES, *causes_media.CAUSES}
    assert known <= headings
