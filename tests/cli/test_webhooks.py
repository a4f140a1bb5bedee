"""`lkhub webhooks`: what it prints where, what is in the store afterwards, and what a receiver gets."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from livekit.api import TokenVerifier, WebhookReceiver

from lkhub.host.files import write_private
from lkhub.host.keyfile import dump_keys
from lkhub.plan.paths import StatePaths
from lkhub.secret import Secret
from lkhub.store.deliveries import Attempt, State, list_deliveries, note_attempts
from lkhub.store.events import NewEvent, add_events
from lkhub.store.store import Store
from lkhub.wire.application import Application, Receiver
from tests.cli.conftest import Run, write_serve
from tests.test_reference import find_json, shape

APP, OTHER = "https://app.example.com/hook?token=XYZTOKEN", "https://other.example.com/"
SECRET = "SECRETSECRET" * 4


def put_in_force(paths: StatePaths, *receivers: Receiver) -> None:
    write_serve(paths, Application(used=True, webhooks=receivers))
    write_private(paths.keys, dump_keys({"APIkey": Secret(SECRET), "APIold": Secret("OLD" * 15)}))


@pytest.fixture
def hub(applied: StatePaths) -> StatePaths:
    put_in_force(applied, Receiver(APP, (), False), Receiver(OTHER, (), False))
    return applied


def fill(hub: StatePaths, *rows: tuple[str, State, str]) -> None:
    """An event for each row: its ID, what became of it at APP, and why."""
    store = Store(f"sqlite:///{hub.store}")
    with store.writing() as connection:
        for number, (id, state, problem) in enumerate(rows, 1):
            body = json.dumps({"event": "room_started", "id": id, "room": {"name": "lobby"}})
            add_events(connection, [NewEvent(id, "lobby", "room_started", body, 1_800_000_000.0, (APP,))])
            if state != "pending":
                note_attempts(connection, [Attempt(number, APP, state, 7, problem, 1_800_000_100.0)])
    store.close()


def states(hub: StatePaths) -> dict[str, str]:
    store = Store(f"sqlite:///{hub.store}")
    with store.reading() as connection:
        listed = list_deliveries(connection, ["pending", "dead", "delivered"], 100)
    store.close()
    return {each.id: each.state for each in listed}


THREE: tuple[tuple[str, State, str], ...] = (
    ("EV_1", "delivered", ""),
    ("EV_2", "dead", "answered 500"),
    ("EV_3", "pending", ""),
)


def test_list_has_what_waits_and_what_was_given_up(run: Run, hub: StatePaths) -> None:
    fill(hub, *THREE)
    done = run("webhooks", "list")
    assert done.code == 0
    lines = done.out.splitlines()
    assert [line.split()[:2] for line in lines] == [["ID", "STATE"], ["EV_2", "dead"], ["EV_3", "waiting"]]
    assert "answered 500" in lines[1]
    assert "https://app.example.com/hook?…: 1 dead" in done.err
    assert "lkhub webhooks replay --all" in done.err
    assert "XYZTOKEN" not in done.out + done.err


def test_list_of_one_state(run: Run, hub: StatePaths) -> None:
    fill(hub, *THREE)
    for name, id in (("delivered", "EV_1"), ("dead", "EV_2"), ("waiting", "EV_3")):
        found = json.loads(run("webhooks", "list", "--only", name, "--json").out)
        assert [(each["id"], each["state"]) for each in found["deliveries"]] == [(id, name)]
        assert {row["state"]: row["number"] for row in found["receivers"]} == {"delivered": 1, "dead": 1, "waiting": 1}
    assert run("webhooks", "list", "--only", "lost").code == 2


def test_list_of_nothing(run: Run, hub: StatePaths) -> None:
    done = run("webhooks", "list")
    assert (done.code, done.out) == (0, "")
    assert "no delivery is waiting or dead" in done.err


def test_show_has_the_event_and_what_became_of_it(run: Run, hub: StatePaths) -> None:
    fill(hub, *THREE)
    done = run("webhooks", "show", "EV_2")
    assert done.code == 0
    assert '"id": "EV_2"' in done.out
    assert "7 attempts: answered 500" in done.out
    found = json.loads(run("webhooks", "show", "EV_2", "--json").out)
    assert found["event"]["room"] == {"name": "lobby"}
    assert [(each["state"], each["problem"]) for each in found["deliveries"]] == [("dead", "answered 500")]
    assert run("webhooks", "show", "EV_9").code == 2


def test_show_says_since_when_an_event_waits_and_not_when_it_was_tried(run: Run, hub: StatePaths) -> None:
    fill(hub, ("EV_1", "pending", ""))
    store = Store(f"sqlite:///{hub.store}")
    with store.writing() as connection:
        note_attempts(connection, [Attempt(1, APP, "pending", 7, "answered 500", 1_800_000_100.0)])
    store.close()
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_800_000_000))
    assert f"waiting since {since}, 7 attempts: answered 500" in run("webhooks", "show", "EV_1").out


def test_replay_lets_the_dead_wait_again(run: Run, hub: StatePaths) -> None:
    fill(hub, *THREE, ("EV_4", "dead", "answered 400"), ("EV_5", "dead", "answered 400"))
    assert run("webhooks", "replay", "EV_4").code == 0
    assert states(hub) == {"EV_1": "delivered", "EV_2": "dead", "EV_3": "pending", "EV_4": "pending", "EV_5": "dead"}
    done = run("webhooks", "replay", "--all", "--json")
    assert json.loads(done.out) == {"replayed": 2}
    assert set(states(hub).values()) == {"delivered", "pending"}


def test_replay_to_one_receiver(run: Run, hub: StatePaths) -> None:
    fill(hub, *THREE)
    assert json.loads(run("webhooks", "replay", "--all", "--url", OTHER, "--json").out) == {"replayed": 0}
    assert json.loads(run("webhooks", "replay", "--all", "--url", APP, "--json").out) == {"replayed": 1}


@pytest.mark.parametrize("arguments", [["--all"], ["EV_1"]])
def test_replay_goes_to_every_receiver_that_gave_up(run: Run, hub: StatePaths, arguments: list[str]) -> None:
    store = Store(f"sqlite:///{hub.store}")
    with store.writing() as connection:
        body = json.dumps({"event": "room_started", "id": "EV_1", "room": {"name": "lobby"}})
        add_events(connection, [NewEvent("EV_1", "lobby", "room_started", body, 1_800_000_000.0, (APP, OTHER))])
        for url in (APP, OTHER):
            note_attempts(connection, [Attempt(1, url, "dead", 7, "answered 500", 1_800_000_100.0)])
    store.close()
    assert run("webhooks", "replay", *arguments, "--json").json == {"replayed": 2}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["EV_1", "EV_3"], "none of these was given up"),
        (["--all"], "nothing was given up"),
    ],
)
def test_replay_of_what_was_not_given_up_says_so(run: Run, hub: StatePaths, arguments: list[str], said: str) -> None:
    fill(hub, ("EV_1", "delivered", ""), ("EV_3", "pending", ""))
    done = run("webhooks", "replay", *arguments)
    assert (done.code, done.out) == (0, "")
    assert said in done.err


@pytest.mark.parametrize("arguments", [["--all"], ["EV_2"]])
def test_replay_to_a_receiver_that_the_spec_has_no_more_says_so(
    run: Run, hub: StatePaths, arguments: list[str]
) -> None:
    """The service would give it up again at once."""
    fill(hub, *THREE)
    put_in_force(hub, Receiver(OTHER, (), False))
    assert run("webhooks", "replay", *arguments, "--json").json == {"replayed": 0}
    done = run("webhooks", "replay", *arguments)
    assert "hook?…: 1 not sent, since the spec has no such receiver any more" in done.err
    assert "was given up" not in done.err
    assert "XYZTOKEN" not in done.err
    assert states(hub)["EV_2"] == "dead"


@pytest.mark.parametrize("former", [APP, "https://app.example.com/hook?…"])
def test_receiver_at_another_url_gets_what_the_former_did_not_take(run: Run, hub: StatePaths, former: str) -> None:
    fill(hub, *THREE)
    moved = "https://new.example.com/hook?token=XYZTOKEN"
    put_in_force(hub, Receiver(moved, (), False))
    hint = "`lkhub webhooks replay --all --from 'https://app.example.com/hook?…' --url URL` sends them to a receiver"
    assert hint in run("webhooks", "replay", "--all").err
    assert run("webhooks", "replay", "--all", "--from", former, "--url", moved, "--json").json == {"replayed": 2}
    store = Store(f"sqlite:///{hub.store}")
    with store.reading() as connection:
        listed = list_deliveries(connection, ["pending", "dead", "delivered"], 100)
    store.close()
    assert [(each.id, each.receiver, each.state, each.attempts) for each in listed] == [
        ("EV_3", moved, "pending", 0),
        ("EV_2", moved, "pending", 0),
        ("EV_1", APP, "delivered", 7),
    ]


def test_receiver_whose_query_alone_has_changed_gets_them_as_the_hint_says(run: Run, hub: StatePaths) -> None:
    """The usual change: a secret in the query is replaced. No output of lkhub shows the one before."""
    fill(hub, *THREE)
    moved = "https://app.example.com/hook?token=NEWTOKEN"
    put_in_force(hub, Receiver(moved, (), False))
    shown = "https://app.example.com/hook?…"
    assert f"--from '{shown}' --url URL" in run("webhooks", "replay", "--all").err
    done = run("webhooks", "replay", "--all", "--from", shown, "--url", shown, "--json")
    assert (done.code, done.json) == (0, {"replayed": 2})


def test_receiver_that_got_the_events_itself_is_sent_none_and_no_hint_leads_back(run: Run, hub: StatePaths) -> None:
    store = Store(f"sqlite:///{hub.store}")
    with store.writing() as connection:
        body = json.dumps({"event": "room_started", "id": "EV_1", "room": {"name": "lobby"}})
        add_events(connection, [NewEvent("EV_1", "lobby", "room_started", body, 1_800_000_000.0, (APP, OTHER))])
        note_attempts(connection, [Attempt(1, APP, "dead", 7, "x", 1_800_000_100.0)])
        note_attempts(connection, [Attempt(1, OTHER, "delivered", 1, "", 1_800_000_100.0)])
    store.close()
    put_in_force(hub, Receiver(OTHER, (), False))
    assert "--from" in run("webhooks", "replay", "--all").err
    done = run("webhooks", "replay", "--all", "--from", APP, "--url", OTHER)
    assert (done.code, done.out) == (0, "")
    assert f"1 not sent, since they were for {OTHER} too" in done.err
    assert "--from" not in done.err


def test_receiver_that_was_just_added_is_there_after_up(run: Run, hub: StatePaths) -> None:
    assert "after `lkhub up`" in run("webhooks", "test", "https://new.example.com/").err


@pytest.mark.parametrize(
    "arguments", [["--from", APP], ["--from", OTHER, "--url", OTHER], ["--from", "https://no.example/", "--url", OTHER]]
)
def test_former_receiver_that_has_no_events_or_is_none_is_refused(
    run: Run, hub: StatePaths, arguments: list[str]
) -> None:
    fill(hub, *THREE)
    put_in_force(hub, Receiver(OTHER, (), False))
    done = run("webhooks", "replay", "--all", *arguments)
    assert (done.code, done.out) == (2, "")
    assert "--from" in done.err
    assert states(hub)["EV_2"] == "dead"


@pytest.mark.parametrize("command", ["replay", "test"])
def test_command_without_arguments_says_what_to_type(run: Run, hub: StatePaths, command: str) -> None:
    done = run("webhooks", command)
    assert done.code == 2
    assert "or --all" in done.err
    assert "hint: `lkhub webhooks" in done.err


@pytest.mark.parametrize(
    "arguments",
    [["replay"], ["replay", "EV_1", "--all"], ["replay", "EV_9"], ["replay", "--all", "--url", "https://no.example/"],
     ["test"], ["test", APP, "--all"], ["test", "https://no.example/?XYZ"]],
)  # fmt: skip
def test_wrong_arguments_change_nothing(run: Run, hub: StatePaths, arguments: list[str]) -> None:
    fill(hub, *THREE)
    done = run("webhooks", *arguments)
    assert done.code == 2
    assert "XYZ" not in done.err
    assert states(hub) == {"EV_1": "delivered", "EV_2": "dead", "EV_3": "pending"}


# --- the sample


@contextmanager
def receiving(status: int) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A receiver in a thread, and the requests that it got."""
    seen: list[tuple[dict[str, str], bytes]] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as file:
                file.readline()
                headers = {}
                while line := file.readline().strip().decode():
                    name, _, value = line.partition(": ")
                    headers[name.lower()] = value
                seen.append((headers, file.read(int(headers["content-length"]))))
                file.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_sample_is_an_event_that_livekits_receiver_takes(run: Run, hub: StatePaths) -> None:
    with receiving(200) as (url, seen):
        put_in_force(hub, Receiver(url, (), True))
        done = run("webhooks", "test", url)
    assert (done.code, "took it" in done.out) == (0, True)
    headers, body = seen[0]
    event = WebhookReceiver(TokenVerifier("APIold", "OLD" * 15)).receive(body.decode(), headers["authorization"])
    assert (event.event, event.room.name, event.id[:5]) == ("room_started", "lkhub-test", "TEST_")


