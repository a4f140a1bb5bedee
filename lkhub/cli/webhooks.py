"""`lkhub webhooks`: what receivers of events took, and what they did not."""

import asyncio
import json as json_text
import secrets
import shlex
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lkhub.cli.shared.app import make_app
from lkhub.cli.shared.options import HubSpec, Json, State
from lkhub.cli.shared.show import err, out, say, show_hints
from lkhub.cli.shared.show_json import show_json
from lkhub.cli.shared.store import open_hub_store, read_application
from lkhub.cli.shared.table import show_table
from lkhub.errors import EXIT_UNWELL, InputError
from lkhub.host.keyfile import load_keys
from lkhub.hub.locate import find_hub, name_state
from lkhub.livekit.webhooks import dump_event, may_be_the_key, shorten_url
from lkhub.shown import printable
from lkhub.wire.application import Application, Receiver

if TYPE_CHECKING:
    from lkhub.store.deliveries import Delivery

# What commands call the states of the store.
_STATES = {"waiting": "pending", "dead": "dead", "delivered": "delivered"}
_NAMES = {state: name for name, state in _STATES.items()}

app = make_app(help="Events that go to applications: what was delivered, and what was not.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Events that go to applications: what was delivered, and what was not."""


@app.command("list")
def list_all(
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="STATE", help="waiting, dead or delivered. Default: waiting and dead."),
    ] = None,
    number: Annotated[int, typer.Option("--lines", "-n", min=1, max=100_000, help="How many of the last.")] = 50,
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """List the deliveries that wait or were given up, the newest last, and how many there are for each receiver."""
    if only is not None and only not in _STATES:
        raise InputError(f"--only: there is no state {printable(only)}", hints=(f"one of {', '.join(_STATES)}",))
    paths = find_hub(spec, state)
    with open_hub_store(paths, read_application(paths)) as store, store.reading() as connection:
        # Imported here: it loads SQLAlchemy (500 ms), and a command with a wrong argument need not wait for it.
        from lkhub.store.deliveries import count_deliveries, list_deliveries

        counts = count_deliveries(connection)
        wanted = [_STATES[only]] if only else ["pending", "dead"]
        found = list_deliveries(connection, wanted, number)[::-1]  # type: ignore[arg-type]
    if json:
        totals = [{"url": shorten_url(url), "state": _NAMES[each], "number": count} for url, each, count, _ in counts]
        show_json({"receivers": totals, "deliveries": [_describe(each) for each in found]})
        return
    show_table(("ID", "STATE", "EVENT", "ROOM", "RECEIVER", "ATTEMPTS", "LAST"), [_show(each) for each in found])
    for url, each, count, _ in counts:
        err.print(f"{shorten_url(url)}: {count} {_NAMES[each]}")
    if any(each == "dead" for _, each, _, _ in counts):
        show_hints([f"`lkhub webhooks replay --all{name_state(paths)}` sends again what was given up"])
    if not found:
        say(f"no delivery is {only or 'waiting or dead'}")


