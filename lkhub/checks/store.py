"""Findings about the store. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from shlex import quote
from typing import Protocol

from lkhub.findings.catalogue.store import store_fails, store_of_another_hub
from lkhub.findings.finding import Finding, Fix


class Trouble(Protocol):
    """What is known of the store: lkhub.state.store.StoreRecord."""

    @property
    def file(self) -> str: ...
    @property
    def failing(self) -> float | None: ...
    @property
    def problem(self) -> str: ...
    @property
    def text(self) -> str: ...


def check_store(trouble: Trouble, *, read_only: bool = False) -> Iterator[Finding]:
    """A finding where the store can't be used. `read_only`: its file system takes no writes, so the service could not
    write that the store can't be used."""
    if trouble.failing is None:
        if read_only:
            yield store_fails("the store refuses to be used").about(
                "store",
                detail=f"the file system of {trouble.file} is read-only",
                # Not `findmnt -O ro`: ext4 that takes no writes after an error stays mounted rw,emergency_ro.
                fix=(
                    Fix(
                        "see how it is mounted: with ro, or with emergency_ro after an error of the disk (`dmesg`)",
                        f"findmnt -T {quote(trouble.file)}",
                    ),
                ),
            )
        return
    reason, _, detail = trouble.text.partition(": ")
    since = f"{datetime.fromtimestamp(trouble.failing, UTC):%Y-%m-%d %H:%M:%S %Z}"
    if trouble.problem == "foreign":
        yield store_of_another_hub().about(
            "store",
            detail=f"since {since}: {detail or reason}",
            fix=(Fix("name a database of its own in `store`", "lkhub up"),),
        )
        return
    yield store_fails(reason).about(
        "store",
        detail=f"since {since}: {detail or reason}",
        fix=(_find_fix(trouble.problem, trouble.file), Fix("see what the service says of it", "lkhub logs serve")),
    )


def _find_fix(problem: str, file: str) -> Fix:
    """What to do first. `file` is that of SQLite, or ""."""
    match problem, bool(file):
        case "gone", True:
            return Fix(f"put {file} back, or move a backup there; to begin with an empty one, remove store.json too")
        case "gone", False:
            return Fix("see whether PostgreSQL runs and lets this machine in")
        case "locked", True:
            return Fix("end the program that holds it", f"fuser -v {quote(file)}")
        case "locked", False:
            return Fix("end the session that holds it: PostgreSQL lists them in pg_locks")
        case "full", True:
            return Fix("free some space", f"df -h {quote(file)}")
        case "full", False:
            return Fix("free some space where PostgreSQL has its files")
        case "corrupted", True:
            return Fix(
                "see what is damaged, and put a backup in its place", f"sqlite3 {quote(file)} 'PRAGMA integrity_check'"
            )
        case "refused", True:
            return Fix("let this user write to the file and to its folder", f"ls -l {quote(file)}")
        case "refused", False:
            return Fix(
                "see whether the user and the password of `store` are right, the database is this user's "
                "(`ALTER DATABASE NAME OWNER TO USER`), and it takes writes"
            )
        case "encoding", _:
            # Without the locale, PostgreSQL refuses UTF8 where its own locale has another encoding.
            made = "createdb -E UTF8 --locale=C -T template0 NAME"
            return Fix("make a database in UTF8, and name it in `store`", made)
        case "newer", _:
            return Fix("run the lkhub that wrote it, or put the backup from before its upgrade in its place")
        case _:
            return Fix("see what the database itself says in its log")
