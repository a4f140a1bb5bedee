"""Codes about anyone's configuration files, as `lkhub check` reads them."""

from lkhub.findings.declare import Says, declare

_ENDS = "livekit-server prints why on stdout and ends, with exit code 0"


@declare("config-unreadable", "error")
def config_unreadable(problem: str) -> Says:
    """A configuration file is no YAML, so what reads it does not start. The subject is the file.

    **Why.** Mostly an indent: YAML takes spaces and no tabs, and the keys of one mapping begin in one column. Or a
    value begins with a character that means something to YAML, such as `*`, `&`, `!`, `@` or `%`.

    **What to do.** Mend the line. Put a value that begins with such a character in quotes.
    """
    return Says(f"not YAML: {problem}", _ENDS)


@declare("config-key-unknown", "error")
def config_key_unknown(key: str) -> Says:
    """`livekit.yaml` has a key that livekit-server does not know, so it does not start. The subject is the file and
    the key.

    **Why.** The key is misspelt or in the wrong place, belongs to another program (egress, ingress, an agent, a
    client), or to another version: keys come and go. livekit-server ignores no key that it does not know. It prints one
    line on stdout and ends with exit code 0, which a container that starts again and again hides.

    **What to do.** What the finding says: write the key that was meant, move it, or take it out.
    """
    return Says(f"livekit-server knows no key {key}", _ENDS)


@declare("config-value-wrong", "error")
def config_value_wrong(key: str) -> Says:
    """A value in `livekit.yaml` is of another type or form than its key takes, so livekit-server does not start. The
    subject is the file and the key.

    **Why.** Times in seconds are numbers in some keys (`room.empty_timeout: 300`) and texts with a unit in others
    (`redis.pool_timeout: 5s`). `keys` is a mapping, `KEY: SECRET` with a space after the colon, and no list. A port is
    a number, and `rtc.udp_port` a number or a range in quotes.

    **What to do.** Write the value as the key takes it.
    """
    return Says(f"{key} has a value of the wrong kind" if key else "a value is of the wrong kind", _ENDS)


@declare("config-refused", "error")
def config_refused() -> Says:
    """livekit-server reads this `livekit.yaml`, and refuses at its start what it says. The subject is the file and
    the key.

    **Why.** Keys need each other: `turn.tls_port` a `turn.domain` with a dot and a certificate, or
    `turn.external_tls`; `webhook.urls` an `api_key` that is one of `keys`; a TURN server of yours a secret, or a user
    name and a password.

    **What to do.** What the finding says.
    """
    return Says("livekit-server refuses this at its start", _ENDS)


@declare("config-secret-weak", "warning")
def config_secret_weak() -> Says:
    """A secret below `keys` in `livekit.yaml` is short, or looks like a key. The subject is the file.

    **Why.** Tokens are signed with it, and every participant has a token: who guesses the secret may do anything on the
    server. livekit-server asks for 32 characters. It starts all the same, and logs an error.

    **What to do.** `openssl rand -hex 32` makes one. Write it wherever the old one is: applications, agents, egress,
    ingress and token services sign with the same.
    """
    return Says("a secret in keys is weak", "every token is signed with it, and every participant has one")


@declare("config-keys-elsewhere", "info")
def config_keys_elsewhere() -> Says:
    """`livekit.yaml` has no keys. The subject is the file.

    **Why.** livekit-server needs one to start. It may get it another way: by the variable `LIVEKIT_KEYS`, by `--keys`,
    or by a file that `key_file` or `--key-file` names.

    **What to do.** See that it does: `LIVEKIT_KEYS="KEY: SECRET"`, with the space after the colon.
    """
    return Says(
        "it has no keys, so LIVEKIT_KEYS, --keys or --key-file has to give them",
        "livekit-server starts with no configuration that has none",
    )


@declare("not-judged", "info")
def not_judged(reason: str) -> Says:
    """A file, or a part of it, could not be judged. The subject is the file.

    **Why.** Something fills in a part of it before a program reads it, a person still has to, it names files that are
    on another machine, or it is of a kind that lkhub does not know.

    **What to do.** Check the file as the program gets it: what `helm template`, `docker compose config`, `envsubst` or
    the tool that deploys it writes.
    """
    return Says(f"not judged: {reason}")
