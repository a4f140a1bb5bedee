"""Whether a folder can be served as a web site."""

import os
from collections.abc import Iterator

from lkhub.host.link_makers import opened_of_others
from lkhub.host.project import describe_refusal, explain, find_missing
from lkhub.host.trees import list_tree
from lkhub.shown import escape

# A site of more files than this is no site: `root` is then `/`, or a folder with all that somebody has.
MOST_FILES = 100_000


def judge_root(root: str, private: tuple[str, ...]) -> str:
    """Why the folder can't be served, "" where it can. `private` are paths of files that must not be in it; all paths
    are absolute. Raises MachineError where rights are missing to tell."""
    if missing := find_missing(root):
        return missing
    try:
        with opened_of_others(root):  # the edge refuses what this refuses
            pass
        inside = os.path.realpath(root)
        for path in private:
            if _is_within(os.path.realpath(path), inside):
                return f"{path} is in it, and visitors must not get that"
        return _judge_files(inside)
    except PermissionError as error:
        raise explain(error, "read", root) from error
    except OSError as error:
        return describe_refusal(error, root)


def _judge_files(root: str) -> str:
    for number, path in enumerate(_list_files(root)):
        if number == MOST_FILES:
            return f"it has more than {MOST_FILES} files"
        if os.path.islink(path) and not _is_within(os.path.realpath(path), root):
            name = escape(os.path.relpath(path, root))
            return f"{name} is a link to somewhere else, which is never followed: put what it leads to in its place"
    if not os.path.isfile(os.path.join(root, "index.html")):
        return "it has no index.html"
    return ""


def _is_within(path: str, folder: str) -> bool:
    return os.path.commonpath((path, folder)) == folder


def _list_files(root: str) -> Iterator[str]:
    """All files, and the links to folders. Raises OSError for a folder that may not be read."""
    return (path for path in list_tree(root) if os.path.islink(path) or not os.path.isdir(path))
