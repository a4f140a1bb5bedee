"""The server: pages, sessions, rooms, messages over a WebSocket, tokens for calls."""

import asyncio
import sys
from collections import defaultdict
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from echochat.calls import CallError, ask_hub
from echochat.config import Config, load_config
from echochat.database import Database

HERE = Path(__file__).parent.parent
COOKIE = "echochat"


class Server:
    """The handlers of one site."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.database = Database(config.database)
        self.listeners: defaultdict[str, set[WebSocket]] = defaultdict(set)

    def user_of(self, connection: HTTPConnection) -> str | None:
        return self.database.find_user(connection.cookies.get(COOKIE, ""))

    async def sign_in(self, request: Request) -> Response:
        given = await request.json()
        session = self.database.sign_in(given["name"], given["password"]) if given["name"] else None
        if session is None:
            return JSONResponse({"error": "wrong password"}, 401)
        response = JSONResponse({"user": given["name"]})
        response.set_cookie(COOKIE, session, httponly=True, samesite="strict", secure=request.url.scheme == "https")
        return response

    async def rooms(self, request: Request) -> Response:
        if self.user_of(request) is None:
            return JSONResponse({"error": "sign in"}, 401)
        if request.method == "POST":
            self.database.add_room((await request.json())["name"])
        return JSONResponse({"site": self.config.site_name, "rooms": self.database.list_rooms()})

    async def token(self, request: Request) -> Response:
        user = self.user_of(request)
        if user is None:
            return JSONResponse({"error": "sign in"}, 401)
        try:
            return JSONResponse(await ask_hub(self.config, (await request.json())["room"], user))
        except CallError as error:
            headers = {"Retry-After": error.again} if error.again else None
            return JSONResponse({"error": str(error)}, error.status, headers)

    async def chat(self, socket: WebSocket) -> None:
        """Sends the last messages, then every new one; takes `{"text": …}`."""
        user, room = self.user_of(socket), socket.path_params["room"]
        if user is None or room not in self.database.list_rooms():
            await socket.close(4401)
            return
        await socket.accept()
        self.listeners[room].add(socket)
        try:
            for message in self.database.list_messages(room):
                await socket.send_json(message)
            while True:
                message = self.database.add_message(room, user, (await socket.receive_json())["text"])
                await asyncio.gather(*(self._send(room, each, message) for each in self.listeners[room]))
        except WebSocketDisconnect:
            pass
        finally:
            self.listeners[room].discard(socket)

    async def _send(self, room: str, listener: WebSocket, message: dict[str, object]) -> None:
        """A listener that is just vanishing, such as a laptop that was closed, keeps the message from no other."""
        try:
            await listener.send_json(message)
        except (WebSocketDisconnect, RuntimeError):  # RuntimeError: uvicorn has closed the connection already
            self.listeners[room].discard(listener)


def build_app(config: Config) -> Starlette:
    server = Server(config)
    return Starlette(
        routes=[
            Route("/api/session", server.sign_in, methods=["POST"]),
            Route("/api/rooms", server.rooms, methods=["GET", "POST"]),
            Route("/api/livekit/token", server.token, methods=["POST"]),
            WebSocketRoute("/chat/{room}", server.chat),
            Mount("/vendor", StaticFiles(directory=HERE / "node_modules" / "livekit-client" / "dist")),
            Mount("/", StaticFiles(directory=HERE / "static", html=True)),
        ]
    )


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    uvicorn.run(build_app(load_config(HERE / "server_config.json")), host="127.0.0.1", port=port, log_level="warning")
