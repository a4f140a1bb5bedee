"""`lkhub check`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lkhub.cli.shared.options import Json
from lkhub.cli.shared.show import out, show_findings
from lkhub.cli.shared.show_json import show_json
from lkhub.errors import EXIT_UNWELL
from lkhub.findings.finding import Finding
from lkhub.findings.fold import fold
from lkhub.hub.check import check_files
from lkhub.shown import tame_line


def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files, or folders with them.")],
    json: Json = False,
) -> None:
    """Say what is wrong with the configuration files of any LiveKit, and what to write instead.

    It reads livekit.yaml, as the bundled livekit-server would. Of a folder it reads the files of YAML. Nothing that
    they name is run, and nothing is sent. Exits 1 where a program would not start with one of them.
    """
    judged = check_files(paths)
    findings = [finding for file in judged for finding in file.findings]
    if json:
        show_json({"files": [file.as_json() for file in judged], "findings": [each.as_json() for each in findings]})
    else:
        for file in judged:
            if file.kind != "unknown" or file.findings:
                out.print(f"{tame_line(file.path)}: {file.kind}, {file.verdict}")
        show_findings(fold(map(_place, findings)))
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(EXIT_UNWELL)


def _place(finding: Finding) -> Finding:
    """The finding with its place in its title."""
    where = finding.where
    line = f":{where.line}" if where and where.line else ""
    return replace(finding, title=f"{tame_line(where.file if where else finding.subject)}{line}: {finding.title}")
