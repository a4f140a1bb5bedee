"""Questions to other servers that the spec asks for: the name servers, a STUN server, the tailnet."""

import subprocess
from dataclasses import replace
from ipaddress import ip_address

from lkhub.host.environ import tool_environ
from lkhub.host.resolver import RESOLVE_SECONDS, ask_resolver
from lkhub.host.tailscale import ask_tailscale, judge_tailscale
from lkhub.plan.installation import Installation
from lkhub.plan.network import LookedUp
from lkhub.spec.address import AskStun
from lkhub.spec.model import Spec
from lkhub.wire.engine import StunAnswer
from lkhub.wire.failure import Failure, parse_answer

# The engine gives a STUN server 3 s; this is for an engine that hangs.
STUN_SECONDS = 6.0


def look_up(spec: Spec, installation: Installation, *, ask_domain: bool) -> LookedUp:
    """Ask the servers that the spec names, and no others. A failure is part of the result, never raised."""
    found = LookedUp()
    if isinstance(spec.media.advertise, AskStun):
        found = _ask_stun(installation.engine, spec.media.advertise.server)
    elif ask_domain and spec.domain:
        found = LookedUp(domain=ask_resolver(spec.domain, RESOLVE_SECONDS))
    if spec.tls.mode == "tailscale":
        facts = ask_tailscale()
        for problem in judge_tailscale(facts, spec.domain, installation.user):
            return replace(found, no_tailnet=problem)
        found = replace(found, tailnet=facts.name)
    return found


def _ask_stun(engine: str, server: str) -> LookedUp:
    argv = [engine, "stun", "--server", server]
    try:
        done = subprocess.run(argv, env=tool_environ(), capture_output=True, text=True, timeout=STUN_SECONDS)
        answer = parse_answer(StunAnswer, done.stdout)
        if isinstance(answer, Failure):
            return LookedUp(stun_failure=answer.message)
        return LookedUp(stun=ip_address(answer.address))
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        return LookedUp(stun_failure=f"the engine did not ask it: {type(error).__name__}")
