"""Copies of lkhub with all that it imports, each a folder with an environment of its own: a hub that is a service does
not change when its user upgrades or removes the lkhub that installed it."""

import contextlib
import filecmp
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lkhub
from lkhub.errors import MachineError
from lkhub.firewall.table import Command
from lkhub.host.commands import Done, run_command
from lkhub.host.engine import bundled_engine, engine_build, require_engine
from lkhub.host.files import FIXED_PLACE, digest, explain_os_errors, require_room
from lkhub.host.lock import hold_folder, is_held
from lkhub.host.trees import list_tree
from lkhub.plan.service import HIDDEN

# A name of `name_build`.
_BUILD = re.compile(r"[0-9][0-9A-Za-z.+]*-[0-9a-f]{8}")

# How the name of a copy begins that is being made, after a dot.
HALF_MADE = "lkhub-new-"

# Everybody may run it, and read it: there is no secret in it.
_MODE = 0o755

# Ten seconds on two idle cores. A busy machine takes more than a minute, and then an install must not fail.
COMPILE_SECONDS = 600


def name_build() -> str:
    """A name for the lkhub that runs, such as `0.1.0-3f2a9c01`. Two builds of one version have two names."""
    package = Path(lkhub.__file__).parent
    files = sorted(file for file in package.rglob("*") if file.suffix in (".py", ".html", ".js", ".css"))
    needed = sorted(f"{each.name}=={each.version}" for each in list_distributions("lkhub"))
    parts = [*needed, _own_suffix(), engine_build(bundled_engine()), *(digest(file.read_bytes()) for file in files)]
    return f"{lkhub.__version__}-{digest(chr(0).join(parts).encode())[:8]}"


def is_copy() -> bool:
    """Whether the lkhub that runs is a copy that `copy_programs` has made, as a service's is."""
    return _BUILD.fullmatch(os.path.basename(os.path.realpath(sys.prefix))) is not None


def copy_programs(folder: str, *, for_all: bool = True) -> bool:
    """Make `folder`, an absolute path, a copy of the lkhub that runs, by a Python that every user can run, or (not
    `for_all`) by the one that runs. Returns whether it was made: one that is there is
    whole, since it appears under its name when it is complete, and is left where it runs. Raises MachineError."""
    if os.path.isdir(folder) and _runs(folder):
        return False
    require_engine(bundled_engine())

    def fill(packages: str) -> None:
        for each in list_distributions("lkhub"):
            copy_distribution(each, packages)
        # An editable installation has the package elsewhere.
        source = Path(lkhub.__file__).parent
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, f"{packages}/lkhub", dirs_exist_ok=True, ignore=ignored)

    hint = f"`{sys.executable} -P -m lkhub --version` shows whether the lkhub that you typed does"
    make_copy(os.path.dirname(folder), fill, lambda _: os.path.basename(folder), for_all=for_all, hint=hint)
    return True


def make_copy(
    parent: str, fill: Callable[[str], None], name: Callable[[str], str], *, for_all: bool = True, hint: str = ""
) -> str:
    """Make a folder in `parent` with an environment of its own for an lkhub: `fill` puts the packages into the folder
    that it is given, and `name` names the copy once that is complete. It appears under its name then. Returns its
    path. Raises MachineError, with `hint` where the copy does not run; what was made is removed."""
    with explain_os_errors(parent, "write", FIXED_PLACE):
        os.makedirs(parent, exist_ok=True)
        os.chmod(parent, _MODE)
        with _new_folder(parent) as made:
            _make_environment(made, _find_python() if for_all else os.path.realpath(sys.executable))
            fill(sysconfig.get_path("purelib", "venv", vars={"base": made, "platbase": made}))
            _add_programs(made)
            _compile(made)
            _open_to_all(made)
            if not _runs(made):
                raise MachineError("the copy of lkhub does not run", hints=(hint,) if hint else ())
            folder = os.path.join(parent, name(made))
            # Otherwise the folder may have its name, and empty files, after a power cut.
            os.sync()
            if os.path.isdir(folder):
                shutil.rmtree(folder)
            os.rename(made, folder)
    return folder