def test_sample_that_was_not_taken_is_a_failure(run: Run, hub: StatePaths) -> None:
    with receiving(400) as (url, _), receiving(200) as (good, _):
        put_in_force(hub, Receiver(url, (), True), Receiver(good, (), True))
        done, told = run("webhooks", "test", "--all", "--json"), run("webhooks", "test", "--all")
    assert "start it with that of `lkhub env`" in told.err
    assert done.code == 1
    assert json.loads(done.out)["receivers"] == [
        {"url": url, "ok": False, "problem": "answered 400"},
        {"url": good, "ok": True, "problem": ""},
    ]


def test_sample_goes_to_no_private_address_that_is_not_allowed(run: Run, hub: StatePaths) -> None:
    with receiving(200) as (url, seen):
        put_in_force(hub, Receiver(url, (), False))
        done = run("webhooks", "test", "--all")
    assert done.code == 1
    assert "allow_private: true" in done.out
    assert seen == []


def test_hub_without_receivers(run: Run, hub: StatePaths) -> None:
    put_in_force(hub)
    done = run("webhooks", "test", "--all")
    assert done.code == 2
    assert "the spec has no webhooks" in done.err


# --- what is documented


def test_documented_json_has_these_keys(run: Run, hub: StatePaths) -> None:
    fill(hub, *THREE)
    for title, arguments in (
        ("lkhub webhooks list --json", ["list", "--json"]),
        ("lkhub webhooks show --json", ["show", "EV_2", "--json"]),
        ("lkhub webhooks replay --json", ["replay", "EV_2", "--json"]),
    ):
        [shown] = find_json("docs/reference/json.md", title)
        assert shape(shown) == shape(json.loads(run("webhooks", *arguments).out))
    with receiving(200) as (url, _):
        put_in_force(hub, Receiver(url, (), True))
        [shown] = find_json("docs/reference/json.md", "lkhub webhooks test --json")
        assert shape(shown) == shape(json.loads(run("webhooks", "test", "--all", "--json").out))
