"""Gives up root's rights for good, before other people's code takes the place of this process.

setpriv(1) does the same, but it is a program that root would start with the variables of that code, and the dynamic
loader obeys some of them (LD_PRELOAD) before its first line.
"""

import ctypes
import os
import sys
from collections.abc import Callable

# linux/prctl.h
_SET_PDEATHSIG, _CAPBSET_READ, _CAPBSET_DROP, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 1, 23, 24, 36, 38

# linux/capability.h: the version with 64 bits for each set; a kernel has fewer capabilities.
_CAPABILITY_VERSION, _CAPABILITIES = 0x20080522, 64


def prepare_to_become(uid: int) -> Callable[[], None]:
    """A function that makes this process one of the user and the group `uid`, in no other group, without any capability
    and unable to gain one. It raises OSError, and loads nothing, so that it may be called between fork and exec."""
    libc = _load_libc()
    none = (ctypes.c_uint32 * 6)()
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)

    def become() -> None:
        if libc is not None:
            for capability in range(_CAPABILITIES):
                if libc.prctl(_CAPBSET_READ, capability, 0, 0, 0) > 0:
                    _require(libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0))
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        if libc is not None:
            _require(libc.capset(header, none))
            _require(libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0))

    return become


def prepare_to_gain_nothing() -> Callable[[], None]:
    """A function after which no program that this process starts has more rights than it, whatever its mode says. It
    raises OSError, and loads nothing, so that it may be called between fork and exec."""
    libc = _load_libc()

    def renounce() -> None:
        if libc is not None:
            _require(libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0))

    return renounce


def prepare_to_die_with_parent(number: int) -> Callable[[], None]:
    """A function that has the kernel send this process a signal when its parent has ended. To be called last: a change
    of the user takes it back. Linux alone can do this."""
    libc = _load_libc()

    def follow() -> None:
        if libc is not None:
            libc.prctl(_SET_PDEATHSIG, number, 0, 0, 0)

    return follow


def adopt_left() -> None:
    """Make this process the parent of what its children leave running, also of what is in a session of its own, and
    whatever program this process becomes. Linux alone can do this."""
    if libc := _load_libc():
        libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _load_libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _require(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
