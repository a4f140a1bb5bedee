"""Codes of the hub itself: its processes, its supervisor, its records, the spec that is in force."""

from lkhub.findings.declare import Says, declare


@declare("process-fails", "error")
def process_fails(process: str) -> Says:
    """A process does not stay up. The subject is its name.

    **Why.** The process ended by itself, or was not ready in time; the detail has the last lines of its log. The
    supervisor starts it again after at most 30 seconds. Of an agent in a unit of its own, the lines are those of the
    unit's journal, with the names of the agent's variables in place of
    their values, where these have eight letters or more.

    **What to do.** Read the log. When the cause is gone, don't wait:

    ```sh
    lkhub logs media -n 200
    lkhub restart media
    ```
    """
    return Says(f"{process} does not stay up", "its log says why")


@declare("upgrade-unfinished", "warning")
def upgrade_unfinished() -> Says:
    """`lkhub upgrade` has ended after it began to put another version in place, and before it had verified that one.

    **Why.** It was killed, or the machine was. The hub runs the previous version or the new one.

    **What to do.** `lkhub upgrade` again, with the same wheel or another one: it verifies the new version or goes back,
    and then does what it is asked for. `lkhub install` settles for the version that is in place.
    """
    return Says("an upgrade has ended before it was verified", "it was killed, or the machine was")


@declare("change-pending", "info")
def change_pending(known: bool) -> Says:
    """A change of the spec waits until nobody is in a call, or until lkhub knows whether anybody is.

    **Why.** The change restarts processes that carry calls, which would interrupt people. The detail names them, and
    those that it starts or ends. lkhub checks every
    two seconds whether the hub is empty. It does not know that where media does not say who is in a call, or where
    media was restarted a moment ago: the people who were in a call may be about to come back. The finding says so.

    With [two media processes](guides/redis.md) a change of media waits only while the one before is still in a call
    from an earlier change.

    **What to do.** Nothing, or apply the change now: everyone in a call has to reconnect, which their clients do by
    themselves.

    ```sh
    lkhub up --now
    ```

    For a hub that is a service it is `lkhub install --now`.
    """
    return Says(f"a change of the spec waits until {'nobody is' if known else 'it is known that nobody is'} in a call")


@declare("earlier-program", "info")
def earlier_program(processes: str) -> Says:
    """A process goes on with the program of an earlier version until nobody is in a call. The subject is its name.

    **Why.** The spec is in force. With [two media processes](guides/redis.md) a new version takes the calls that begin,
    and those that run go on. Their people may be connected through the relay or the edge, which would cut them off if
    it was replaced. It gets the same configuration from both versions, so it does its work as before.

    **What to do.** Nothing: it is replaced when nobody is in a call. To have those people reconnect now:

    ```sh
    lkhub up --now
    ```

    For a hub that is a service it is `lkhub install --now`.
    """
    return Says(
        f"{processes} goes on with the program of an earlier version until nobody is in a call",
        "the new version is in force, and people are in calls",
    )


@declare("spec-not-applied", "info")
def spec_not_applied() -> Says:
    """The spec has changed, and the hub still runs by the earlier one.

    **Why.** A spec takes effect when it is applied, and not when it is saved.

    **What to do.** Apply it. Processes whose plan did not change are not touched, and a change that would interrupt a
    call waits:

    ```sh
    lkhub up
    ```

    For a hub that is a service it is `lkhub install`.
    """
    return Says(
        "the spec has changed, and the hub still runs by the earlier one", "a spec takes effect when it is applied"
    )


@declare("no-hub-here", "info")
def no_hub_here() -> Says:
    """`lkhub status` was asked about a state directory in which no hub has been up: the directory does not exist, or
    has no record of a hub. `status` shows a hub there as `stopped`, and `lkhub up` starts one.

    **Why.** No hub was started with this directory, or the directory was removed after the hub was stopped. Another
    user's hub has another directory, and so has a hub that was started with `--state` or `LKHUB_STATE`.

    **What to do.** Name the directory of the hub that you mean:

    ```sh
    lkhub status --state DIR
    ```

    The hub that is the machine's service shows itself to root alone, by `sudo /usr/local/bin/lkhub status`.
    """
    return Says(
        "no hub is known here",
        "no hub was started with this state directory, or the directory was removed after the hub was stopped",
    )


@declare("linger-off", "warning")
def linger_off() -> Says:
    """The hub is a service of a user, and runs only while that user is logged in.

    **Why.** `lkhub install`, typed by an ordinary user, makes the hub a unit of the user's own systemd. That systemd
    starts at the user's first login and ends with the last one, unless it may linger.

    **What to do.** Let it start with the machine and outlive logins; it can be taken back with `disable-linger`:

    ```sh
    sudo loginctl enable-linger USER
    ```
    """
    return Says(
        "the hub ends when its user logs out, and does not start with the machine",
        "the user's own systemd runs it, which ends with the last login",
    )


