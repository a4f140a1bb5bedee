"""livekit-server as its authors build it, from the modules that the engine is built from: without WARP, which is off by
default and needs modules that the module proxy does not serve."""

import os
import shutil
import subprocess
from pathlib import Path

from hatch_build import ensure_webrtc

ENGINE_SOURCE = Path(__file__).parents[1] / "engine"
PACKAGE = "github.com/livekit/livekit-server/cmd/server"


def build_stock(folder: Path, *flags: str) -> str:
    """Build livekit-server into `folder`; its path. Versions are the engine's; upstream gives `go build` no flags."""
    ensure_webrtc()
    # Its main package needs modules that the engine does not use, so it gets a separate go.mod.
    for name in ("go.mod", "go.sum"):
        shutil.copy(ENGINE_SOURCE / name, folder / name)
    program = folder / "livekit-server"
    modfile = f"-modfile={folder / 'go.mod'}"
    environ = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}
    command = ["go", "build", *flags, "-mod=mod", modfile, "-o", str(program), PACKAGE]
    subprocess.run(command, cwd=ENGINE_SOURCE, env=environ, check=True)
    return str(program)
