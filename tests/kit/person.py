"""A participant of the Python SDK in a separate process: `python -m tests.kit.person`.

It works as `engine/internal/sdkparticipant` does: it reads `{"url", "token"}` from stdin, and leaves when stdin ends.
Each line on stdout is a JSON object with what it has received so far, by `IDENTITY/audio` and `IDENTITY/video`. It also
has the number of muted tracks by `IDENTITY/muted`, and once the server has ended the call, its reason by `ended`, a
number of DisconnectReason. With `--unnamed` its tracks have no source.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.documents import ROOT
from tests.kit.people import Person
from tests.waiting import DEADLINE_SECONDS, wait_until

REPORT_SECONDS = 0.1


@dataclass
class TakingPart:
    """Such a process. The file `reports` has its lines."""

    process: subprocess.Popen[str]
    reports: Path

    def wait_received(self, *tracks: str) -> None:
        """Return when it has received something of each of these tracks, such as `ann/audio`."""
        wait_until(lambda: all(self.last.get(track) for track in tracks), f"something of {', '.join(tracks)}")

    @property
    def last(self) -> dict[str, int]:
        """The last line."""
        assert self.process.poll() is None, "the participant's process has ended"
        *complete, _ = self.reports.read_text().split("\n")
        return json.loads(complete[-1]) if complete else {}


@contextmanager
def taking_part(prefix: Sequence[str], url: str, token: str) -> Iterator[TakingPart]:
    """A participant in a process of its own. `prefix` goes in front of the command line, to run it in a network
    namespace."""
    argv = [*prefix, sys.executable, "-m", "tests.kit.person"]
    with tempfile.NamedTemporaryFile("w") as reports:
        process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=reports, text=True)
        try:
            assert process.stdin
            process.stdin.write(json.dumps({"url": url, "token": token}) + "\n")
            process.stdin.flush()
            yield TakingPart(process, Path(reports.name))
        finally:
            assert process.stdin
            process.stdin.close()
            try:
                process.wait(DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def main() -> None:
    where = json.loads(sys.stdin.readline())
    person = await Person(where["url"], where["token"], unnamed="--unnamed" in sys.argv).join()
    await person.speak()
    await person.show()
    reasons: list[int] = []
    person.room.on("disconnected", reasons.append)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    while not ended.done():
        counts = {f"{who}/audio": len(ear.heard) for who, ear in person.ears.items()}
        counts |= {f"{who}/video": len(ear.seen) for who, ear in person.ears.items()}
        for who, participant in person.room.remote_participants.items():
            counts[f"{who}/muted"] = sum(track.muted for track in participant.track_publications.values())
        if reasons:
            counts["ended"] = reasons[-1]
        print(json.dumps(counts), flush=True)
        await asyncio.sleep(REPORT_SECONDS)
    await person.leave()


if __name__ == "__main__":
    asyncio.run(main())
