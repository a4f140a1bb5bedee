"""Codes of faults of a spec. A code stands for a cause, not for a message: many messages share a code."""

from lkhub.findings.declare import Says, declare

_REFUSED = "a spec with a fault is not applied, and what runs goes on as it was"


@declare("spec-unreadable", "error")
def spec_unreadable(problem: str) -> Says:
    """The text of the spec can't be read as one YAML mapping of keys. The subject is the file, or the key at which
    reading stopped.

    **Why.** It is another file, or in another encoding, or has two documents, or its YAML is not complete. lkhub also
    refuses a text that would take too long to read (its size, its depth, aliases that multiply).

    **What to do.** Follow the hint. `lkhub init` writes a spec that can be read, with every key as a comment.
    """
    return Says(problem, _REFUSED)


@declare("key-twice", "error")
def key_twice(first: int) -> Says:
    """A key stands in one mapping twice. The subject is the key.

    **Why.** It can't be known which of the two is meant, and YAML readers differ in which they take.

    **What to do.** Keep one of them.
    """
    return Says(f"given twice, first on line {first}", _REFUSED)


@declare("key-unknown", "error")
def key_unknown(problem: str = "unknown key") -> Says:
    """There is no such key at this place. The subject is the key.

    **Why.** The key is misspelt, belongs to another part of the spec, or to another version of lkhub. lkhub never
    ignores an unknown key: what it was meant to set would not take effect.

    **What to do.** Use the key that the hint names, or look it up in the [reference](reference/spec.md).
    """
    return Says(problem, _REFUSED)


@declare("value-wrong", "error")
def value_wrong(problem: str) -> Says:
    """A value is of another type, form or range than its key takes. The subject is the key.

    **Why.** The message says what the spec has and what is expected.

    **What to do.** Write a value as expected; the [reference](reference/spec.md) says what each key takes. Leave the
    key out for its default.
    """
    return Says(problem, _REFUSED)


@declare("key-refused", "error")
def key_refused(problem: str) -> Says:
    """A key of livekit.yaml below `livekit` is not taken. The subject is the key.

    **Why.** lkhub sets this key from another key of the spec, and the two could contradict each other; or the bundled
    engine is built without what the key turns on.

    **What to do.** Set the key that the hint names. The [reference](reference/spec.md) lists all keys that lkhub sets
    from the spec.
    """
    return Says(problem, _REFUSED)


@declare("key-missing", "error")
def key_missing(problem: str) -> Says:
    """A key of the spec needs another key that is missing. The subject is the key that is there.

    **Why.** No default could be right: a public hub needs a name, and a certificate of yours the paths of its files.

    **What to do.** Write the key that the hint names.
    """
    return Says(problem, _REFUSED)


@declare("key-unused", "error")
def key_unused(problem: str) -> Says:
    """A key would have no effect beside the others. The subject is the key.

    **Why.** Another key, mostly `tls.mode` or `reach`, leaves no use for it. If lkhub ignored the key silently, the
    key would seem to have an effect.

    **What to do.** Leave the key out, or change the other key as the hint says.
    """
    return Says(problem, _REFUSED)


@declare("keys-conflict", "error")
def keys_conflict(problem: str) -> Says:
    """Two keys contradict each other. The subject is one of them.

    **Why.** The message says why they do. No public authority certifies a hub for one machine alone, for example; and
    where a proxy is in front of the hub, clients' port for the hub's name belongs to the proxy.

    **What to do.** Change one of the two, as the hint says.
    """
    return Says(problem, _REFUSED)


@declare("port-collision", "error")
def port_collision(protocol: str, ports: str, key: str, purpose: str, others: str) -> Says:
    """The hub would listen twice on one port. The subject is the key that was written last.

    **Why.** Both have the same protocol and address, and their ports overlap. LiveKit binds media over TCP on every
    interface, whatever it is told.

    **What to do.** Give one of the two keys another port.
    """
    return Says(f"{protocol} port {ports} is taken by {key} ({purpose}, {others})", _REFUSED)


@declare("address-missing", "error")
def address_missing(problem: str) -> Says:
    """This machine has no address that clients could be told. The subject is the key that needs one.

    **Why.** The machine is connected to no network, or has only addresses that media can't use: those of containers, of
    a VPN, of the loopback interface. The message lists the addresses that were found, and why each is not used.

    **What to do.** Connect the machine, name the interface in `media.interfaces`, or write the address as
    `media.advertise`.
    """
    return Says(problem, _REFUSED)


@declare("address-not-here", "error")
def address_not_here(problem: str) -> Says:
    """An address or interface that the spec names is not this machine's. The subject is the key.

    **Why.** It is misspelt, belongs to another machine, or to an interface that is down now.

    **What to do.** Write an address or interface that the hint lists.
    """
    return Says(problem, _REFUSED)


@declare("name-unled", "error")
def name_unled(problem: str) -> Says:
    """The name of a public hub leads to no address that clients could be told. The subject is `domain`.

    **Why.** The clients of a hub behind a NAT are told the addresses of the hub's name. The name has no IPv4 address in
    the DNS or only a private one, or the name server did not answer.

    **What to do.** Make an A record with the public address, or write the public address as `media.advertise`.
    """
    return Says(problem, _REFUSED)


@declare("engine-missing", "error")
def engine_missing(engine: str) -> Says:
    """The livekit-server program that the spec names is missing, or this user may not run it. The subject is `engine`.

    **Why.** No such file exists, or this user may not execute it. A relative path starts from the spec's folder.

    **What to do.** Write the path of the program, or `bundled`.
    """
    return Says(f"{engine} is not a program that this user can run", _REFUSED)


@declare("secret-unusable", "error")
def secret_unusable(problem: str) -> Says:
    """A secret that the spec refers to can't be read, or can't be used. The subject is the key that refers to it.

    **Why.** The file is missing or may not be read, the variable is not set, or its content is too short or no secret.
    The message never repeats the secret.

    **What to do.** Put the secret into the file or the variable that the key names, or change the key.
    """
    return Says(problem, _REFUSED)


@declare("livekit-refuses", "error")
def livekit_refuses(words: str) -> Says:
    """LiveKit's own parser refuses what the spec has below `livekit`. The subject is the key.

    **Why.** The message has the parser's words. LiveKit would not start with such a configuration.

    **What to do.** Write what LiveKit takes there:
    [its sample](https://github.com/livekit/livekit/blob/v1.13.11/config-sample.yaml).
    """
    return Says(words, _REFUSED)


@declare("server-is-media", "error")
def server_is_media(server: str) -> Says:
    """A STUN or TURN server in the spec has the address and port of media itself. The subject is the server's entry.

    **Why.** Browsers take each packet from the address of a STUN or TURN server for an answer of that server, and drop
    media's packets, which are none.

    **What to do.** Take the entry out: clients find media without it.
    """
    return Says(
        f"{server}/udp is media's own port; browsers take what comes from a STUN or TURN server's address for that "
        "server's answers, so they would get no media from there",
        _REFUSED,
    )