@app.command()
def show(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The event, as `lkhub webhooks list` shows it.")],
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Print an event as receivers get it, and what became of it at each of them."""
    paths = find_hub(spec, state)
    with open_hub_store(paths, read_application(paths)) as store, store.reading() as connection:
        # Imported here: it loads SQLAlchemy (500 ms), and a command with a wrong argument need not wait for it.
        from lkhub.store.deliveries import list_deliveries
        from lkhub.store.events import find_event

        found = find_event(connection, identifier)
        deliveries = list_deliveries(connection, ["pending", "dead", "delivered"], 1000, identifier) if found else []
    if found is None:
        raise _unknown(identifier)
    body = json_text.loads(found.body)
    if json:
        show_json({"event": body, "deliveries": [_describe(each) for each in deliveries]})
        return
    out.print(json_text.dumps(body, indent=2, ensure_ascii=False))
    show_table(("RECEIVER", "STATE"), [(shorten_url(each.receiver), _tell(each)) for each in deliveries])
    if not deliveries:
        err.print("no receiver of the spec wanted it")


@app.command()
def replay(
    identifiers: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Events that were given up.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All events that were given up.")] = False,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Only to this receiver.")] = None,
    former: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="URL",
            help="With --url: what was not taken at this URL, which the receiver had before.",
        ),
    ] = None,
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Send again what was given up, in its order. A running hub begins within seconds."""
    if bool(identifiers) == everything:
        hint = "`lkhub webhooks list --only dead` shows those that were given up"
        raise InputError("write either the IDs of the events to send again, or --all", hints=(hint,))
    if former is not None and not url:
        raise InputError("--from needs --url", hints=("--url is the receiver that gets the events now",))
    paths = find_hub(spec, state)
    application = read_application(paths)
    receivers = [_find_receiver(application, url)] if url else application.webhooks
    with open_hub_store(paths, application) as store, store.writing() as connection:
        # Imported here: it loads SQLAlchemy (500 ms), and a command with a wrong argument need not wait for it.
        from lkhub.store.deliveries import count_deliveries, move, revive
        from lkhub.store.events import find_event

        for each in identifiers or ():
            if find_event(connection, each) is None:
                raise _unknown(each)
        ids = identifiers if identifiers else None
        moved: list[str] = []
        if former is not None:
            known = {each.receiver for each in count_deliveries(connection)}
            moved = _find_former(application, known, former)
            move(connection, ids, moved, receivers[0].url)
        number = sum(revive(connection, ids, receiver.url, time.time()) for receiver in receivers)
        dead = {to: count for to, state, count, _ in count_deliveries(connection) if state == "dead"}
    if json:
        show_json({"replayed": number})
        return
    # The service would give them up again at once.
    gone = sorted(dead.keys() - {receiver.url for receiver in application.webhooks})
    err.print(_tell_replayed(number, bool(identifiers)) if number or not gone else "nothing is sent again")
    for to in gone:
        if to in moved and not identifiers:
            itself = shorten_url(receivers[0].url)
            say(f"{shorten_url(to)}: {dead[to]} not sent, since they were for {itself} too", "note", "cyan")
            continue
        say(f"{shorten_url(to)}: {dead[to]} not sent, since the spec has no such receiver any more", "note", "cyan")
        again = f"lkhub webhooks replay --all --from {shlex.quote(shorten_url(to))} --url URL{name_state(paths)}"
        show_hints([f"`{again}` sends them to a receiver that the spec has"])


@app.command("test")
def send_sample(
    url: Annotated[str | None, typer.Argument(metavar="[URL]", help="A receiver of the spec.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All receivers of the spec.")] = False,
    spec: HubSpec = None,
    state: State = None,
    json: Json = False,
) -> None:
    """Send a sample event to a receiver, signed as all are, and say what came back.

    Its ID begins with TEST_, and its room is called lkhub-test. Exits 1 where a receiver did not take it.
    """
    if bool(url) == everything:
        hint = "`lkhub webhooks test --all` tries every receiver of the spec"
        raise InputError("write either the URL of a receiver, or --all", hints=(hint,))
    paths = find_hub(spec, state)
    application = read_application(paths)
    receivers = application.webhooks if everything else (_find_receiver(application, url or ""),)
    if not receivers:
        raise InputError("the spec has no webhooks", hints=("write `webhooks: [{url: https://…}]`, then `lkhub up`",))
    # Imported here: it loads httpx (50 ms), and a command with a wrong argument need not wait for it.
    from lkhub.service.webhooks.receiver_keys import ReceiverKeys
    from lkhub.service.webhooks.sender import Sender

    keys = ReceiverKeys(lambda: load_keys(paths.keys))

    async def send(receiver: Receiver) -> str:
        sender = Sender(receiver, keys)
        try:
            return await sender.send(_make_sample())
        finally:
            await sender.close()

    async def send_all() -> list[str]:
        return await asyncio.gather(*map(send, receivers))

    problems = asyncio.run(send_all())
    rows = [(shorten_url(each.url), problem) for each, problem in zip(receivers, problems, strict=True)]
    if json:
        show_json({"receivers": [{"url": url, "ok": not problem, "problem": problem} for url, problem in rows]})
    else:
        show_table(("RECEIVER", "RESULT"), [(url, problem or "took it") for url, problem in rows])
        if any(map(may_be_the_key, problems)):
            env = f"`lkhub env{name_state(paths)}`"
            show_hints([f"if the application was started with another API key, start it with that of {env}"])
    if any(problems):
        raise typer.Exit(EXIT_UNWELL)


def _tell_replayed(number: int, named: bool) -> str:
    if number:
        return f"{number} {'delivery waits' if number == 1 else 'deliveries wait'} again"
    if named:
        return "none of these was given up; `lkhub webhooks show ID` says what became of an event"
    return "nothing was given up, so nothing is sent again"


def _make_sample() -> str:
    return dump_event(
        {
            "event": "room_started",
            "room": {"sid": "RM_lkhubtest", "name": "lkhub-test"},
            "id": f"TEST_{secrets.token_hex(8)}",
            "createdAt": str(int(time.time())),
        }
    )


def _find_receiver(application: Application, url: str) -> Receiver:
    """The receiver with this URL, as the spec has it or as it is shown."""
    for each in application.webhooks:
        if url in (each.url, shorten_url(each.url)):
            return each
    known = [shorten_url(each.url) for each in application.webhooks]
    hint = f"there are {', '.join(known)}" if known else "the spec in force has no webhooks"
    hint += "; those that were added to the spec since are there after `lkhub up`"
    raise InputError(f"the spec has no receiver {printable(shorten_url(url))}", hints=(hint,))


def _find_former(application: Application, known: Iterable[str], url: str) -> list[str]:
    """The receivers with this URL, as the spec had it or as it is shown, which the spec has no more."""
    present = {each.url for each in application.webhooks}
    # First the earlier ones: where only the query has changed, such as a token in it, both are shown as the same.
    if found := [each for each in known if each not in present and url in (each, shorten_url(each))]:
        return found
    if any(url in (each, shorten_url(each)) for each in present):
        raise InputError("--from: the spec has this receiver", hints=("without --from, it gets its events itself",))
    hint = "`lkhub webhooks list` shows for which receivers there are events"
    raise InputError(f"--from: there are no events for {printable(shorten_url(url))}", hints=(hint,))


def _unknown(identifier: str) -> InputError:
    hint = "`lkhub webhooks list --only delivered` shows those of the last week"
    return InputError(f"there is no event {printable(identifier)}", hints=(hint,))


def _show(delivery: "Delivery") -> tuple[str, ...]:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(delivery.changed))
    names = (printable(delivery.name), printable(delivery.room), shorten_url(delivery.receiver))
    return printable(delivery.id), _NAMES[delivery.state], *names, str(delivery.attempts), delivery.problem or at


def _tell(delivery: "Delivery") -> str:
    since = delivery.since if delivery.state == "pending" else delivery.changed
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    tried = f"{delivery.attempts} {'attempt' if delivery.attempts == 1 else 'attempts'}"
    return f"{_NAMES[delivery.state]} since {at}, {tried}" + (f": {delivery.problem}" if delivery.problem else "")


def _describe(delivery: "Delivery") -> dict[str, Any]:  # JSON of docs/reference/json.md
    return {
        "id": delivery.id,
        "event": delivery.name,
        "room": delivery.room,
        "url": shorten_url(delivery.receiver),
        "state": _NAMES[delivery.state],
        "attempts": delivery.attempts,
        "problem": delivery.problem,
        "waiting_since": delivery.since,
        "changed_at": delivery.changed,
    }
