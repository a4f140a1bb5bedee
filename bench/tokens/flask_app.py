"""Flask, for gunicorn."""

import os
from typing import Any

from flask import Flask, request
from sign import sign

app = Flask(__name__)


@app.post("/token")
def token() -> dict[str, Any]:
    given = request.get_json()
    return {"token": sign(given["room"], given["identity"]), "url": os.environ["LIVEKIT_URL"]}
