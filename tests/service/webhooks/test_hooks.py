"""What a service does by itself for webhooks: it delivers while it leads, and says how it goes."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

from lkhub.checks.webhooks import FAILING_SECONDS, check_webhooks
from lkhub.errors import MachineError
from lkhub.host.keyfile import dump_keys
from lkhub.livekit.room_info import Room
from lkhub.service.rooms.sfu import Media
from lkhub.service.webhooks import hooks as module
from lkhub.service.webhooks.hooks import NOT_IN_SPEC, Webhooks
from lkhub.service.webhooks.missed import Listing, Search
from lkhub.service.webhooks.sender import Sender
from lkhub.state.webhooks import ReceiverRecord, WebhooksRecord, read_webhooks
from lkhub.store.deliveries import State, list_deliveries, revive
from lkhub.store.events import list_after
from lkhub.store.lead import Lead, LeadOf
from lkhub.wire.application import Application, Receiver
from lkhub.wire.serve_config import ServeConfig
from tests.service.webhooks.conftest import GONE, Kept, event
from tests.service.webhooks.test_receiver_keys import SECRETS
from tests.service.webhooks.test_receiver_keys import Application as KnowsOneKey
from tests.service.webhooks.test_sender import Told, listen
from tests.waiting import until

pytestmark = pytest.mark.anyio

NO = b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"
YES = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLL_SECONDS", "_REPORT_EVERY_SECONDS", "_AGAIN_SECONDS"):
        monkeypatch.setattr(module, name, 0.02)


@asynccontextmanager
async def running(kept: Kept, config: ServeConfig, *urls: str) -> AsyncIterator[Webhooks]:
    receivers = tuple(Receiver(url, (), True) for url in urls)
    application: Application = structs.replace(config.application, used=True, webhooks=receivers)
    webhooks = Webhooks(replace(config, application=application, webhooks=f"{config.keys}.record"), kept)
    task = asyncio.ensure_future(webhooks.run())
    try:
        yield webhooks
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def ids(kept: Kept, *states: State) -> list[str]:
    with kept.store.reading() as connection:
        return [each.id for each in list_deliveries(connection, states, 100)]


def recorded(config: ServeConfig) -> tuple[ReceiverRecord, ...]:
    return read_webhooks(f"{config.keys}.record")


async def test_what_waits_in_the_store_is_delivered(kept: Kept, config: ServeConfig) -> None:
    told = Told()
    async with listen(told) as port:
        url = f"http://127.0.0.1:{port}/"
        kept.add(event(1, receivers=(url,)))
        async with running(kept, config, url):
            await until(lambda: ids(kept, "delivered") == ["EV_1"])
            # As the command line does, or another service.
            kept.add(event(2, receivers=(url,)))
            await until(lambda: len(ids(kept, "delivered")) == 2)


async def test_change_that_is_taken_back_gives_up_nothing(kept: Kept, config: ServeConfig) -> None:
    told = Told()
    async with listen(told) as port:
        former, url = f"http://127.0.0.1:{port}/former", f"http://127.0.0.1:{port}/"
        kept.add(event(1, receivers=(former,)), event(2, receivers=(url,)))
        async with running(kept, config, url):
            await until(lambda: ids(kept, "delivered") == ["EV_2"])
        async with running(kept, config, former):
            await until(lambda: ids(kept, "delivered") == ["EV_2", "EV_1"])


async def test_dead_event_is_sent_again_after_a_replay(
    kept: Kept, config: ServeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_FOR_UNKNOWN_SECONDS", 0.01)
    told = Told()
    async with listen(told) as port:
        url = f"http://127.0.0.1:{port}/"
        kept.add(event(1, receivers=("http://127.0.0.1:1/gone",)), event(2, receivers=(url,)))
        async with running(kept, config, url):
            await until(lambda: ids(kept, "dead") == ["EV_1"] and ids(kept, "delivered") == ["EV_2"])
            with kept.store.reading() as connection:
                assert [each.problem for each in list_deliveries(connection, ["dead"], 9)] == [NOT_IN_SPEC]
        # After what the service still had to write.
        await kept.run(lambda connection: revive(connection, None, "", 1.0))
        async with running(kept, config, url, "http://127.0.0.1:1/gone"):
            await until(lambda: "connection refused" in str(recorded(config)))


async def test_one_of_two_services_delivers(kept: Kept, config: ServeConfig) -> None:
    told = Told()
    async with listen(told) as port:
        url = f"http://127.0.0.1:{port}/"
        async with running(kept, config, url):
            kept.add(event(1, receivers=(url,)))
            await until(lambda: len(told.requests) == 1)
            async with running(kept, config, url) as other:
                kept.add(*(event(number, receivers=(url,)) for number in range(2, 30)))
                await until(lambda: len(ids(kept, "delivered")) == 29)
                assert other._receiving == []
        assert len(told.requests) == 29, "none twice"


async def test_service_that_starts_during_a_rotation_signs_with_the_key_that_the_receiver_knows(
    kept: Kept, config: ServeConfig
) -> None:
    def put_in_force(*names: str) -> None:
        Path(config.keys).write_text(dump_keys({name: SECRETS[name] for name in names}))

    application = KnowsOneKey("APInew")
    async with listen(application) as port:
        url = f"http://127.0.0.1:{port}/"
        put_in_force("APIlast", "APInew", "APIold")
        refused = []
        for number in range(3):
            kept.add(event(number, receivers=(url,)))
            async with running(kept, config, url):
                await until(lambda: len(ids(kept, "delivered")) == number + 1)  # noqa: B023  it is waited for
            refused.append(application.refused)
        assert refused == [refused[0]] * 3, "its key is found out with the first event"
        application.knows = "APIlast"
        put_in_force("APIlast", "APIold")
        kept.add(event(3, receivers=(url,)))
        async with running(kept, config, url):
            await until(lambda: len(ids(kept, "delivered")) == 4)
        assert application.refused == refused[0], "a key that was revoked is no reason to begin with the oldest"


async def test_key_that_can_not_be_kept_delays_no_delivery(
    kept: Kept, config: ServeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[None]:
        raise GONE

    monkeypatch.setattr(module, "note_known_keys", fail)
    told = Told()
    async with listen(told) as port:
        url = f"http://127.0.0.1:{port}/"
        kept.add(event(1, receivers=(url,)))
        async with running(kept, config, url):
            await until(lambda: ids(kept, "delivered") == ["EV_1"])


async def test_another_service_on_the_database_goes_on_where_one_ended(
    shared: tuple[Kept, Kept], config: ServeConfig
) -> None:
    first, second = shared
    told = Told()
    async with listen(told) as port:
        url = f"http://127.0.0.1:{port}/"
        async with running(first, config, url):
            first.add(*(event(number, receivers=(url,)) for number in range(10)))
            await until(lambda: len(ids(second, "delivered")) == 10)
            async with running(second, config, url) as other:
                second.add(*(event(number, receivers=(url,)) for number in range(10, 20)))
                await until(lambda: len(ids(second, "delivered")) == 20)
                assert other._receiving == []
        async with running(second, config, url):
            second.add(*(event(number, receivers=(url,)) for number in range(20, 30)))
            await until(lambda: len(ids(second, "delivered")) == 30)
    took = [json.loads(body)["n"] for _, body in told.requests]
    assert took == list(range(30)), "each once, in order"


class Borrowed:
    """A lead that is lost and found as a test says."""

    def __init__(self) -> None:
        self.is_mine = True

    def take(self) -> bool:
        return self.is_mine

    def release(self) -> None:
        """Nothing is held."""


async def test_service_that_leads_no_more_delivers_nothing(
    kept: Kept, config: ServeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ended the session that had the lead, and another service delivers since."""
    lead = Borrowed()

    async def make_lead(of: LeadOf) -> Lead:
        return lead

    monkeypatch.setattr(kept, "make_lead", make_lead)
    told = Told()
    async with listen(told) as port:
        url = f"http://127.0.0.1:{port}/"
        kept.add(event(1, receivers=(url,)))
        async with running(kept, config, url) as webhooks:
            await until(lambda: ids(kept, "delivered") == ["EV_1"])
            lead.is_mine = False
            await until(lambda: webhooks._receiving == [])
            kept.add(event(2, receivers=(url,)))
            lead.is_mine = True
            await until(lambda: len(ids(kept, "delivered")) == 2)


