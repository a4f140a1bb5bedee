"""FastAPI, for uvicorn."""

import os

from fastapi import FastAPI
from pydantic import BaseModel
from sign import sign


class Wanted(BaseModel):
    room: str
    identity: str


app = FastAPI()


@app.post("/token")
async def token(wanted: Wanted) -> dict[str, str]:
    return {"token": sign(wanted.room, wanted.identity), "url": os.environ["LIVEKIT_URL"]}
