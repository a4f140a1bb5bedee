"""A process for the supervisor to keep: `actor.py --config FILE --control SOCKET`, run as a program.

The configuration is JSON, every key optional:
    say         a line for its log
    exit        end at once with this code
    deaf        ignore SIGTERM
    never_ready bind no control socket
    rooms       what `/status` tells: `[{"name", "participants"}]`
    die_when    a path: end with code 7 as soon as it exists
"""

import json
import os
import signal
import socket
import sys


def answer(connection: socket.socket, rooms: object) -> None:
    connection.recv(4096)
    body = json.dumps({"state": "running", "pid": os.getpid(), "rooms": rooms}).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    connection.close()


def main() -> None:
    arguments = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    with open(arguments["--config"]) as file:
        config = json.load(file)
    print(config.get("say", "hello"), flush=True)
    if "exit" in config:
        sys.exit(config["exit"])
    signal.signal(signal.SIGTERM, signal.SIG_IGN if config.get("deaf") else lambda *_: os._exit(0))
    if config.get("never_ready"):
        signal.pause()
    control = arguments["--control"]
    if os.path.exists(control):
        os.unlink(control)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(control)
        listener.listen()
        listener.settimeout(0.01)
        while not os.path.exists(config.get("die_when", "")):
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            answer(connection, config.get("rooms", []))
    sys.exit(7)


if __name__ == "__main__":
    main()