@contextlib.contextmanager
def _new_folder(parent: str) -> Iterator[str]:
    """A folder to make a copy in. It is locked, so that no other command takes it for one that was left, and removed
    where the block fails."""
    made = tempfile.mkdtemp(prefix=f".{HALF_MADE}", dir=parent)
    try:
        with hold_folder(made):
            yield made
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def add_uv(folder: str, uv: str) -> None:
    """Put the program uv beside the Python of a copy, where `lkhub up` looks for it first: the service may not see the
    one that is on the PATH here. Raises MachineError."""
    place = f"{folder}/bin/uv"
    with explain_os_errors(place, "write", FIXED_PLACE):
        if os.path.exists(place) and filecmp.cmp(uv, place, shallow=False):
            return
        # Agents may be installed with the earlier one at this moment.
        shutil.copyfile(uv, f"{place}.new")
        os.chmod(f"{place}.new", _MODE)
        os.replace(f"{place}.new", place)


def remove_programs(parent: str, kept: Collection[str] = ()) -> None:
    """Remove the copies in `parent` that are not among the folders `kept`, and what a killed copy has left. Whatever
    else is in there is not lkhub's."""
    # By their real paths: `parent` may be below a link.
    stay = {os.path.realpath(each) for each in kept}
    for path in Path(os.path.realpath(parent)).iterdir():
        if _BUILD.fullmatch(path.name) and str(path) not in stay and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
    remove_half_made(parent)


def remove_half_made(parent: str) -> None:
    """Remove what commands that were killed have left in `parent`, and not what another one is making."""
    for path in Path(parent).glob(f".{HALF_MADE}*"):
        if not is_held(str(path)):
            shutil.rmtree(path, ignore_errors=True)


def _runs(folder: str) -> bool:
    try:
        return run_command(Command((f"{folder}/bin/lkhub", "--version"))).code == 0
    except MachineError:
        return False


def _open_to_all(folder: str) -> None:
    """Let every user read and run it, whatever this user's umask is: there is no secret in it."""
    for path in (folder, *list_tree(folder)):
        if not os.path.islink(path):
            mode = os.stat(path).st_mode & 0o777
            os.chmod(path, mode | (0o555 if mode & 0o111 else 0o444))


def point_to(folder: str, link: str) -> None:
    """Make the symbolic link `link` lead to `folder`, at once: whoever reads it finds the old folder or the new one."""
    with explain_os_errors(link, "write", FIXED_PLACE):
        if os.path.islink(link) and os.readlink(link) == folder:
            return
        beside = f"{link}.new"
        if os.path.lexists(beside):
            os.unlink(beside)
        os.symlink(folder, beside)
        os.replace(beside, link)


def _find_python() -> str:
    """A Python that every user can run, and that loads the compiled modules of ours. One below /root, as of pyenv or
    uv, is for root alone. Raises MachineError."""
    own = os.path.realpath(sys.executable)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (own, f"/usr/local/bin/{version}", f"/usr/bin/{version}"):
        if os.path.exists(path) and _is_open(path) and _ask_suffix(path) == _own_suffix():
            return path
    raise MachineError(
        f"the service could not run {own}, which other users can't reach, and there is no /usr/bin/{version}",
        hints=("install lkhub with the Python of the system, as `/usr/bin/python3 -m venv /opt/lkhub-setup`",),
    )


def _is_open(path: str) -> bool:
    real = Path(os.path.realpath(path))
    if str(real).startswith(HIDDEN):
        return False
    return all(each.stat().st_mode & 0o001 for each in (real, *real.parents))


