"""Causes at an external TURN server, which the spec names in turn.external and which is no part of the hub. Pure."""

from collections.abc import Callable, Mapping

from lkhub.checks import causes_connection, causes_http, causes_media
from lkhub.checks.called import FOREIGN
from lkhub.checks.causes import Cause, explain, undecided
from lkhub.checks.paths import PathResult
from lkhub.findings.finding import Fix

_TABLES = (causes_connection.CAUSES, causes_http.CAUSES, causes_media.CAUSES)

_ENTRY = "its entry in turn.external"
_RUN_FIX = Fix("see on its machine whether it runs; for coturn", "systemctl status coturn")
_ADDRESS_FIX = Fix(f"or give {_ENTRY} the address and the port at which it listens")


def explain_external(result: PathResult) -> Cause:
    """The cause, as for any server of which nothing is known. The fixes are for the server and for its entry in this
    hub's spec."""
    cause = explain(result, FOREIGN, _TABLES)
    if own := _CAUSES.get(result.reason):
        return own(result, cause.why)
    return Cause(cause.why, tuple(fix for fix in cause.fix if not (fix.command or "").startswith("lkhub ")))


def _does_not_listen(result: PathResult, why: str) -> Cause:
    return Cause(why, (_RUN_FIX, _ADDRESS_FIX))


def _silent(result: PathResult, why: str) -> Cause:
    url = (result.relay or result.evidence.get("relay", "")).split(", ")[0]
    where = url.partition("?")[0].partition(":")[2]
    port = f"{where.rpartition(':')[2]}/{'udp' if result.path == 'turn-udp' else 'tcp'}"
    why = undecided("it does not run", f"a firewall in front of it drops {port}", "it is at another address")
    open_fix = Fix(f"open {port} on its machine, and in the firewalls in front of that")
    return Cause(f"nothing came back from the TURN server at {where}: {why}", (_RUN_FIX, open_fix, _ADDRESS_FIX))


def _without_tls(result: PathResult, why: str) -> Cause:
    certify = Fix("give it a certificate; coturn: cert= and pkey=")
    return Cause(why, (certify, Fix(f"or give {_ENTRY} the port at which it has TLS")))


def _other_name(result: PathResult, why: str) -> Cause:
    names = result.evidence.get("names", "")
    return Cause(why, (Fix(f"give {_ENTRY} the name that its certificate is for{f': {names}' if names else ''}"),))


def _web_server(result: PathResult, why: str) -> Cause:
    return Cause(
        "a web server has the port that clients are told for TURN over TLS, and does not forward TURN",
        (
            Fix(f"give {_ENTRY} the port at which the TURN server has TLS"),
            Fix("or have the web server forward TLS for that name unchanged to the TURN server"),
        ),
    )


_CAUSES: Mapping[str, Callable[[PathResult, str], Cause]] = {
    "refused": _does_not_listen,
    "silent": _silent,
    "turn-silent": _silent,
    "not-tls": _without_tls,
    "tls-alert": _other_name,
    "wrong-name": _other_name,
    "turn-is-web": _web_server,
}
