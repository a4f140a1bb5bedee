"""Codes of the store, in which the service keeps what it gives away."""

from lkhub.findings.declare import Says, declare


@declare("store-of-another-hub", "error")
def store_of_another_hub() -> Says:
    """The database of `store` belongs to another hub, and this one may not use it. The subject is `store`. What needs
    the store is answered with status 503, as in [store-fails](#store-fails).

    **Why.** The spec was copied, and two hubs name one database. Seats are about the rooms of one LiveKit: each hub
    would take the seats of the other's participants away, and tell applications that their rooms have ended.

    **What to do.** Give each hub a database of its own:

    ```sh
    createdb lkhub_two
    lkhub up
    ```

    A hub that was moved to another machine with its state directory is the same hub. Without it, it is another, and
    takes the store over once the hub before it has not used the store for five minutes. A new API key, a restart and
    another address make no other hub.
    """
    return Says(
        "the store belongs to another hub",
        "two hubs name one database, and each has rooms that the other does not know",
    )


@declare("store-fails", "error")
def store_fails(reason: str) -> Says:
    """The store can't be used, since the time in the detail. The subject is `store`.

    Whatever needs the store is answered with status 503 and the reason: requests for tokens, invites, LiveKit's
    webhooks. Calls go on, and tokens of `lkhub token` and of applications that sign their own let people in. Nothing
    that was answered with a success is lost.

    **Why.** The detail says what the database said. *Can't be reached*: the file was removed, emptied or replaced, or
    PostgreSQL does not run, does not answer within seconds, has no such database or no connection left. *Another
    program holds it locked*: a backup that locks, an open `sqlite3`. *No space left*, *damaged*: the disk. *Refuses to
    be used*: the file is read-only or belongs to another user, or PostgreSQL refuses the password, or to make tables in
    a database that is not the user's. *Written by a newer lkhub*: it was upgraded by a version that this one can't
    follow. *Can't keep every name*: a database of PostgreSQL that is not in UTF8.

    **What to do.** Remove the cause; the finding says how to begin. A file that is put in its place is used from
    then on. Move it there in one step (`mv`): SQLite can't notice that the file it works on is written over. From a
    damaged file, `sqlite3 store.db .recover` saves most of what is there. `sqlite3 store.db '.backup FILE'` makes a
    backup of a store that is in use.

    The service looks again every few seconds, and goes on by itself. Meanwhile it says in its log what it sees:

    ```sh
    lkhub logs serve
    ```
    """
    return Says(reason, "what needs the store is refused until it can be used")