@declare("no-systemd", "info")
def no_systemd() -> Says:
    """The hub runs on a machine of which systemd is not the service manager: Alpine, Void, Devuan, an older WSL.

    **Why.** `lkhub install` makes a hub a service of systemd. Without it the hub starts with the machine only if you
    have told another service manager to start it, which lkhub can't see.

    **What to do.** Have that service manager start `lkhub up` and wait for its end at a stop, or run the hub
    [in a container](guides/docker.md). Nothing where it need not start with the machine.
    """
    return Says(
        "systemd does not run this machine, so lkhub can't make the hub start with it",
        "lkhub puts no service in place for another service manager",
    )


@declare("selinux-denies", "error")
def selinux_denies(path: str) -> Says:
    """SELinux keeps systemd from starting the hub that is a service. The subject is the path that it may not use: the
    program, or a link to it.

    **Why.** Files keep the label of the place where they were made. What comes from a home directory by `mv`, or out of
    an archive, has a label that a service may not run. `lkhub install` restores the labels, if `restorecon` is there.
    The policy of this machine was asked, and it says that systemd may not.

    **What to do.** Restore them, and start the hub:

    ```sh
    sudo restorecon -RF /opt/lkhub
    sudo systemctl restart lkhub
    ```

    Where `/opt/lkhub` leads elsewhere, that place has other labels. `semanage fcontext -a -t bin_t '/srv/lkhub(/.*)?'`
    gives `/srv/lkhub` the labels of programs; then restore as above. `ausearch -m avc -ts recent` shows what SELinux
    has denied.
    """
    return Says(f"SELinux keeps systemd from {path}", "its label is not one that a service may run")


@declare("no-supervisor", "error")
def no_supervisor() -> Says:
    """The hub's processes run, but no supervisor watches over them.

    **Why.** lkhub itself was killed or crashed. Calls go on
    ([what keeps running when a process dies](concepts/processes.md)), but a process that ends is not started again.

    **What to do.** Take the processes over, without interrupting a call, or end them:

    ```sh
    lkhub up --detach
    lkhub down
    ```
    """
    return Says(
        "the hub runs, but no supervisor watches over it",
        "lkhub itself was killed or crashed; calls go on, but a process that ends is not started again",
    )


@declare("process-hangs", "error")
def process_hangs(process: str, stopped: bool) -> Says:
    """A process is there and does not answer. The subject is its name, and `status` shows it as `hanging`.

    **Why.** The process has said nothing for a quarter of a minute: a signal has stopped it (the detail says so), it is
    stuck, or the machine is far too busy. lkhub does not end the process by itself: a process that does not answer the
    supervisor may still carry a call.

    **What to do.** Let a stopped process go on, with the pid that the detail names (`kill -CONT 4711`). Restart a
    process that hangs; people in a call reconnect:

    ```sh
    lkhub restart media
    ```
    """
    return Says(
        f"{process} is there and does not answer",
        "a signal has stopped it" if stopped else "it hangs, or this machine is far too busy",
    )


@declare("state-removed", "warning")
def state_removed() -> Says:
    """The state directory was removed while the hub ran, and was written again.

    **Why.** A person removed it, or a program that cleans up temporary files. That cuts no call. Within seconds lkhub
    writes again what it had in memory, including the keys, the hub's own authority, rendered files and records, and
    every process opens its control socket again. These are lost: the logs, and what a process writes to its log until
    it is restarted; the edge's certificates from public issuers, which it asks for anew when it starts; and, where the
    detail says so, the record of the rules that `lkhub firewall apply` added.

    **What to do.** Restart the processes when nobody is in a call, which ends the warning. Give the hub a directory
    that no program cleans up:

    ```sh
    lkhub restart
    ```
    """
    return Says(
        "the state directory was removed while the hub ran, and written again",
        "a person removed it, or a program that cleans up; lkhub has written again what it had in memory: keys, the "
        "hub's own authority, rendered files, records",
    )


@declare("no-record", "warning")
def no_record(process: str) -> Says:
    """A process runs without the record by which the next supervisor would recognise it. The subject is its name.

    **Why.** The state directory can't be written: the disk is full, or read-only. The process runs on, and the record
    is written as soon as that is possible. If lkhub were killed before, the next `lkhub up` would recognise the process
    by a mark in its environment ([how they are taken over](concepts/processes.md#how-they-are-taken-over)).

    **What to do.** Free some space:

    ```sh
    df -h
    ```

    or, where the file system is read-only, make it writable again. The kernel makes a file system read-only after a
    disk error:

    ```sh
    findmnt -O ro
    ```

    A process that ends meanwhile is started again all the same, without a log.
    """
    return Says(
        f"{process} runs without a record of it",
        "the state directory can't be written; the record is written as soon as it can be",
    )


