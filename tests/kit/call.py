"""A call of two participants in a separate process, which can run in another network namespace. The process is `python
-m tests.kit.call`. One JSON line on stdin has the URL and the tokens. Each further line is a command, and the process
answers each with one JSON line on stdout. The end of stdin ends the call.
"""

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from livekit import rtc
from livekit.rtc._proto.room_pb2 import SIMULATE_FORCE_TLS
from livekit.rtc._proto.stats_pb2 import IceCandidateType, RtcStats

from tests.kit.people import Person
from tests.waiting import until, wait_until

SPEAKER, LISTENER = "speaker", "listener"

# Longer than any command takes on a loaded machine. The kernel ends a process that is silent for so long.
COMMAND_SECONDS = 45


@dataclass
class Call:
    """A running call."""

    process: subprocess.Popen[str]
    errors: IO[str]

    def ask(self, command: str) -> dict[str, Any]:
        """Send a command and return its answer. Raises AssertionError with the process's errors if there is none."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            raise AssertionError(f"the call ended with {self.process.returncode}:\n{self.errors.read()[-4000:]}")
        return json.loads(line)  # type: ignore[no-any-return]

    def force_tls(self) -> None:
        """Make the SDK reconnect the listener over TLS; return when it hears the speaker again."""
        self.ask("force-tls")

    def wait_connected(self, speaker: str, listener: str) -> None:
        """Return when both are connected by this path, as their own SDK reports it: `udp`, `tcp` or `relay`."""
        wanted = {SPEAKER: speaker, LISTENER: listener}
        found: dict[str, str] = {}

        def is_connected() -> bool:
            found.update(self.ask("paths"))
            return found == wanted

        try:
            wait_until(is_connected, f"connected by {wanted}", COMMAND_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}: {found}") from None

    def watch(self) -> None:
        """Measure disturbances from now on."""
        self.ask("watch")

    def disturbance(self) -> tuple[float, int]:
        """The longest time, in seconds, in which the listener heard nothing since `watch`, and how often one of the two
        has reconnected."""
        answer = self.ask("disturbance")
        return answer["gap"], answer["reconnects"]

    def candidates(self) -> set[str]:
        """The server's candidates that the two participants know, as `protocol address:port`."""
        return set(self.ask("candidates")["candidates"])


@contextmanager
def calling(prefix: Sequence[str], url: str, speaker: str, listener: str) -> Iterator[Call]:
    """A call in which the listener has heard the speaker. `speaker` and `listener` are tokens of one room;
    `prefix` goes in front of the command line, to run it in a network namespace."""
    argv = [*prefix, sys.executable, "-m", "tests.kit.call"]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=errors, text=True) as process,
    ):
        call = Call(process, errors)
        try:
            call.ask(json.dumps({"url": url, SPEAKER: speaker, LISTENER: listener}))
            yield call
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


async def _run() -> None:
    commands = _read_lines()
    given = json.loads(await anext(commands))
    speaker = await Person(given["url"], given[SPEAKER]).join()
    listener = await Person(given["url"], given[LISTENER]).join()
    reconnects: list[float] = []
    for person in (speaker, listener):
        person.room.on("reconnecting", lambda: reconnects.append(time.monotonic()))
    since = time.monotonic()
    try:
        await speaker.speak()
        await listener.wait_heard(SPEAKER)
        _answer()
        async for command in commands:
            match command:
                case "force-tls":
                    await _force_tls(listener)
                    _answer()
                case "paths":
                    people = {SPEAKER: speaker, LISTENER: listener}
                    _answer(**{name: _describe_path(await _read_stats(person)) for name, person in people.items()})
                case "watch":
                    await listener.wait_heard(SPEAKER)
                    since = time.monotonic()
                    _answer()
                case "disturbance":
                    now = time.monotonic()
                    gap = listener.ear_of(SPEAKER).longest_gap(since, now)
                    _answer(gap=gap, reconnects=sum(since <= at <= now for at in reconnects))
                case "candidates":
                    offered = [_list_offered(await _read_stats(person)) for person in (speaker, listener)]
                    _answer(candidates=sorted(set().union(*offered)))
    finally:
        await listener.leave()
        await speaker.leave()


async def _force_tls(listener: Person) -> None:
    states: list[rtc.ConnectionState.ValueType] = []
    listener.room.on("connection_state_changed", states.append)
    await listener.room.simulate_scenario(SIMULATE_FORCE_TLS)
    await until(lambda: rtc.ConnectionState.CONN_RECONNECTING in states, "the SDK reconnects")
    await until(lambda: states[-1] == rtc.ConnectionState.CONN_CONNECTED, "the SDK has reconnected")
    await listener.wait_heard(SPEAKER)


async def _read_stats(person: Person) -> list[RtcStats]:
    stats = await person.room.get_rtc_stats()
    return [*stats.publisher_stats, *stats.subscriber_stats]


def _describe_path(stats: list[RtcStats]) -> str:
    local = {stat.local_candidate.rtc.id: stat.local_candidate.candidate for stat in stats}
    pairs = {stat.candidate_pair.rtc.id: stat.candidate_pair.candidate_pair for stat in stats}
    [selected] = {stat.transport.transport.selected_candidate_pair_id for stat in stats} - {""}
    candidate = local[pairs[selected].local_candidate_id]
    return "relay" if candidate.candidate_type == IceCandidateType.RELAY else candidate.protocol


def _list_offered(stats: list[RtcStats]) -> set[str]:
    candidates = [stat.remote_candidate.candidate for stat in stats if stat.HasField("remote_candidate")]
    # An address from which the server sent without having offered it does not count, for example the direct one inside
    # a home network. The SDK hides that address.
    offered = [candidate for candidate in candidates if candidate.candidate_type != IceCandidateType.PRFLX]
    return {f"{candidate.protocol} {candidate.address}:{candidate.port}" for candidate in offered}


async def _read_lines() -> Any:
    """Lines of stdin; the deadline of a command ends when the next line is awaited."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while True:
        signal.alarm(0)
        line = (await reader.readline()).decode().strip()
        signal.alarm(COMMAND_SECONDS)
        if not line:
            return
        yield line


def _answer(**values: Any) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    asyncio.run(_run())
