"""How large the programs of a hub's image are, beside those of the three images that a user would run instead."""

import os
import tarfile
import tempfile
from pathlib import Path

from bench.result import Result
from bench.stock import build_stock
from lkhub.host.programs import copy_programs
from tests.kit.proxies import find_program

MEGABYTE = 1_000_000


def measure() -> Result:
    """What each adds to the image that it is built on."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        copy_programs(f"{folder}/hub", for_all=False)
        stock = {
            "livekit-server": Path(build_stock(Path(folder))),
            "Caddy": Path(os.path.realpath(find_program("caddy"))),
            "Redis": Path(os.path.realpath(find_program("redis-server"))),
        }
        found = {"hub": measure_path(Path(folder, "hub"))}
        found |= {name: measure_path(program) for name, program in stock.items()}
    together = tuple(sum(found[name][at] for name in stock) for at in (0, 1))
    rows = [[name, _show(found[name][0]), _show(found[name][1])] for name in stock]
    rows.append(["livekit-server, Caddy and Redis together", *map(_show, together)])
    rows.append(["hub", *map(_show, found["hub"])])
    rows.append(["ratio", *(f"{mine / theirs:.2f}" for mine, theirs in zip(found["hub"], together, strict=True))])
    return Result(
        "image",
        "What the programs add to the image that they are built on, without that image, as files and as a layer that "
        "is compressed with gzip, as registries keep it. For the hub: lkhub with all packages, engine and front end, "
        "as the Dockerfile of `lkhub render compose` installs them. Beside it: livekit-server built as for the start, "
        "and Caddy and redis-server of Debian, without the libraries that they load.",
        [{"program": name, "files": files, "layer": layer} for name, (files, layer) in found.items()],
        ("program", "files", "layer"),
        rows,
    )


def measure_path(path: Path) -> tuple[int, int]:
    """The bytes of a file, or of all files in a folder, and of a layer with them."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file() and not each.is_symlink()]
    with tempfile.TemporaryFile() as written:
        with tarfile.open(fileobj=written, mode="w:gz", compresslevel=6) as layer:
            layer.add(path, path.name)
        return sum(each.stat().st_size for each in files), written.tell()


def _show(size: int) -> str:
    return f"{size / MEGABYTE:.0f} MB"
