"""The stand-in of the fast tests (tests/kit/tailscaled.py) answers as tailscaled does."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import make
from tests.kit.tailscaled import SERVE_CONFIG, Tailscaled, run_tailscaled
from tests.tailscale.tailnet import NAME, Answer, Tailnet, ask

CERT = f"/localapi/v0/cert/{NAME}"

REQUESTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "no name": ("/localapi/v0/cert/lkhub", "GET", {}),
    "another node": ("/localapi/v0/cert/guest.tail1234.ts.net", "GET", {}),
    "a path": ("/localapi/v0/cert/..%2Fx.y", "GET", {}),
    "certificate": (CERT, "GET", {}),
    "key": (f"{CERT}?type=key", "GET", {}),
    "pair": (f"{CERT}?type=pair", "GET", {}),
    "pair, posted": (f"{CERT}?type=pair", "POST", {}),
    "another type": (f"{CERT}?type=x", "GET", {}),
    "page": ("/", "GET", {}),
    "page, by another name": ("/", "GET", {"Host": "a.example"}),
    "nothing": ("/localapi/v0/nothing", "GET", {}),
    "from a web page": ("/localapi/v0/status", "GET", {"Origin": "https://a.example"}),
    "by another name": ("/localapi/v0/status", "GET", {"Host": "a.example"}),
}

# What every server says in its own way.
_VERSIONS = {"tailscale-version", "tailscale-cap"}
_OWN_HEADERS = {"date", "content-length", "transfer-encoding"}


@pytest.fixture
def stand_in(short_dir: Path) -> Iterator[str]:
    now = datetime.now(UTC)
    valid = (now - timedelta(hours=1), now + timedelta(days=60))
    root = make("root", ca=True, valid=valid)
    daemon = Tailscaled(pairs={NAME: (make("", root, names=[NAME], valid=valid), root)})
    with run_tailscaled(str(short_dir / "s"), daemon):
        yield str(short_dir / "s")


def describe(answer: Answer) -> dict[str, Any]:
    """What must be the same: of a PEM block its kind, and of a header that has a version its name."""
    pem = re.findall("-----BEGIN (?:EC )?(.+)-----", answer.body)
    told = {
        name: "" if name in ("tailscale-version", "tailscale-cap") else text for name, text in answer.headers.items()
    }
    body = pem or ("a page" if answer.headers["content-type"].startswith("text/html") else answer.body)
    return {"status": answer.status, "headers": {k: v for k, v in told.items() if k not in _OWN_HEADERS}, "body": body}


@pytest.mark.parametrize("name", REQUESTS)
def test_answer_is_the_same(tailnet: Tailnet, stand_in: str, name: str) -> None:
    where, method, headers = REQUESTS[name]
    real, imitated = (describe(ask(path, where, method, **headers)) for path in (tailnet.socket("a"), stand_in))
    assert imitated == real


def test_what_it_serves_is_told_in_the_same_way(tailnet: Tailnet, short_dir: Path) -> None:
    web = {f"{NAME}:443": {"Handlers": {"/": {"Proxy": "http://127.0.0.1:8080"}}}}
    path = str(short_dir / "s")
    tailnet.script("in", "a", *shlex.split("tailscale serve --bg --yes 8080"))
    try:
        with run_tailscaled(path, Tailscaled(serves={"TCP": {"443": {"HTTPS": True}}, "Web": web})):
            imitated, real = (describe(ask(each, SERVE_CONFIG, "GET")) for each in (path, tailnet.socket("a")))
        assert imitated == real
    finally:
        tailnet.script("in", "a", *shlex.split("tailscale serve --https=443 off"))


def ask_as_nobody(prefix: list[str], path: str) -> str:
    """What the daemon says to a user who is not root, and its status."""
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    asked = ["curl", "--silent", "--unix-socket", path, "--write-out", "%{http_code}"]
    argv = [*prefix, *user, *asked, "http://local-tailscaled.sock/localapi/v0/cert/lkhub"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout


def test_another_user_gets_certificates_once_it_is_the_operator(tailnet: Tailnet, short_dir: Path) -> None:
    short_dir.chmod(0o755)
    operators: set[int] = set()
    places: list[tuple[list[str], str]] = [
        (tailnet.prefix("a"), "/run/tailscale/tailscaled.sock"),
        ([], str(short_dir / "s")),
    ]
    with run_tailscaled(str(short_dir / "s"), Tailscaled(operators=operators)):
        before = {ask_as_nobody(*place) for place in places}
        operators.add(65534)
        tailnet.script("in", "a", "tailscale", "set", "--operator=nobody")
        try:
            after = {ask_as_nobody(*place) for place in places}
        finally:
            tailnet.script("in", "a", "tailscale", "set", "--operator=")
    assert (before, after) == ({"cert access denied\n403"}, {"invalid domain\n500"})


def find_kinds(value: Any) -> Any:
    """The kinds of the values in a document: of an object by its keys, of a list of its first value."""
    if isinstance(value, dict):
        return {key: find_kinds(each) for key, each in value.items()}
    return [find_kinds(value[0])] if isinstance(value, list) and value else type(value).__name__


def require_within(imitated: Any, real: Any, where: str = "$") -> None:
    """The real status has more keys."""
    if isinstance(imitated, dict):
        assert isinstance(real, dict), where
        for key, value in imitated.items():
            assert key in real, f"{where}.{key}"
            require_within(value, real[key], f"{where}.{key}")
    elif where != "$.Health":  # a version that is not released says so there
        assert imitated == real, where


@pytest.mark.parametrize("state", ["Running", "Stopped"])
def test_status_has_the_same_kinds(tailnet: Tailnet, short_dir: Path, state: str) -> None:
    asked = "/localapi/v0/status?peers=false"
    if state == "Stopped":
        tailnet.script("in", "a", "tailscale", "down")
    try:
        real = json.loads(ask(tailnet.socket("a"), asked).body)
        with run_tailscaled(str(short_dir / "s"), Tailscaled(state=state)):
            imitated = json.loads(ask(str(short_dir / "s"), asked).body)
        assert real["BackendState"] == state
        require_within(find_kinds(imitated), find_kinds(real))
        assert real["CertDomains"] == [NAME]
    finally:
        if state == "Stopped":
            tailnet.switch_on("a")
