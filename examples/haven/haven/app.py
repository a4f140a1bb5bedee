"""The backend: a page, and the token for a voice room."""

import sys
from pathlib import Path

import uvicorn
from dotenv import load_dotenv
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from haven.voice import join_room

HERE = Path(__file__).parent.parent


async def join(request: Request) -> Response:
    """`{"user", "room"}` → `{"url", "token"}`. A real backend takes the user from its own session: here anybody may say
    any name."""
    given = await request.json()
    return JSONResponse(join_room(given["user"], given["room"]))


app = Starlette(
    routes=[
        Route("/api/voice/join", join, methods=["POST"]),
        Mount("/vendor", StaticFiles(directory=HERE / "node_modules" / "livekit-client" / "dist")),
        Mount("/", StaticFiles(directory=HERE / "static", html=True)),
    ]
)

if __name__ == "__main__":
    load_dotenv(HERE / ".env")
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
