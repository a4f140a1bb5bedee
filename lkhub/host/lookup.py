"""What others are asked because the spec says so: the name servers, a STUN server, the tailnet."""

import getpass
import json
import os
import socket
import subprocess
from dataclasses import replace
from ipaddress import ip_address
from queue import Empty, Queue
from threading import Thread
from typing import Any

from lkhub.host.engine import bundled_engine
from lkhub.host.tailscale import ask_tailscale, judge_tailscale
from lkhub.plan.facts import LookedUp
from lkhub.spec.model import Spec
from lkhub.spec.types import Address, AskStun

# A name server that has not answered by then is not going to.
RESOLVE_SECONDS = 5.0

# A name server has said that there is none (getaddrinfo(3)); all other errors say nothing of the name.
_NO_ADDRESS = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))

# The engine gives a STUN server 3 s; this is for an engine that hangs.
STUN_SECONDS = 6.0


def look_up(spec: Spec, *, ask_domain: bool) -> LookedUp:
    """Ask whom the spec names, and nobody else. A failure is told, never raised."""
    found = LookedUp()
    if isinstance(spec.media.advertise, AskStun):
        found = _ask_stun(spec.media.advertise.server)
    elif ask_domain and spec.domain:
        found = LookedUp(domain=resolve(spec.domain))
    if spec.tls.mode == "tailscale":
        facts = ask_tailscale()
        for problem in judge_tailscale(facts, spec.domain, _user_name()):
            return replace(found, problem=problem.message, hint=problem.hint)
        found = replace(found, tailnet=facts.name)
    return found


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without an entry, as in a container
        return str(os.getuid())


def resolve(name: str) -> tuple[Address, ...]:
    """The addresses of a DNS name, as this machine's resolver tells them in time; () where it has none."""
    return ask_resolver(name, RESOLVE_SECONDS) or ()


def ask_resolver(name: str, seconds: float) -> tuple[Address, ...] | None:
    """The addresses of a DNS name, () where it has none; None where this machine's resolver did not say in time."""
    answers: Queue[list[Any] | None] = Queue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM))
        except socket.gaierror as error:
            answers.put([] if error.errno in _NO_ADDRESS else None)
        except (OSError, UnicodeError):
            answers.put(None)

    # The resolver has no deadline to set; one that hangs is left behind, and holds nobody up at the end.
    Thread(target=ask, daemon=True).start()
    try:
        found = answers.get(timeout=seconds)
    except Empty:
        return None
    if found is None:
        return None
    return tuple(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def _ask_stun(server: str) -> LookedUp:
    argv = [bundled_engine(), "stun", "--server", server]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=STUN_SECONDS)
        answer = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        return LookedUp(problem=f"the engine did not ask it: {type(error).__name__}")
    if "error" in answer:
        return LookedUp(problem=answer["error"]["message"])
    return LookedUp(stun=ip_address(answer["address"]))