async def test_it_goes_on_after_the_store_was_away_and_after_a_bug(
    kept: Kept, config: ServeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    tries = 0

    def fail(*_: object, **__: object) -> int:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ZeroDivisionError
        kept.broken = GONE if tries == 3 else None
        return 0

    monkeypatch.setattr(module, "KEPT_FOR_UNKNOWN_SECONDS", 0.01)
    monkeypatch.setattr(module, "bury_unknown", fail)
    async with listen(told) as port:
        url = f"http://127.0.0.1:{port}/"
        kept.add(event(1, receivers=(url,)))
        async with running(kept, config, url):
            await until(lambda: tries == 3)
            kept.broken = None
            await until(lambda: ids(kept, "delivered") == ["EV_1"])


async def test_receiver_that_answers_too_late_is_asked_again_and_delays_no_other(
    kept: Kept, config: ServeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers 200 after 60 s, where 10 s are waited."""
    monkeypatch.setattr(module, "Sender", partial(Sender, seconds=1.0))
    late = asyncio.Event()
    asked: list[str] = []

    async def answer_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        asked.append(json.loads(await reader.readexactly(length))["id"])
        await late.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()

    prompt = Told()
    async with listen(answer_late) as slow_port, listen(prompt) as port:
        slow, url = f"http://127.0.0.1:{slow_port}/", f"http://127.0.0.1:{port}/"
        events = [event(number, f"room-{number % 20}", (slow, url)) for number in range(100)]
        kept.add(*events)
        async with running(kept, config, slow, url):
            await until(lambda: len(ids(kept, "delivered")) == 100, "the other receiver has all of them")
            await until(lambda: max(Counter(asked).values(), default=0) > 2, "the event is sent again")
            assert len(set(asked)) <= 20, "what comes after it in its room waits"
            await until(
                lambda: recorded(config)[0].failing and not recorded(config)[1].waiting, "the record is written"
            )
            [first, second] = recorded(config)
            assert (first.waiting, first.dead, first.problem) == (100, 0, "no answer within 1 s")
            assert second.failing is None
            [finding] = check_webhooks([first, second], datetime.now(UTC) + timedelta(seconds=FAILING_SECONDS))
            assert (finding.code, finding.subject) == ("webhook-receiver-fails", slow)
            late.set()
            await until(lambda: recorded(config)[0] == ReceiverRecord(slow), "everything is delivered")
            assert set(asked) == {each.id for each in events}


async def test_status_is_told_what_receivers_take(kept: Kept, config: ServeConfig) -> None:
    told = Told(NO)
    async with listen(told) as port:
        url = f"http://127.0.0.1:{port}/?token=XYZ"
        async with running(kept, config, url):
            await until(lambda: recorded(config))
            kept.add(event(1, receivers=(url,)))
            await until(lambda: recorded(config)[0].failing)
            [record] = recorded(config)
            assert (record.url, record.waiting, record.dead) == (f"http://127.0.0.1:{port}/?…", 1, 0)
            assert record.problem == "answered 500"
            told.answer = YES
            await until(lambda: recorded(config)[0] == ReceiverRecord(record.url))


async def test_status_is_told_what_could_not_be_written_before(
    kept: Kept, config: ServeConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[WebhooksRecord] = []

    def refuse(record: WebhooksRecord, _: str) -> None:
        tried.append(record)
        raise MachineError("no space left on device")

    told = Told(NO)
    async with listen(told) as port:
        kept.add(event(1, receivers=(f"http://127.0.0.1:{port}/",)))
        async with running(kept, config, f"http://127.0.0.1:{port}/"):
            await until(lambda: recorded(config) and recorded(config)[0].failing)
            with monkeypatch.context() as patched:
                patched.setattr("lkhub.state.webhooks.write_record", refuse)
                told.answer = YES
                well = WebhooksRecord((ReceiverRecord(f"http://127.0.0.1:{port}/"),))
                await until(lambda: well in tried)
                assert recorded(config)[0].failing, "what it says is old"
            await until(lambda: recorded(config)[0].failing is None)
    assert caplog.text.count("can't be told") <= len(set(tried))


async def test_what_is_old_is_forgotten_and_what_was_missed_is_found(
    kept: Kept, config: ServeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the service runs, without a request."""

    async def list_one(_: Media) -> Listing:
        return [(Room(name="lobby", sid="RM_1"), ())]

    def stored() -> list[str]:
        with kept.store.reading() as connection:
            return [each.id for each in list_after(connection, 0, 10)]

    found = "FOUND_room_started_RM_1"
    monkeypatch.setattr(module, "list_all", list_one)
    monkeypatch.setattr(module, "Search", partial(Search, sure=0.01))
    kept.add(*(replace(event(number, receivers=()), at=0.0) for number in (1, 2)))
    async with running(kept, config):
        # The last event of all is kept, whatever its age: it is EV_2 if the old ones were forgotten first.
        await until(lambda: stored() in (["EV_2", found], [found]))
