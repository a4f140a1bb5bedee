"""Codes of faults of a spec. A code is a cause and not a message: many messages share one."""

from lkhub.findings.declare import Says, declare

_REFUSED = "a spec with a fault is not applied, and what runs goes on as it was"


@declare("spec-unreadable", "error")
def spec_unreadable(problem: str) -> Says:
    """The text of the spec can't be read as one YAML mapping of keys. The subject is the file, or the key at which it
    ends.

    **Why.** It is another file, another encoding, two documents, or YAML that breaks off. What could keep the reader
    busy for long (size, depth, aliases that multiply) is refused too.

    **What to do.** What the hint says. `lkhub init` writes a spec that can be read, with every key as a comment.
    """
    return Says(problem, _REFUSED)


@declare("key-twice", "error")
def key_twice(first: int) -> Says:
    """A key stands in one mapping twice. The subject is the key.

    **Why.** Which of the two is meant can't be known, and YAML readers differ in which they take.

    **What to do.** Keep one of them.
    """
    return Says(f"given twice, first on line {first}", _REFUSED)


@declare("key-unknown", "error")
def key_unknown(problem: str = "unknown key") -> Says:
    """There is no such key at this place. The subject is the key.

    **Why.** It is misspelt, belongs to another part of the spec, or to another version. An unknown key is never
    ignored: what it was meant to say would not hold.

    **What to do.** Take the key that the hint names, or look it up in the [reference](reference/spec.md).
    """
    return Says(problem, _REFUSED)


@declare("value-wrong", "error")
def value_wrong(problem: str) -> Says:
    """A value is of another type, form or range than its key takes. The subject is the key.

    **Why.** The message says what is there and what is expected.

    **What to do.** Write such a value; the [reference](reference/spec.md) says what each key takes. Leave the key out
    for its default.
    """
    return Says(problem, _REFUSED)


@declare("key-refused", "error")
def key_refused(problem: str) -> Says:
    """A key of livekit.yaml below `livekit` is not taken. The subject is the key.

    **Why.** It follows from another key of the spec, and both could say something else; or the bundled engine is built
    without what it turns on.

    **What to do.** Set the key that the hint names. The [reference](reference/spec.md) lists all that follow from the
    spec.
    """
    return Says(problem, _REFUSED)


@declare("key-missing", "error")
def key_missing(problem: str) -> Says:
    """What the spec asks for needs a key that is not there. The subject is the key that asks for it.

    **Why.** No default could be right: a public hub needs a name, a certificate of yours the paths of its files.

    **What to do.** Write the key that the hint names.
    """
    return Says(problem, _REFUSED)


@declare("key-unused", "error")
def key_unused(problem: str) -> Says:
    """A key would do nothing beside the others. The subject is the key.

    **Why.** Another key, mostly `tls.mode` or `reach`, leaves no use for it. Taken silently, it would seem to hold.

    **What to do.** Leave it out, or change the other key as the hint says.
    """
    return Says(problem, _REFUSED)


@declare("keys-conflict", "error")
def keys_conflict(problem: str) -> Says:
    """Two keys can't both hold. The subject is one of them.

    **Why.** The message says what keeps them apart: no public authority certifies a hub for one machine, and a port of
    the hub's name is the proxy's where a proxy is in front.

    **What to do.** Change one of the two, as the hint says.
    """
    return Says(problem, _REFUSED)


@declare("port-collision", "error")
def port_collision(protocol: str, ports: str, key: str, purpose: str, others: str) -> Says:
    """Two things of the hub would listen on one port. The subject is the key that was written last.

    **Why.** Both have the same protocol and address, and their ports overlap. LiveKit binds media over TCP on every
    interface, whatever it is told.

    **What to do.** Give one of them another port.
    """
    return Says(f"{protocol} port {ports} is taken by {key} ({purpose}, {others})", _REFUSED)


@declare("address-missing", "error")
def address_missing(problem: str) -> Says:
    """This machine has no address that clients could be told. The subject is the key that needs one.

    **Why.** It is connected to no network, or has addresses that media can't use: those of containers, of a VPN, of the
    loopback interface. The message lists what was found, and why each is not used.

    **What to do.** Connect the machine, name the interface in `media.interfaces`, or the address as `media.advertise`.
    """
    return Says(problem, _REFUSED)


@declare("address-not-here", "error")
def address_not_here(problem: str) -> Says:
    """An address or interface that the spec names is not this machine's. The subject is the key.

    **Why.** It is misspelt, of another machine, or of an interface that is not up now.

    **What to do.** Name one that the hint lists.
    """
    return Says(problem, _REFUSED)


@declare("name-unled", "error")
def name_unled(problem: str) -> Says:
    """The name of a public hub leads to no address that clients could be told. The subject is `domain`.

    **Why.** Behind a NAT clients are told what the hub's name resolves to. It has no IPv4 address in the DNS, a private
    one, or the name server did not answer.

    **What to do.** Make an A record with the public address, or write that as `media.advertise`.
    """
    return Says(problem, _REFUSED)


@declare("engine-missing", "error")
def engine_missing(engine: str) -> Says:
    """The livekit-server that the spec names is not there, or may not be run. The subject is `engine`.

    **Why.** The path starts from the folder of the spec; the file is missing, or not executable for this user.

    **What to do.** Write the path of the program, or `bundled`.
    """
    return Says(f"{engine} is not a program that this user can run", _REFUSED)


@declare("secret-unusable", "error")
def secret_unusable(problem: str) -> Says:
    """A secret that the spec refers to can't be had, or can't be used. The subject is the key that refers to it.

    **Why.** The file is missing or may not be read, the variable is not set, or what is in there is too short or not a
    secret. The message never repeats the secret.

    **What to do.** Put the secret where the reference says, or change the reference.
    """
    return Says(problem, _REFUSED)


@declare("livekit-refuses", "error")
def livekit_refuses(words: str) -> Says:
    """LiveKit's own parser refuses what stands below `livekit`. The subject is the key.

    **Why.** The message has its words. It would not start with such a configuration.

    **What to do.** Write what LiveKit takes there:
    [its sample](https://github.com/livekit/livekit/blob/v1.13.5/config-sample.yaml).
    """
    return Says(words, _REFUSED)


@declare("server-is-media", "error")
def server_is_media(server: str) -> Says:
    """A STUN or TURN server of the spec is media's own port. The subject is its entry.

    **Why.** Browsers take every packet from a server's address for that server's answer, and drop it if it is none.

    **What to do.** Take it out: clients find media without it.
    """
    return Says(
        f"{server}/udp is media's own port; browsers take what comes from a STUN or TURN server's address for that "
        "server's answers, so that they would get no media from there",
        _REFUSED,
    )
