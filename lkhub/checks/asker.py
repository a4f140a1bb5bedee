"""A hub for this machine alone whose tokens may reach others → finding. Pure."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from lkhub.findings.catalogue.hub import open_behind_proxy
from lkhub.findings.finding import Finding, Fix


def check_asker(asker: Mapping[str, Any] | None, since: float) -> Iterator[Finding]:
    """A finding where a program that listens for others was given a token after `since` (epoch seconds). `asker`:
    `{"at", "user", "pid", "name", "listens"}`."""
    if asker is None or asker["at"] < since:
        return
    at = f"{datetime.fromtimestamp(asker['at'], UTC):%Y-%m-%d %H:%M:%S %Z}"
    if asker["listens"]:
        where = ", ".join(asker["listens"])
        detail = f"{asker['name']} (pid {asker['pid']}), which listens at {where}, was given a token at {at}"
    else:
        detail = (
            f"a program of the user {asker['user']} was given a token at {at}; whether it listens for others only that "
            "user and root can see"
        )
    yield open_behind_proxy().about(
        "serve",
        detail=detail,
        fix=(
            Fix(
                "if it is a proxy: stop it, or make the hub one that expects it (`reach: public`, or `lan`, with "
                "`tls.mode: external`), whose configuration for the proxy is printed by",
                "lkhub render proxy",
            ),
            Fix("if it is an application that asks for its own users, nothing is wrong"),
        ),
    )
