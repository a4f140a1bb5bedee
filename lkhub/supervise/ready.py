"""Wait until a process says that it is ready."""

import anyio

from lkhub.host.http import httpx, local_client
from lkhub.plan.model import Ready

# A new process binds its control socket within milliseconds; asking more often would only cost CPU.
RETRY_SECONDS = 0.01

# A request to a process on this machine that takes longer is not going to be answered.
ANSWER_SECONDS = 10.0


async def wait_ready(ready: Ready) -> None:
    """Return when the process is ready. Never returns while it is not: give it a deadline."""
    # The control socket holds the answer back until the process is ready; a URL is asked until it is.
    url = ready.url or "http://control/ready"
    async with local_client(ANSWER_SECONDS, socket=ready.socket) as client:
        while True:
            try:
                if (await client.get(url)).is_success:
                    return
            except httpx.TransportError:
                pass
            await anyio.sleep(RETRY_SECONDS)
