"""A participant of the Python SDK in a separate process: `python -m tests.kit.person`.

It works as `engine/internal/sdkparticipant` does: it reads `{"url", "token"}` from stdin, and leaves when stdin ends.
Each line on stdout is a JSON object with what it has received so far, by `IDENTITY/audio` and `IDENTITY/video`. With
`--unnamed` its tracks have no source.
"""

import asyncio
import json
import sys

from tests.kit.people import Person

REPORT_SECONDS = 0.1


async def main() -> None:
    where = json.loads(sys.stdin.readline())
    person = await Person(where["url"], where["token"], unnamed="--unnamed" in sys.argv).join()
    await person.speak()
    await person.show()
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    while not ended.done():
        counts = {f"{who}/audio": len(ear.heard) for who, ear in person.ears.items()}
        counts |= {f"{who}/video": len(ear.seen) for who, ear in person.ears.items()}
        print(json.dumps(counts), flush=True)
        await asyncio.sleep(REPORT_SECONDS)
    await person.leave()


if __name__ == "__main__":
    asyncio.run(main())
