"""Encrypts and decrypts streams in the format of age, with the engine's subcommands `encrypt` and `decrypt`.

The engine has age as a library, for every system that it runs on. Keys and data go through descriptors: nothing of them
is in an argument, in the environment, or in a file.
"""

import contextlib
import errno
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from msgspec import Struct

from lkhub.errors import InputError, MachineError
from lkhub.host.engine import bundled_engine, require_engine
from lkhub.host.environ import tool_environ
from lkhub.secret import Secret
from lkhub.wire.failure import Failure, parse_answer

MAGIC = (b"age-encryption.org/", b"-----BEGIN AGE")
"""How encrypted files begin."""

# The first way in follows, unless the file is armoured, which no backup of lkhub is (age-encryption.org/v1). Where it
# is a passphrase, it is the only one.
_WAY_IN = re.compile(rb"age-encryption\.org/v1\n-> (\S+)")

BEGIN_BYTES = 64
"""How much of a file `require_passphrase_opens` looks at."""

_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class SealKeys:
    """For whom a file is encrypted, or who opens it: a passphrase, or public keys (`recipients`) and the texts of files
    with private keys (`identities`). With an identity, the passphrase is that of an SSH key."""

    passphrase: Secret | None = None
    recipients: tuple[str, ...] = ()
    identities: tuple[Secret, ...] = field(default=(), repr=False)

    def dump(self) -> bytes:
        """As the engine reads it."""
        return json.dumps(
            {
                "passphrase": self.passphrase.reveal() if self.passphrase else "",
                "recipients": self.recipients,
                "identities": [each.reveal() for each in self.identities],
            }
        ).encode()


class SealError(InputError):
    """It can't be opened with these keys, or it is damaged. The reason code is the engine's."""


class _Done(Struct, frozen=True):
    """The engine has written everything."""


def require_passphrase_opens(begin: bytes) -> None:
    """Raise SealError where a file that begins so was encrypted for keys, so that no passphrase opens it. It can't be
    seen of an armoured one."""
    if (found := _WAY_IN.match(begin)) and found[1] != b"scrypt":
        raise _tell("needs-identity")


@contextlib.contextmanager
def encrypting(to: int, keys: SealKeys) -> Iterator[IO[bytes]]:
    """A file to write to, whose encryption is written to the descriptor `to`; that is complete when the block ends
    without an error. Raises HubError, and OSError where the disk is full."""
    read, write = _make_pipe()
    with _run("encrypt", read, to, keys) as process:
        os.close(read)
        with contextlib.suppress(BrokenPipeError), os.fdopen(write, "wb") as pipe:
            # The engine has ended where this pipe is broken, and says why.
            yield pipe
        _require_done(process)


@contextlib.contextmanager
def decrypting(source: int, keys: SealKeys) -> Iterator[IO[bytes]]:
    """A file to read from, with the decryption of the descriptor `source`. What was read is authentic as a whole when
    the block ends without an error. Raises HubError: SealError where the engine could not open it, also in place of an
    InputError that the block raises because nothing more came."""
    read, write = _make_pipe()
    with _run("decrypt", source, write, keys) as process:
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            try:
                yield pipe
            except InputError:
                _drain(pipe)
                _require_done(process)
                raise
            _drain(pipe)
        _require_done(process)


def _make_pipe() -> tuple[int, int]:
    try:
        return os.pipe()
    except OSError as error:
        raise MachineError(f"can't run lkhub-engine: {(error.strerror or '').lower()}") from error


def _drain(pipe: IO[bytes]) -> None:
    while pipe.read(_CHUNK):
        pass


@contextlib.contextmanager
def _run(subcommand: str, source: int, to: int, keys: SealKeys) -> Iterator[subprocess.Popen[bytes]]:
    engine = bundled_engine()
    require_engine(engine)
    read, write = _make_pipe()
    argv = [engine, subcommand, "--keys", str(read), "--to", str(to)]
    try:
        process = subprocess.Popen(
            argv,
            pass_fds=(read, to),
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=tool_environ(),
        )
    except OSError as error:
        os.close(write)
        raise MachineError(f"can't run {engine}: {(error.strerror or '').lower()}") from error
    finally:
        os.close(read)
    with process:
        try:
            with contextlib.suppress(BrokenPipeError), os.fdopen(write, "wb") as pipe:
                pipe.write(keys.dump())
            yield process
        finally:
            # Where all went well, it has ended.
            process.kill()


def _require_done(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout
    text = process.stdout.read().decode(errors="replace")
    try:
        answer = parse_answer(_Done, text)
    except ValueError:
        raise MachineError("lkhub-engine has ended while it encrypted or decrypted") from None
    if isinstance(answer, Failure):
        if answer.code == "disk-full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise _explain(answer)


_TOLD: dict[str, tuple[str, tuple[str, ...]]] = {
    "wrong-key": ("the passphrase or the key is not the one of this backup", ()),
    "needs-identity": (
        "the backup was made for a key, and not with a passphrase",
        ("--identity FILE names the file with the private key, such as ~/.ssh/id_ed25519",),
    ),
    "needs-passphrase": ("the backup was made with a passphrase, and not for a key", ("leave --identity out",)),
    "locked-identity": (
        "the private key has a passphrase of its own",
        ("--passphrase-file FILE names the file with it",),
    ),
    "bad-identity": ("there is no private key of age or SSH in the file of --identity", ()),
    "bad-recipient": (
        "--recipient is no public key of age or SSH",
        ("write age1…, ssh-ed25519 …, ssh-rsa …, or the file with it",),
    ),
    "damaged": ("the backup is damaged, or was cut off", ("nothing was changed",)),
}


def _explain(failure: Failure) -> InputError | MachineError:
    if failure.code in _TOLD:
        return _tell(failure.code)
    return MachineError(f"lkhub-engine could not encrypt or decrypt: {failure.message}")


def _tell(code: str) -> SealError:
    message, hints = _TOLD[code]
    return SealError(message, hints=hints, code=code)
