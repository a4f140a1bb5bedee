"""`lkhub render`: the files that follow from a spec, to read or to use elsewhere."""

import difflib
import os
import stat
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lkhub.cli.shared.options import Spec, State
from lkhub.cli.shared.rendered import (
    PLACE,
    RECORD,
    Rendered,
    find_left,
    is_known,
    keep_edit,
    read_rendered,
    show_left,
    write_rendered,
)
from lkhub.cli.shared.show import err, say, show_hints, type_again
from lkhub.errors import EXIT_UNWELL, InputError
from lkhub.host.acting import acting_as_owner
from lkhub.host.files import digest, explain_os_errors, read_bytes, require_own_links, user_name, write_private
from lkhub.hub.locate import DEFAULT_SPEC, find_spec, find_state
from lkhub.plan.model import Plan
from lkhub.prepare.hub import plan_elsewhere, plan_hub, prepare_hub
from lkhub.render.files import RenderedFile
from lkhub.render.targets.all import TARGETS
from lkhub.render.targets.target import Given, Target
from lkhub.shown import tame

# mypy wants the members of an enum written out; these come from a table.
TargetName = StrEnum("TargetName", list(TARGETS))  # type: ignore[misc]


def _list_forms(option: str) -> str:
    """The help text of an option that selects a single form."""
    takes = {
        target.name: target.forms.names for target in TARGETS.values() if target.forms and target.forms.option == option
    }
    return "; ".join(f"{name}: one alone, of {', '.join(forms)}" for name, forms in takes.items())


def render(
    target: Annotated[
        TargetName,
        typer.Argument(
            help=" ".join(f"{target.name}: {target.help}" for target in TARGETS.values()),
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="The folder to write to. Default: one file, on stdout."),
    ] = None,
    diff: Annotated[
        bool,
        typer.Option(
            "--diff",
            help="Show what would change in DIR, or no longer belongs there, and write nothing; exits 1 for any.",
        ),
    ] = False,
    form: Annotated[str | None, typer.Option("--format", help=f"{_list_forms('--format')}.")] = None,
    proxy: Annotated[str | None, typer.Option("--for", help=f"{_list_forms('--for')}.")] = None,
    spec: Spec = None,
    state: State = None,
) -> None:
    """Write the files of a target into a folder.

    They hold no secrets: those stay in the state directory, which the files name. Files that were written there before
    and no longer follow from the spec are named, and stay. A file that was edited since is kept beside the new one.
    """
    chosen = TARGETS[target]
    for option, given in (("--format", form), ("--for", proxy)):
        chosen.require_form(option, given)
    alone = form or proxy
    if alone is None and output is None and chosen.forms:
        alone = chosen.forms.first
    plan, made_from = _plan(spec, state, chosen)
    files = chosen.render(plan, made_from, alone)
    if output is None:
        if diff or len(files) > 1:
            raise InputError(
                "-o DIR is missing",
                hints=(
                    f"it is written as {' and '.join(f.name for f in files)}",
                    f"`{type_again('-o', '.')}` {'compares with' if diff else 'writes into'} this folder",
                ),
            )
        print(files[0].text, end="")
        return
    if os.path.lexists(output) and not output.is_dir():
        raise InputError(f"{output} is not a folder", hints=("-o takes a folder, for all files of the target",))
    _require_places(files, output)
    known, recorded = read_rendered(output), f"{chosen.name}:{alone}" if alone else chosen.name
    names = {file.name for file in files}
    left = find_left(known, recorded, names, output)
    if diff:
        differs = _show_difference(files, output)
        show_left(left, output)
        if differs or left:
            raise typer.Exit(EXIT_UNWELL)
        return
    _write(files, known, recorded, output, left)
    show_left(left, output)
    if chosen.beside_spec:
        _compare_spec(made_from, output)


def _compare_spec(made_from: Given, folder: Path) -> None:
    """Say that the hub would read another spec than the one that was rendered, or none."""
    there = read_bytes(str(folder / DEFAULT_SPEC), PLACE)
    if (there or b"") == made_from.spec:
        return
    if there is None:
        what = f"there is no {DEFAULT_SPEC} in {folder}; the hub that starts there would have defaults"
    else:
        what = f"{folder / DEFAULT_SPEC} is another spec than the rendered one, and the hub that starts there reads it"
    say(what, "warning", "yellow")
    show_hints([f"-o takes the folder of the spec, which has to be called {DEFAULT_SPEC}"])


