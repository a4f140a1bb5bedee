"""Run the application on its listeners."""

import gc
import logging
import socket
from collections.abc import Callable, Sequence

import uvicorn

from lkhub.errors import MachineError
from lkhub.service.app import build_app
from lkhub.service.bounded import Bounds, FewLines, RareExhaustion, bind_protocol, make_places, raise_file_limit
from lkhub.service.places import burst_for
from lkhub.wire.serve_config import ServeConfig

# Requests under way get this long when the service is stopped.
SHUTDOWN_SECONDS = 3

# The form of pion's loggers, which `lkhub logs` reads (lkhub/log_lines.py).
LOG_FORMAT, LOG_DATE = "serve %(levelname)s: %(asctime)s %(message)s", "%Y/%m/%d %H:%M:%S"


def run_service(config: ServeConfig, listening: Sequence[int] = ()) -> None:
    """Serve until SIGTERM. `listening` are descriptors of sockets that listen at some of the addresses already: their
    ports stay the hub's own while this process starts again, and no other user of the machine can take them."""
    logging.basicConfig(format=LOG_FORMAT, datefmt=LOG_DATE)
    sockets = [socket.socket(fileno=number) for number in listening]
    held = {listener.getsockname()[:2] for listener in sockets}
    sockets += [_listen(address, config.port) for address in config.bind if (address, config.port) not in held]
    files = raise_file_limit()
    app = build_app(config)
    # What is there now stays. Otherwise the collector looks at all of it again and again.
    gc.freeze()
    settings = uvicorn.Config(
        app,
        http=bind_protocol(Bounds(make_places(files))),
        # uvloop serves a third more requests, and takes 1.2 MiB.
        loop="uvloop" if config.application.used else "asyncio",
        # asyncio accepts as many in one go, before a protocol can refuse the first of them. Without free descriptors it
        # would accept no client for a second (asyncio/selector_events.py, _accept_connection).
        backlog=burst_for(files),
        # The service has no WebSockets; a connection that became a WebSocket would escape these bounds.
        ws="none",
        log_level="warning",
        log_config=None,  # uvicorn's own form has no time
        # Paths of join links name rooms, and names of rooms do not belong into a log.
        access_log=False,
        # No proxy is before this listener, so headers that tell the client's address are ignored.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        lifespan="on" if config.application.used else "off",
    )
    logging.getLogger("uvicorn.error").addFilter(FewLines())
    logging.getLogger("asyncio").addFilter(RareExhaustion())
    _Server(settings, app.stop).run(sockets=sockets)


class _Server(uvicorn.Server):
    """`stop` is called when the server stops. A response without an end would be waited for, and then be cut off with a
    traceback in the log."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._stop = stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._stop:
            self._stop()
        await super().shutdown(sockets)


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        raise MachineError(f"can't listen on {address} port {port}: {error.strerror}") from error
    return listener
