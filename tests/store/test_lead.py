"""One process leads."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import lkhub
from lkhub.store.events import NewEvent, add_events
from lkhub.store.lead import Lead, LeadOf
from lkhub.store.store import Store
from tests.kit.postgres import Postgres
from tests.waiting import wait_until

OTHER = """
import sys, time
from lkhub.store.store import Store
lead = Store(sys.argv[1]).make_lead("webhooks")
print(lead.take(), flush=True)
time.sleep(3600)
"""


def test_one_leads_until_it_lets_go(url: str) -> None:
    stores = Store(url), Store(url)
    first, second = (store.make_lead("webhooks") for store in stores)
    assert [first.take(), second.take(), first.take()] == [True, False, True]
    first.release()
    first.release()
    assert [second.take(), first.take()] == [True, False]
    other = stores[0].make_lead("presets")
    assert other.take(), "another one may lead something else"
    other.release()
    second.release()
    for store in stores:
        store.close()


def test_store_is_opened_and_written_while_others_lead_all_that_can_be_led(url: str) -> None:
    """On PostgreSQL a lead is a lock that is held for days: what takes a lock of the same number never gets it."""
    leader = Store(url)
    leads: list[Lead] = [leader.make_lead(of) for of in get_args(LeadOf)]
    assert [lead.take() for lead in leads] == [True] * len(leads)
    other = Store(url)
    with other.writing() as connection:
        assert add_events(connection, [NewEvent("EV_1", "lobby", "room_started", "{}", 100.0)]) == [True]
    for lead in leads:
        lead.release()
    other.close()
    leader.close()


@pytest.mark.integration
def test_process_that_is_killed_leads_no_more(url: str) -> None:
    environ = dict(os.environ, PYTHONPATH=str(Path(lkhub.__file__).parents[1]))
    store = Store(url)
    lead = store.make_lead("webhooks")
    with subprocess.Popen([sys.executable, "-c", OTHER, url], stdout=subprocess.PIPE, text=True, env=environ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert not lead.take()
        other.send_signal(signal.SIGKILL)
        other.wait()
    wait_until(lead.take, "the lead")
    lead.release()
    store.close()


def test_server_that_was_restarted_has_no_leader_until_one_takes_it(postgres: Postgres) -> None:
    store = Store(postgres.create())
    lead = store.make_lead("webhooks")
    assert lead.take()
    postgres.stop()
    assert not lead.take()
    postgres.start()
    wait_until(lead.take, "the lead")
    lead.release()
    store.close()


def test_store_whose_folder_is_gone_is_led_by_no_process(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    store = Store(f"sqlite:///{tmp_path}/folder/store.db")
    lead = store.make_lead("webhooks")
    for file in (tmp_path / "folder").iterdir():
        file.unlink()
    (tmp_path / "folder").rmdir()
    assert not lead.take()
    store.close()
