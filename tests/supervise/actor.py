"""A process for the supervisor to keep, run as a program:
`actor.py --config FILE --control SOCKET [--listen-fd N] [--control-fd N]`.

The configuration is JSON, every key optional:
    say         a line for its log
    exit        end at once with this code
    deaf        ignore SIGTERM
    drains      accept and print the time limit of a drain, and be draining from then on; without it, act as an engine
                of the first version
    binds       a TCP port at 127.0.0.1
    draining    report that an earlier supervisor was stopping it
    never_ready bind no control socket
    rooms       the rooms in `/status`: `[{"name", "participants"}]`
    uses        how API keys were used, in `/status`
    seen        the clients on other machines in `/status`: `{path: {"at", "address"}}`
    unproven    the clients that it sent to first, in the same form
    relayed     how many participants it tells to connect again
    refuse      answer a `/reload` that reads this key with 422 and this message
    keys        a path: print the names in this key file when it reads its files again
    garble      answer a `/reload` that reads this key with this text
    keeps       do not give the socket that it inherited, as an engine of an earlier version
    die_when    a path: end as soon as it exists, with code 7, or with 0 after it was told to drain
"""

import contextlib
import json
import os
import signal
import socket
import sys


def answer(connection: socket.socket, config: dict[str, object], arguments: dict[str, str]) -> dict[str, object]:
    """Answer one request; the configuration from now on."""
    path = arguments["--config"]
    status = b"200 OK"
    told: object = {
        "state": "draining" if config.get("draining") else "running",
        "pid": os.getpid(),
        "rooms": config.get("rooms", []),
        "keys": config.get("uses"),
        "seen": config.get("seen", {}),
        "unproven": config.get("unproven", {}),
    }
    request = connection.recv(4096)
    if request.startswith(b"POST /resume "):
        print("resume", (request.partition(b"\r\n\r\n")[2] or connection.recv(4096)).decode(), flush=True)
        told = {"participants": config.get("relayed", 0)}
    elif request.startswith(b"POST /drain "):
        if config.get("drains"):
            print("drain", (request.partition(b"\r\n\r\n")[2] or connection.recv(4096)).decode(), flush=True)
            config = {**config, "draining": True}
        else:
            status, told = b"404 Not Found", "404 page not found"
    elif request.startswith(b"GET /sockets "):
        if "--listen-fd" in arguments and not config.get("keeps"):
            socket.send_fds(connection, [b"HTTP/1.0 200 OK\r\n\r\n"], [int(arguments["--listen-fd"])])
            connection.close()
            return config
        status, told = b"404 Not Found", "404 page not found"
    elif request.startswith(b"POST /reload "):
        wanted = read_config(path)
        if "garble" in wanted:
            told = wanted["garble"]
        elif "refuse" in wanted:
            status, told = b"422 Unprocessable Entity", {"error": {"code": "wrong", "message": wanted["refuse"]}}
        else:
            config = wanted
            print("reloaded", config.get("say", "hello"), flush=True)
            if "keys" in config:
                with open(str(config["keys"])) as file:
                    print("keys", *(line.partition(":")[0].strip('"') for line in file), flush=True)
    body = json.dumps(told).encode() if not isinstance(told, str) else told.encode()
    connection.sendall(b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body))
    connection.close()
    return config


def read_config(path: str) -> dict[str, object]:
    with open(path) as file:
        config: dict[str, object] = json.load(file)
    return config


def main() -> None:
    arguments = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    config = read_config(arguments["--config"])
    signal.signal(signal.SIGTERM, signal.SIG_IGN if config.get("deaf") else lambda *_: os._exit(0))
    print(config.get("say", "hello"), flush=True)
    if "exit" in config:
        sys.exit(int(str(config["exit"])))
    held = contextlib.ExitStack()
    if "binds" in config:
        held.enter_context(socket.create_server(("127.0.0.1", int(str(config["binds"])))))
    if config.get("never_ready"):
        signal.pause()
    control = arguments["--control"]
    inherited = arguments.get("--control-fd")
    if inherited is None and os.path.exists(control):
        os.unlink(control)
    with socket.socket(socket.AF_UNIX, fileno=None if inherited is None else int(inherited)) as listener:
        if inherited is None:
            listener.bind(control)
            listener.listen()
        listener.settimeout(0.01)
        while not os.path.exists(str(config.get("die_when", ""))):
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with contextlib.suppress(ConnectionError):  # the client did not wait
                config = answer(connection, config, arguments)
    sys.exit(0 if config.get("draining") else 7)


if __name__ == "__main__":
    main()
