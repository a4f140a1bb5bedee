"""What the service carries while the spec asks for nothing that applications need."""

import subprocess
import sys

# In a process of its own: other tests have loaded all of it.
PROGRAM = """
import sys
import lkhub.service.server
from lkhub.service.app import build_app
from lkhub.wire.serve_config import ServeConfig

build_app(ServeConfig("hub", "local", ("127.0.0.1",), 8080, (), True, "ws://x", "http://x", "keys", (), ""))
print(*sorted(sys.modules))
"""

NOT_LOADED = (
    "sqlalchemy",
    "alembic",
    "psycopg",
    "limits",
    "jwt",
    "cryptography",
    "difflib",
    "lkhub.livekit.webhooks",
    "lkhub.store",
    "lkhub.service.openapi",
    "lkhub.service.rooms",
)


def test_hub_that_keeps_nothing_loads_nothing_to_keep_it_with() -> None:
    command = [sys.executable, "-c", PROGRAM]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    assert "lkhub.service.tokens" in loaded
    assert [name for name in loaded if name.startswith(NOT_LOADED)] == []
