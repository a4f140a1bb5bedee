"""A file that was rendered and not yet written."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RenderedFile:
    """`name` is relative to the folder it is written to; `mode` its permissions. `kept`: one that is there already
    stays as it is, since others write it."""

    name: str
    text: str
    mode: int = 0o600
    kept: bool = False


HEADER = "written by lkhub from the spec; a change here is overwritten by the next `lkhub up`"
