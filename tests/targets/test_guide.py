"""The guide of a hub as a service, typed on a machine that systemd has booted."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.documents import ROOT
from tests.kit.booted import Booted
from tests.kit.guide import Desk, follow
from tests.targets.conftest import SETUP


@dataclass
class BootedDesk(Desk):
    """A shell of root's on a machine that has booted; `folder` is root's home, as this machine sees it."""

    booted: Booted | None = None

    def type(self, text: str) -> str:
        assert self.booted
        # A reader has lkhub on the PATH.
        return self.booted.must(f"set -e; PATH={SETUP}/bin:$PATH; exec 2>&1\n{text}")


@dataclass
class UserDesk(Desk):
    """A shell of an ordinary user's on a machine that has booted; `folder` is the user's home, as this machine sees
    it."""

    booted: Booted | None = None

    def type(self, text: str) -> str:
        assert self.booted
        if text.startswith("sudo "):
            return self.booted.must(text.removeprefix("sudo ").replace('"$USER"', "bob"))
        user = "setpriv --reuid=bob --regid=bob --init-groups env HOME=/home/bob USER=bob"
        script = f"cd /home/bob; set -e; PATH={SETUP}/bin:$PATH; exec 2>&1\n{text}"
        return self.booted.must(f"{user} sh -c {shlex.quote(script)}")


@pytest.fixture
def users_desk(booted: Booted) -> Iterator[Desk]:
    booted.must("useradd --create-home bob")
    yield UserDesk(booted.root / "home/bob", booted=booted)
    booted.run("loginctl disable-linger bob; loginctl terminate-user bob; userdel --remove bob")


@pytest.fixture
def desk(booted: Booted) -> Iterator[Desk]:
    yield BootedDesk(booted.root / "root", booted=booted)
    booted.run(f"{SETUP}/bin/lkhub uninstall; rm -r /etc/lkhub /var/lib/lkhub; userdel lkhub")


def test_a_reader_gets_where_the_guide_leads(desk: Desk) -> None:
    follow(ROOT / "docs/guides/service.md", desk)


def test_a_reader_without_root_gets_where_the_guide_leads(users_desk: Desk) -> None:
    follow(ROOT / "docs/guides/user-service.md", users_desk)
