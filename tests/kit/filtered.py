"""Runs a program with one system call disabled: `python filtered.py CALL ERRNO PROGRAM [ARGUMENT]…`. Service managers
(`SystemCallFilter=`) and containers set such filters for programs and their children.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

# By architecture, as in the kernel's asm/unistd.h.
NUMBERS = {"sendmmsg": {"x86_64": 307, "aarch64": 269}}

# linux/prctl.h, linux/filter.h, linux/seccomp.h
_SET_SECCOMP, _SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ERRNO, _ALLOW = 0x0005_0000, 0x7FFF_0000


def refuse(call: str, error: int) -> None:
    """Make the kernel answer the call with an error, in this process and its children."""
    number = NUMBERS[call][platform.machine()]
    steps = [(_LOAD, 0, 0, 0), (_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | error), (_RETURN, 0, 0, _ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    refuse(sys.argv[1], getattr(errno, sys.argv[2]))
    os.execvp(sys.argv[3], sys.argv[3:])
