"""Responses that are sent in one piece. As the two messages of ASGI they take a tenth of the time of a token."""

from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

EXTENSION = "lkhub.whole"
"""The key of `scope["extensions"]` under which a request has `send_whole` of its cycle."""


async def send_whole(
    cycle: RequestResponseCycle, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> None:
    """What uvicorn's cycle does with `http.response.start` and `http.response.body`. The headers have the body's
    length, and nothing in them came with a request: they are not checked for ends of lines."""
    if cycle.flow.write_paused and not cycle.disconnected:
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    cycle.response_started = cycle.response_complete = True
    parts = [STATUS_LINE[status]]
    for name, value in (*cycle.default_headers, *headers):
        parts += (name, b": ", value, b"\r\n")
    if not cycle.keep_alive:
        parts.append(b"connection: close\r\n")
    parts += (b"\r\n", body)
    cycle.transport.write(b"".join(parts))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    # It leads back to the cycle: only the garbage collector would free the two.
    del cycle.scope["extensions"]
