"""Requests that schemathesis makes from a hub's OpenAPI document: `python -m tests.kit.fuzz applications --seconds 600
--seed 1`. Each mode is one hub, whose credentials schemathesis has.

It looks for answers that the document does not have, for bad requests that are taken, and for bugs.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.kit import fuzz_hooks
from tests.kit.hub import Hub, make_hub
from tests.kit.issuer import AUDIENCE, CLIENT, run_issuer
from tests.kit.ports import free_port

# Whoever may invite, listen and moderate; limits would end the run at the door.
APPLICATIONS = """
access:
  modes: [open, api-keys]
  limits: {caller: off, room: off, address: off}
  origins: [https://app.example.com]
  roles:
    host: {admin: true}
    guest: {rooms: ["voice-*"], metadata: 10, agents: [helper]}
rooms:
  - {match: "voice-*", capacity: 2}
  - {match: "talk-*", capacity: 2, overflow: reject}
webhooks: [{url: "http://127.0.0.1:9/hook", allow_private: true}]
"""
ACCOUNTS = """
access:
  modes: [oidc]
  limits: {caller: off, room: off, address: off}
  oidc: {issuer: "%s", client_id: "%s", audience: "%s", role_claim: roles}
  roles:
    host: {admin: true}
"""
LIMITED = """
access:
  modes: [api-keys]
  limits: {caller: 5/minute, room: 5/minute}
"""
MODES = ("open", "applications", "accounts", "limited")

# What is not a rule of this API. A schema can't say which characters can't be seen, nor which roles there are.
NOT_CHECKED = "positive_data_acceptance"

CONFIG = """
hooks = "tests.kit.fuzz_hooks"
max-stream-events = 1
request-timeout = 30
continue-on-failure = true

[warnings]
enabled = false

[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "409", "413", "415", "422", "429", "503"]

[dictionaries.rooms]
values = ["lobby", "voice-1", "voice-1(2)", "talk-1"]

[dictionaries.roles]
values = ["host", "guest", "participant"]

[dictionaries.secrets]
values = ["{secret}"]

# The hooks sign every webhook, so a wrong signature never arrives; tests/service/webhooks has those.
[[operations]]
include-path = "/api/webhooks/livekit"
checks.ignored_auth.enabled = false
checks.missing_required_header.enabled = false

[[operations]]
include-path = "/api/invites/redeem"
parameters = {{ "body.secret" = {{ dictionary = "secrets" }}, "body.room" = {{ dictionary = "rooms" }} }}

[[operations]]
include-path = ["/api/livekit/token", "/api/invites"]
parameters = {{ "body.room" = {{ dictionary = "rooms", probability = 0.7 }}, "body.role" = {{ dictionary = "roles" }} }}

[[operations]]
include-path = "/api/token-source"
parameters = {{ "body.room_name" = {{ dictionary = "rooms", probability = 0.7 }} }}
"""


class Fuzzed(NamedTuple):
    """What schemathesis found. `seen` counts the hub's answers, by address and status."""

    failed: bool
    report: str
    seen: Counter[tuple[str, int]]


@contextmanager
def make_target(mode: str) -> Iterator[tuple[Hub, str]]:
    """A hub that is up, and schemathesis' configuration for it."""
    with ExitStack() as stack:
        hub = stack.enter_context(make_hub())
        auth: dict[str, str] = {}
        match mode:
            case "open":
                hub.write_spec()
            case "applications":
                hub.write_spec(APPLICATIONS)
            case "limited":
                hub.write_spec(LIMITED)
            case "accounts":
                issuer = stack.enter_context(run_issuer(free_port()))
                hub.write_spec(ACCOUNTS % (issuer.url, CLIENT, AUDIENCE))
                auth["openid"] = issuer.sign(roles=["host"])
        hub.up("--no-verify")
        if mode in ("applications", "limited"):
            roles = ("host", "guest", "participant") if mode == "applications" else ("participant",)
            options = [part for role in roles for part in ("--role", role)]
            auth["apiKey"] = hub.run("access", "create", "fuzz", *options).stdout.strip()
        secret = hub.run("invite", "lobby").stdout.strip().partition("#i=")[2]
        schemes = "".join(f'{name} = {{ bearer = "{bearer}" }}\n' for name, bearer in auth.items())
        yield hub, CONFIG.format(secret=secret) + (f"\n[auth.openapi]\n{schemes}" if schemes else "")


def fuzz(mode: str, seed: int, examples: int, seconds: int | None = None) -> Fuzzed:
    """Make about so many random requests for each address, and those at the limits of its schema. With `seconds`, make
    further ones until the time is over."""
    with make_target(mode) as (hub, text):
        # In the state directory's folder, since it has credentials.
        config = hub.folder / "schemathesis.toml"
        config.write_text(text)
        environ = {**os.environ, fuzz_hooks.KEYS: str(next(hub.state.rglob("keys.yaml")))}
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
            f"http://127.0.0.1:{hub.ports['web']}/api/openapi.json",
            *("--exclude-checks", NOT_CHECKED, "--seed", str(seed), "--max-examples", str(examples)),
            *(("--max-time", str(seconds)) if seconds else ()),
            *("--phases", "coverage,fuzzing", "--no-color"),
            *("--report", "har", "--report-har-path", str(hub.folder / "report.har")),
        ]
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=(seconds or 0) + 300, cwd=hub.folder
        )
        log = hub.log("serve")
        made = json.loads((hub.folder / "report.har").read_text())["log"]["entries"]
    seen = Counter(
        (f"{each['request']['method']} {urlsplit(each['request']['url']).path}", each["response"]["status"])
        for each in made
    )
    failed = done.returncode != 0 or "Traceback" in log
    return Fuzzed(failed, done.stdout + done.stderr + log, seen)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=1000)
    given = parser.parse_args()
    found = fuzz(given.mode, given.seed, given.examples, given.seconds)
    print(found.report)
    for (address, status), count in sorted(found.seen.items()):
        print(f"{count:6} {status} {address}")
    return found.failed


if __name__ == "__main__":
    sys.exit(main())
