"""How long a backup and a restore take, and what a hub's store adds to them."""

import subprocess
import time
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

from bench.result import Result
from bench.stats import median, quantile
from tests.kit.hub import Hub, make_hub

# A hub of a company that has been up for years: half a million rows of the log of tokens.
STORE_BYTES = 100_000_000

SPEC = "access: {modes: [api-keys]}\n"

ROWS = {
    "backup_passphrase_s": "`lkhub backup`, passphrase",
    "restore_passphrase_s": "`lkhub restore`, passphrase",
    "backup_key_s": "`lkhub backup`, SSH key",
    "restore_key_s": "`lkhub restore`, SSH key",
    "backup_large_s": "`lkhub backup`, SSH key, store of 100 MB",
    "restore_large_s": "`lkhub restore`, SSH key, store of 100 MB",
    "verified_s": "`lkhub up` after that, every path verified",
}


def measure(rounds: int) -> Result:
    """`rounds` of each, in turn, of a hub that is up while it is backed up."""
    with make_hub() as hub:
        hub.environ["LKHUB_PASSPHRASE"] = "correct horse battery staple"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", hub.folder / "key"], check=True)
        hub.write_spec(SPEC + hub.tls_lines)
        hub.up("--no-verify")
        by_key = (("--recipient", "key.pub"), ("--identity", "key"))
        runs = [time_both(hub, "passphrase", (), ()) | time_both(hub, "key", *by_key) for _ in range(rounds + 1)][1:]
        fill_store(hub.state / "store.db")
        large = [time_both(hub, "large", *by_key, verify=True) for _ in range(rounds)]
        runs = [{**run, **more} for run, more in zip(runs, large, strict=True)]
    rows = []
    for key, label in ROWS.items():
        values = [run[key] for run in runs]
        rows.append([label, f"{median(values):.2f} s", f"{quantile(values, 0.9):.2f} s"])
    return Result(
        "restore",
        "Seconds of the whole command, of a hub with `tls.mode: internal` and a store. The hub is up while it is "
        f"backed up, and the restore replaces it (`--force`) while it is down. {rounds} of each.",
        runs,
        ("what", "median", "p90"),
        rows,
    )


def time_both(
    hub: Hub, name: str, to: tuple[str, ...], by: tuple[str, ...], *, verify: bool = False
) -> dict[str, float]:
    """Seconds of a backup and of its restore; the hub is up again afterwards."""
    backup = time_command(hub, "backup", "hub.age", *to)
    hub.run("down", "--now")
    restore = time_command(hub, "restore", "hub.age", "--force", *by)
    verified = time_command(hub, "up", "--detach", *(() if verify else ("--no-verify",)))
    found = {f"backup_{name}_s": backup, f"restore_{name}_s": restore}
    return found | {"verified_s": verified} if verify else found


def time_command(hub: Hub, *arguments: str) -> float:
    began = time.perf_counter()
    done = hub.run(*arguments)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments[0]} failed: {done.stderr}")
    return time.perf_counter() - began


def fill_store(store: Path) -> None:
    """Grow the store of a hub that is up."""
    with closing(connect(store, timeout=30)) as connection:
        connection.execute("CREATE TABLE bench (text)")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO bench SELECT hex(randomblob(500)) FROM n",
            (STORE_BYTES // 1000,),
        )
        connection.commit()
