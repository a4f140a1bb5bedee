"""The record of the last build of a web site."""

from dataclasses import dataclass

from lkhub.plan.paths import StatePaths
from lkhub.source.typed import Epoch
from lkhub.state.document import find_record, write_record
from lkhub.wire.site_build import Builder

# A token is renewed when it has a week left, or a quarter of its time if that is less.
_RENEW_SECONDS = 7 * 86400
_RENEW_PART = 4


@dataclass(frozen=True)
class ServedBuild:
    """The build that visitors get: when it began (epoch seconds), the ID of the key that its tokens were signed with,
    and when the first of them ends; "" and None where it has none. `files` is a digest of its files, "" in the record
    of an earlier version."""

    at: Epoch
    key: str = ""
    until: Epoch | None = None
    files: str = ""

    def is_due(self, now: float) -> bool:
        """Whether a token is about to end, or has ended."""
        return self.until is not None and self.until - now < min(_RENEW_SECONDS, (self.until - self.at) / _RENEW_PART)


@dataclass(frozen=True)
class SiteBuildRecord:
    """A build: `inputs` and `again` are those of its SiteBuild, `at` is when it ended (epoch seconds). `problem` is why
    it failed, "" where it succeeded, and `lines` are the last lines of its output. `apart`: it ran as another user than
    the hub. `served`: see ServedBuild; None before the first build that succeeded. `missing`: what should have made the
    build, and has not asked for it."""

    inputs: str
    again: str
    at: Epoch
    problem: str = ""
    lines: tuple[str, ...] = ()
    apart: bool = False
    served: ServedBuild | None = None
    missing: Builder = ""


def find_site_build(paths: StatePaths, site: str) -> SiteBuildRecord | None:
    """The record; None before the first build, and where it can't be read."""
    return find_record(SiteBuildRecord, paths.site_record(site))


def write_site_build(paths: StatePaths, site: str, record: SiteBuildRecord) -> None:
    """Raises MachineError."""
    write_record(record, paths.site_record(site))


def choose_again(record: SiteBuildRecord | None, inputs: str, key: str, now: float) -> str:
    """The `again` of a build with these inputs, where `key` is the hub's current key: that of the last build where
    nothing has to be built."""
    if record is None or record.inputs != inputs:
        return ""
    served = record.served
    if record.problem or served is None or served.is_due(now) or served.key not in ("", key):
        return str(record.at)
    return record.again