def _require_places(files: tuple[RenderedFile, ...], folder: Path) -> None:
    """Raise InputError, with all of them, where a folder is in the place of a file, or a file in that of a folder; or
    for a link that another user has put on the way."""
    wanted = [folder / name for name in (*(file.name for file in files), RECORD)]
    for path in wanted:
        require_own_links(str(path))
    with explain_os_errors(folder, "look into", PLACE):
        folders = [path for path in wanted if path.is_dir()]
        above = {each for path in wanted for each in path.parents if each.is_relative_to(folder)}
        others = sorted(path for path in above if os.path.lexists(path) and not path.is_dir())
    told = [f"{path} is a folder, and a file belongs there" for path in folders]
    told += [f"{path} is not a folder, and one belongs there" for path in others]
    if told:
        raise InputError(
            "\n".join(told), hints=("move it away, or choose another folder with -o DIR; nothing was written",)
        )


def _write(files: tuple[RenderedFile, ...], known: Rendered, recorded: str, output: Path, left: list[str]) -> None:
    """Write the files, and what the record says of them, which is called `recorded` there."""
    names = {file.name for file in files}
    before = known.get(recorded, {})
    written = {file.name: digest(file.text.encode()) for file in files if not file.kept}
    others = {name: before.get(name, "") for name in names.union(left)}
    with explain_os_errors(output, "create", PLACE):
        output.mkdir(parents=True, exist_ok=True)
    # Before the first one: where this is cut off, files of both kinds are here, and none of them was edited.
    either = {name: ",".join(filter(None, sorted({before.get(name, ""), text}))) for name, text in written.items()}
    write_rendered(known, recorded, others | either, output)
    for file in files:
        path = str(output / file.name)
        if file.kept and os.path.exists(path):
            err.print(f"{path}: kept")
            continue
        with explain_os_errors(output, "create", PLACE):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        kept = keep_edit(known, file, output)
        changed = write_private(path, file.text, file.mode, place=PLACE)
        err.print(f"{path}: {'written' if changed else 'unchanged'}")
        if kept:
            was = "was edited" if is_known(known, file) else "was there, and nothing says that lkhub wrote it"
            say(f"{path} {was}; it is written now, and what was there is kept as {kept}", "note", "cyan")
    write_rendered(known, recorded, others | written, output)


def _plan(spec: Path | None, state: Path | None, target: Target) -> tuple[Plan, Given]:
    # Before root acts as another user, who may not see the current folder.
    found, where = find_spec(spec), find_state(state)
    if target.judges_keys:
        # The state directory of a service is its user's, for whom keys are generated the first time.
        with acting_as_owner(where):
            if found:
                _require_readable(found, where)
            hub = prepare_hub(found, where, os.environ)
        return hub.plan, Given(hub.interfaces, hub.raw)
    if target.elsewhere and target.installation:
        planned = plan_elsewhere(found, target.installation, starts=target.starts)
    else:
        planned = plan_hub(found, where, target.installation, starts=target.starts)
    return planned.plan, Given(planned.network.interfaces, planned.raw)


def _require_readable(spec: str, state: str) -> None:
    try:
        os.close(os.open(spec, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except PermissionError:
        user = user_name(os.geteuid())
        raise InputError(
            f"{user} can't read {os.path.abspath(spec)}, and this runs as {user}, who owns {state}",
            hints=(f"put a copy where {user} can read it, or name another state directory with --state DIR",),
        ) from None
    except OSError:
        pass  # what reads it says why


def _show_difference(files: tuple[RenderedFile, ...], folder: Path) -> bool:
    """Print how what is in the folder differs from what would be, with the permissions that count; whether it does."""
    differs = False
    for file in files:
        path = str(folder / file.name)
        if file.kept and os.path.exists(path):
            continue
        if os.path.exists(path) and _is_wrong(mode := stat.S_IMODE(os.stat(path).st_mode), file.mode):
            print(f"{path}: old mode {mode:04o}\n{path}: new mode {file.mode:04o}")
            differs = True
        old = (read_bytes(path, PLACE) or b"").decode(errors="replace").splitlines(keepends=True)
        for line in difflib.unified_diff(old, file.text.splitlines(keepends=True), path, f"{path} (rendered)"):
            end = "" if line.endswith("\n") else "\n\\ No newline at end of file\n"
            print(tame(line) if sys.stdout.isatty() else line, end=end)
            differs = True
    return differs


def _is_wrong(mode: int, wanted: int) -> bool:
    """Whether a file can't be run that has to be, or the other way round; or others may read one that is for its owner
    alone. The rest follows from the umask in a checkout: git keeps the first of these and nothing else."""
    return bool((mode ^ wanted) & stat.S_IXUSR or (mode & _OTHERS and not wanted & _OTHERS))


_OTHERS = stat.S_IRWXG | stat.S_IRWXO
