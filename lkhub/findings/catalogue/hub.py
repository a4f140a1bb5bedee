"""Codes of the hub itself: its processes, its supervisor, its records, the spec that is in force."""

from lkhub.findings.declare import Says, declare


@declare("process-fails", "error")
def process_fails(process: str) -> Says:
    """A process does not stay up. The subject is its name.

    **Why.** It ended by itself, or was not ready in time; the detail has the last lines of its log. It is started again
    by itself, after at most 30 seconds.

    **What to do.** Read the log. When the cause is gone, don't wait:

    ```sh
    lkhub logs media -n 200
    lkhub restart media
    ```
    """
    return Says(f"{process} does not stay up", "its log says why")


@declare("change-pending", "info")
def change_pending(known: bool) -> Says:
    """A change of the spec waits until nobody is in a call, or until that is known.

    **Why.** It restarts the processes that the detail names, which would interrupt people. lkhub looks every two
    seconds whether the hub is empty. Where media does not say who is in a call, or is another process since a moment
    ago, so that those who were in a call may be about to come back, that is not known, and the finding says so.

    **What to do.** Nothing, or make it now: everyone in a call has to reconnect, which their clients do by themselves.

    ```sh
    lkhub up --now
    ```
    """
    return Says(f"a change of the spec waits until {'nobody is' if known else 'it is known that nobody is'} in a call")


@declare("spec-not-applied", "info")
def spec_not_applied() -> Says:
    """The spec has changed, and the hub runs by what it was.

    **Why.** A spec takes effect when it is applied, and not when it is saved.

    **What to do.** Apply it. What did not change is not touched, and a change that would interrupt a call waits:

    ```sh
    lkhub up
    ```
    """
    return Says("the spec has changed, and the hub runs by what it was", "a spec takes effect when it is applied")


@declare("no-hub-here", "info")
def no_hub_here() -> Says:
    """`lkhub status` was asked about a state directory in which no hub has been up: it does not exist, or has no
    record of a hub. The hub is `stopped` all the same, and `lkhub up` starts one there.

    **Why.** No hub was started with this directory, or it was removed after the hub was stopped. Another user's hub has
    another directory, and so has a hub that was started with `--state` or `LKHUB_STATE`.

    **What to do.** Name the directory of the hub that you mean:

    ```sh
    lkhub status --state DIR
    ```
    """
    return Says(
        "no hub is known here",
        "no hub was started with this state directory, or it was removed after the hub was stopped",
    )


@declare("no-supervisor", "error")
def no_supervisor() -> Says:
    """The hub's processes run, but nobody watches over them.

    **Why.** lkhub itself was killed or crashed. Calls go on
    ([what keeps running when a process dies](concepts/processes.md)), and what ends is not started again.

    **What to do.** Take them over, without interrupting a call, or end them:

    ```sh
    lkhub up --detach
    lkhub down
    ```
    """
    return Says(
        "the hub runs, but nobody watches over it",
        "lkhub itself was killed; calls go on, but what ends is not started again",
    )


@declare("process-hangs", "error")
def process_hangs(process: str, stopped: bool) -> Says:
    """A process is there and does not answer. The subject is its name, and `status` shows it as `hanging`.

    **Why.** It has said nothing for a quarter of a minute: somebody has stopped it with a signal (the detail says so),
    it is caught, or the machine is far too busy. lkhub does not end it by itself: what does not answer here may still
    carry a call.

    **What to do.** Let one that was stopped go on, with the pid that the detail names (`kill -CONT 4711`). Start one
    that hangs again; who is in a call reconnects:

    ```sh
    lkhub restart media
    ```
    """
    return Says(
        f"{process} is there and does not answer",
        "somebody has stopped it with a signal" if stopped else "it hangs, or this machine is far too busy",
    )


@declare("state-removed", "warning")
def state_removed() -> Says:
    """The state directory was removed while the hub ran, and was written again.

    **Why.** Somebody removed it, or a program that cleans up temporary files. No call is cut by that: what lkhub had in
    memory is there again within seconds, the keys, the hub's own authority, rendered files and records among it, and
    every process opens its control socket again. Not there any more are the logs, with what the processes write to them
    until each is started again; what the edge keeps of issuers elsewhere, which is asked for anew when it starts; and,
    where it says so, the record of the rules that `lkhub firewall apply` added.

    **What to do.** Start the processes again when nobody is in a call, which ends the warning. Give the hub a directory
    that nothing cleans up:

    ```sh
    lkhub restart
    ```
    """
    return Says(
        "the state directory was removed while the hub ran, and written again",
        "somebody removed it, or a program that cleans up; what lkhub had in memory is there again: keys, the hub's "
        "own authority, rendered files, records",
    )


@declare("no-record", "warning")
def no_record(process: str) -> Says:
    """A process runs without the record by which the next supervisor would know it. The subject is its name.

    **Why.** The state directory can't be written: the disk is full, or read-only. The process runs on, and the record
    is written as soon as that is possible. Were lkhub killed before, the next `lkhub up` would know the process by the
    mark in its environment ([how they are taken over](concepts/processes.md#how-they-are-taken-over)).

    **What to do.** Free some space:

    ```sh
    df -h
    ```

    or, where the file system is read-only, make it writable again. The kernel makes one read-only after an error of the
    disk:

    ```sh
    findmnt -O ro
    ```

    A process that ends meanwhile is started again all the same, without a log.
    """
    return Says(
        f"{process} runs without a record of it",
        "the state directory can't be written; the record is written as soon as it can be",
    )


@declare("open-behind-proxy", "warning")
def open_behind_proxy() -> Says:
    """A hub for this machine alone (`reach: local`) gave a token to a program that listens for others. The
    hub looks which program asks every ten seconds at most, so a single request may be missed.

    **Why.** `reach: local` gives a token to every program on this machine, and knows a proxy by the forwarding headers
    that it adds. A plain `proxy_pass http://127.0.0.1:8080;` of nginx adds none and names the hub's own address as the
    host: its requests look like those of a program that asks for itself. Everybody who reaches the proxy then gets a
    token. Where lkhub runs as a user, it can't see where another user's program listens, and says which user that is.

    **What to do.** If it is a proxy, stop it, or make the hub one that expects it: a `domain`, `tls.mode: external` and
    `reach: public` or `lan` ([behind a proxy](guides/behind-a-proxy.md)). Such a hub gives tokens to nobody, and people
    come by join links. If it is an application of yours that asks for tokens for its own users, nothing is wrong.
    """
    return Says(
        "a token was given to a program that may hand it on to others",
        "with reach: local every program of this machine gets tokens; where this one is a proxy that hands requests on "
        "without saying so, everybody who reaches it gets them",
    )


@declare("watch-fails", "warning")
def watch_fails(what: str) -> Says:
    """Something that the supervisor does again and again fails. The subject says what, as "rotate logs".

    **Why.** The detail has the reason. Where it names no more than an error and a line of lkhub's source, it is a bug
    in lkhub. Neither the hub nor a call ends by it, and it is tried again by itself, after at most a minute.

    **What to do.** Read the supervisor's log:

    ```sh
    lkhub logs hub
    ```
    """
    return Says(
        f"the supervisor can't {what}",
        "calls go on, and it tries again by itself; what the name of an error alone says is a bug in lkhub",
    )
