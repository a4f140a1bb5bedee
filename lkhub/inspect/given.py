"""Files as they were given, and what became of each."""

from dataclasses import dataclass, field
from typing import Literal

from lkhub.findings.finding import Finding

Kind = Literal["livekit.yaml", "unknown"]

# ok: nothing that is known keeps it from working. not-judged: what it would do is not known from the files.
Verdict = Literal["ok", "starts-but-broken", "will-not-start", "not-judged"]


@dataclass(frozen=True)
class GivenFile:
    """A file by the path that it is shown by. `text` may have secrets in it."""

    path: str
    text: str = field(repr=False)


@dataclass(frozen=True)
class JudgedFile:
    """What a file is, whether what reads it would start, and what is wrong with it."""

    path: str
    kind: Kind
    verdict: Verdict
    findings: tuple[Finding, ...] = ()

    def as_json(self) -> dict[str, object]:
        return {"path": self.path, "kind": self.kind, "verdict": self.verdict}
