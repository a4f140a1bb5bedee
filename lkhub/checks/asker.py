"""The finding about a hub for this machine alone whose tokens may reach people on other machines. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol

from lkhub.findings.catalogue.hub import open_behind_proxy
from lkhub.findings.finding import Finding, Fix


class Asker(Protocol):
    """The program that asked for a token. `at`: when it last asked (epoch seconds). `user`: who runs it. `listens`: the
    addresses at which other machines reach it. Where the program itself can't be seen, `pid` is None, and `name` and
    `listens` are empty."""

    @property
    def at(self) -> float: ...
    @property
    def user(self) -> str: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def name(self) -> str: ...
    @property
    def listens(self) -> tuple[str, ...]: ...


def check_asker(asker: Asker | None, since: float) -> Iterator[Finding]:
    """A finding where a program that may listen for other machines was given a token after `since` (epoch seconds)."""
    if asker is None or asker.at < since:
        return
    at = f"{datetime.fromtimestamp(asker.at, UTC):%Y-%m-%d %H:%M:%S %Z}"
    if asker.listens:
        where = ", ".join(asker.listens)
        detail = f"{asker.name} (pid {asker.pid}), which listens at {where}, was given a token at {at}"
    else:
        detail = (
            f"a program of the user {asker.user} was given a token at {at}; only that user and root can see whether it "
            "listens for other machines"
        )
    yield open_behind_proxy().about(
        "serve",
        detail=detail,
        fix=(
            Fix(
                "if it is a proxy: stop it, or make the hub one that expects a proxy (`reach: public`, or `lan`, with "
                "`tls.mode: external`); this prints the proxy's configuration for such a hub",
                "lkhub render proxy",
            ),
            Fix("if it is an application that asks for its own users, nothing is wrong"),
        ),
    )