@declare("disk-nearly-full", "warning")
def disk_nearly_full(folder: str) -> Says:
    """Little is free on the disk that a hub writes on. The subject is its state directory, or the folder with what its
    agents keep where that is on another disk.

    **Why.** The hub's own logs have a bound. What agents write into their HOME has none, nor have the caches and models
    that are kept there, and other programs may use the same disk. On a full disk calls go on, but nothing is kept any
    more: renewed certificates, events for webhooks, what a store has. An agent can't be installed, nor another version
    of lkhub.

    **What to do.** See what takes the room, and free some:

    ```sh
    df -h
    du -xh --max-depth=3 FOLDER | sort -h | tail
    ```

    A HOME of an agent is the folder `user` in the agent's own. To keep agents from the hub's disk, mount another one
    there, or give them a quota: lkhub sets none.
    """
    return Says(
        f"the disk of {folder} is nearly full",
        "most often what agents have written or fetched, or other programs on the same disk",
    )


@declare("open-behind-proxy", "warning")
def open_behind_proxy() -> Says:
    """A hub for this machine alone (`reach: local`) gave a token to a program that listens for other machines. The hub
    identifies the program that asks at most once in ten seconds, so it may miss a single request.

    **Why.** With `reach: local` the hub gives a token to every program on this machine, and recognises a proxy by the
    forwarding headers that the proxy adds. A plain `proxy_pass http://127.0.0.1:8080;` of nginx adds none and names the
    hub's own address as the host: its requests look like those of a program that asks for itself. Everybody who reaches
    the proxy then gets a token. Where lkhub does not run as root, it can't see where another user's program listens,
    and names the user instead.

    **What to do.** If the program is a proxy, stop it, or make the hub one that expects a proxy: a `domain`,
    `tls.mode: external` and `reach: public` or `lan` ([behind a proxy](guides/behind-a-proxy.md)). Such a hub gives out
    no tokens, and people come by join links. If it is an application of yours that asks for
    tokens for its own users, nothing is wrong.
    """
    return Says(
        "a token was given to a program that may hand it on to others",
        "with reach: local every program on this machine gets tokens; if this program is a proxy that does not say so, "
        "everybody who reaches it gets them too",
    )


@declare("watch-fails", "warning")
def watch_fails(what: str) -> Says:
    """Something that the supervisor does again and again fails. The subject says what, as "rotate logs".

    **Why.** The detail has the reason. Where the detail is only the name of an error and a line of lkhub's source, this
    is a bug in lkhub. Neither the hub nor a call ends because of it, and the supervisor tries again after at most a
    minute.

    **What to do.** Read the supervisor's log:

    ```sh
    lkhub logs hub
    ```
    """
    return Says(
        f"the supervisor can't {what}",
        "calls go on, and it tries again by itself; where the detail is only the name of an error, this is a bug in "
        "lkhub",
    )


@declare("drift", "warning")
def drift(unit: bool) -> Says:
    """A rendered file, or the unit of `lkhub install`, was edited by hand. The subject is the name of the copy that has
    the edit, or of the unit.

    **Why.** Rendered files follow from the spec: `lkhub up`, a change of the machine's addresses and the start of a
    process need them as the spec says. So an edit would be in force by chance, and gone later. lkhub writes the file
    again and keeps the edited text beside it, with `.edited` at its end. The finding has the first lines of the
    difference, without secrets: those of the edit begin with `+`. A unit stays as it was edited until the next `lkhub
    install`, which does the same; the unit as it was written is below `/opt/lkhub/units`.

    **What to do.** Write into the spec what you wanted; most files have more keys there than they show, and `livekit:`
    takes every key of LiveKit. For the unit, `systemctl edit lkhub` makes a file of your own. Then remove the copy, and
    this finding ends.
    """
    if unit:
        return Says("the unit of the service was edited", "`lkhub install` writes the unit as the spec says")
    return Says(
        "a rendered file was edited, and the edit is not in force", "lkhub writes rendered files as the spec says"
    )


@declare("redis-down", "error")
def redis_down(reason: str) -> Says:
    """Redis does not answer media, or does not know it yet. The subject is `redis`.

    **Why.** The detail has what media was told. Calls go on for a minute, and people in them hear each other. Then
    their connections end, and with them the calls. Nobody can join a room, and nobody whose connection breaks comes
    back, until Redis answers. A media process that ends does not start again without Redis.

    **What to do.** Start Redis again. Media connects to it by itself, within seconds. Rooms whose calls go on are
    known again then, also if Redis has lost what it knew: but for rooms of a media process that has ended meanwhile.
    """
    return Says("Redis does not serve media", f"nobody can join a room: {reason}")