def _ask_suffix(python: str) -> str:
    """The ending of this Python's compiled modules, which names its version and its system; "" where it does not
    run."""
    if python == os.path.realpath(sys.executable):
        return _own_suffix()
    argv = [python, "-I", "-c", "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))"]
    done = run_command(Command(tuple(argv)))
    return done.out.strip() if done.code == 0 else ""


def _own_suffix() -> str:
    return str(sysconfig.get_config_var("EXT_SUFFIX"))


def _make_environment(folder: str, python: str) -> None:
    # Without pip: nothing is ever installed into it.
    require_environment(run_command(Command((python, "-I", "-m", "venv", "--without-pip", folder))), folder)


def require_environment(done: Done, folder: str) -> None:
    """Raise MachineError where Python's `venv` could not make an environment in the folder, and say why."""
    if done.code == 0:
        return
    require_room(folder)
    hint = "Debian and Ubuntu: `apt install python3-venv`"
    raise MachineError(f"can't make an environment for Python: {done.said}", hints=(hint,))


def _add_programs(folder: str) -> None:
    programs = Path(folder, "bin")
    target = Path(sysconfig.get_path("purelib", "venv", vars={"base": folder, "platbase": folder}))
    (programs / "lkhub-engine").symlink_to(os.path.relpath(target / "lkhub/bin/lkhub-engine", programs))
    # Not the script of pip, whose first line names another folder.
    script = programs / "lkhub"
    script.write_text('#!/bin/sh\nexec "$(dirname "$(readlink -f "$0")")/python" -P -m lkhub "$@"\n')
    script.chmod(_MODE)


def _compile(folder: str) -> None:
    """The service can't write beside its modules, and would compile them at each start."""
    argv = (f"{folder}/bin/python", "-I", "-m", "compileall", "-q", "-j", "0", f"{folder}/lib")
    run_command(Command(argv), COMPILE_SECONDS)


@dataclass(frozen=True)
class Needed:
    """The distributions that requirements name (`met`), and those requirements that none of them meets, since it is
    not there or has another version."""

    met: tuple[Distribution, ...]
    unmet: tuple[str, ...]


def find_needed(requires: Iterable[str], find: Callable[[str], Distribution] = distribution) -> Needed:
    """What `requires` and what is required in turn comes to among the installed distributions. `find` gives the one of
    this name."""
    met: dict[str, Distribution] = {}
    unmet: dict[str, None] = {}
    seen: set[tuple[str, str]] = set()
    wanted = [(text, "") for text in requires]
    while wanted:
        text, extra = wanted.pop()
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = str(canonicalize_name(requirement.name))
        try:
            found = met.get(name) or find(name)
        except PackageNotFoundError:
            unmet[text] = None
            continue
        if not requirement.specifier.contains(found.version, prereleases=True):
            unmet[text] = None
        met[name] = found
        for more in ("", *requirement.extras):
            if (name, more) not in seen:
                seen.add((name, more))
                wanted += [(each, more) for each in found.requires or ()]
    return Needed(tuple(met.values()), tuple(unmet))


def list_distributions(name: str) -> Iterator[Distribution]:
    """The distribution of this name and all that it needs here. Raises PackageNotFoundError."""
    needed = find_needed([name])
    for text in needed.unmet:
        distribution(Requirement(text).name)  # one of another version does here too
    yield from needed.met


def copy_distribution(found: Distribution, packages: str) -> None:
    """Copy a distribution into a folder of packages. Raises MachineError."""
    if found.files is None:
        raise MachineError(
            f"which files {found.name} has is not recorded on this machine, so it can't be copied",
            hints=("install lkhub with pip in an environment of its own: `python3 -m venv /opt/lkhub-setup`",),
        )
    for file in found.files:
        # Scripts are outside of the packages' folder, and compiled modules are made anew.
        if ".." in file.parts or "__pycache__" in file.parts or file.suffix == ".pth":
            continue
        source, place = Path(str(file.locate())), Path(packages, file)
        if source.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place)
