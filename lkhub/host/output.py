"""Where this process prints."""

import os
import stat


def find_output_file(descriptor: int = 1) -> str:
    """The absolute path of the file to which stdout was redirected; "" for a terminal, a pipe or a file without a name,
    and where the system does not tell."""
    try:
        found = os.fstat(descriptor)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        return path if stat.S_ISREG(found.st_mode) and os.path.samestat(found, os.stat(path)) else ""
    except OSError:
        return ""
