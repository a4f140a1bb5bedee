"""Runs a build as in a unit with `SystemCallFilter=~@resources`: systemd's filter, as far as it concerns limits."""

import ctypes
import io
import struct
import sys

from lkhub.host.build import run_build

# linux/filter.h, linux/seccomp.h, asm/unistd_64.h
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # EPERM
_SETPRIORITY, _SETRLIMIT = 141, 160

_PROGRAM = (
    (_LOAD, 0, 0, 0),
    (_IF_EQUAL, 2, 0, _SETPRIORITY),
    (_IF_EQUAL, 1, 0, _SETRLIMIT),
    (_RETURN, 0, 0, _ALLOW),
    (_RETURN, 0, 0, _REFUSE),
)


def refuse_resources() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _PROGRAM))
    program = struct.pack("HxxxxxxP", len(_PROGRAM), ctypes.addressof(code))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()


if __name__ == "__main__":
    refuse_resources()
    output = io.BytesIO()
    ended = run_build(sys.argv[1], "/", {"PATH": "/usr/bin:/bin"}, {}, output, None)
    print(ended.problem, output.getvalue().decode(), end="")
