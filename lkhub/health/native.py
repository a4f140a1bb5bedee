"""Whether native clients would accept a chain for TURN over TLS. Pure but for its list of roots.

libwebrtc does not ask the system: it has its own few roots, without Let's Encrypt's (measured).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class NativeRoot:
    """A root compiled into libwebrtc. `fingerprint` is SHA-256 of its DER in lower-case hex."""

    fingerprint: str
    not_after: date
    subject: str

    @property
    def name(self) -> str:
        """What people call it."""
        return self.subject.split(",")[0].removeprefix("CN=")


@dataclass(frozen=True)
class NativeVerdict:
    """`accepted`: a native client finds one of its roots at the end of the chain; `detail` says which, or why not."""

    accepted: bool
    detail: str


def judge_native(chain: Iterable[tuple[str, str]], today: date) -> NativeVerdict:
    """Judge a chain as it is sent to clients: (SHA-256 of a certificate's DER in lower-case hex, its issuer as RFC
    4514 writes a name) for each, from the leaf on.

    An issuer is known by its name: only fingerprints of roots are at hand, not the roots.
    """
    links = list(chain)
    known = {root.fingerprint: root for root in load_roots()} | {root.subject: root for root in load_roots()}
    # Any certificate of a chain may lead to a root: authorities send more of it than each client needs.
    found = [known[part] for link in links for part in link if part in known]
    valid = [root for root in found if today <= root.not_after]
    if valid:
        return NativeVerdict(True, f"native clients know {valid[0].name}")
    if found:
        return NativeVerdict(False, f"{found[0].name} in native clients ended on {found[0].not_after}")
    issuer = links[-1][1] if links else "nobody"
    reason = f"the chain ends with {issuer}, which is not among the {len(load_roots())} roots of native clients"
    return NativeVerdict(False, reason)


@cache
def load_roots() -> tuple[NativeRoot, ...]:
    """libwebrtc's roots, as the file beside this one lists them."""
    lines = files(__package__).joinpath("libwebrtc_roots.txt").read_text().splitlines()
    rows = (line.split(" ", 2) for line in lines if not line.startswith("#"))
    return tuple(NativeRoot(fingerprint, date.fromisoformat(day), subject) for fingerprint, day, subject in rows)
