"""Judges anyone's configuration files: reads them, asks the engine's strict parser, and has them judged."""

from collections.abc import Iterable
from pathlib import Path

from lkhub.errors import MachineError
from lkhub.findings.catalogue.config import not_judged
from lkhub.host.engine import bundled_engine, check_config, require_engine
from lkhub.host.given_files import Read, read_given
from lkhub.inspect.given import GivenFile, JudgedFile
from lkhub.inspect.judge.livekit_yaml import judge_livekit_yaml
from lkhub.inspect.kinds import find_kind, find_top
from lkhub.source.yaml import parse_document

_SUFFIXES = ("yaml", "yml")


def check_files(paths: Iterable[Path]) -> tuple[JudgedFile, ...]:
    """What is wrong with these files, or with those in these folders. Raises InputError for a path where nothing is,
    and MachineError without an engine. Nothing is written, and no connection is opened."""
    engine = bundled_engine()
    require_engine(engine)
    return tuple(_judge(read, engine) for read in read_given(paths, _SUFFIXES))


def _judge(read: Read, engine: str) -> JudgedFile:
    if read.text is None:
        return JudgedFile(read.path, "unknown", "not-judged", (not_judged(read.left).about(read.path),))
    file = GivenFile(read.path, read.text)
    document = parse_document(read.text.encode(), read.path)
    if find_kind(file, set(document.data) or find_top(read.text)) == "livekit.yaml":
        try:
            messages = check_config(engine, read.text)
        except MachineError as error:
            unread = not_judged(f"the parser has not ended: {error.message}").about(read.path)
            return JudgedFile(read.path, "livekit.yaml", "not-judged", (unread,))
        return judge_livekit_yaml(file, document, messages)
    left = [not_judged("lkhub does not know files of this kind").about(read.path)] if read.named else []
    return JudgedFile(read.path, "unknown", "not-judged", tuple(left))
