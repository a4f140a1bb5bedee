"""Users, sessions, rooms and messages, in SQLite."""

import hashlib
import hmac
import secrets
import sqlite3
import time

_TABLES = """
CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, salt BLOB NOT NULL, digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (digest BLOB PRIMARY KEY, user TEXT NOT NULL REFERENCES users);
CREATE TABLE IF NOT EXISTS rooms (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, room TEXT NOT NULL REFERENCES rooms, author TEXT NOT NULL,
    text TEXT NOT NULL, at REAL NOT NULL);
INSERT OR IGNORE INTO rooms VALUES ('general');
"""

# How many messages a page shows when it opens.
RECENT = 50


class Database:
    """One file. Every method is short, so the server calls them without a thread."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.executescript(_TABLES)

    def sign_in(self, name: str, password: str) -> str | None:
        """A new session of the user, who is made at the first time. None where the password is wrong."""
        row = self._connection.execute("SELECT salt, digest FROM users WHERE name = ?", (name,)).fetchone()
        salt = row[0] if row else secrets.token_bytes(16)
        digest = hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)
        if row is None:
            self._connection.execute("INSERT INTO users VALUES (?, ?, ?)", (name, salt, digest))
        elif not hmac.compare_digest(row[1], digest):
            return None
        session = secrets.token_urlsafe(32)
        self._connection.execute("INSERT INTO sessions VALUES (?, ?)", (_digest(session), name))
        return session

    def find_user(self, session: str) -> str | None:
        row = self._connection.execute("SELECT user FROM sessions WHERE digest = ?", (_digest(session),)).fetchone()
        return row[0] if row else None

    def list_rooms(self) -> list[str]:
        return [name for (name,) in self._connection.execute("SELECT name FROM rooms ORDER BY name")]

    def add_room(self, name: str) -> None:
        self._connection.execute("INSERT OR IGNORE INTO rooms VALUES (?)", (name,))

    def add_message(self, room: str, author: str, text: str) -> dict[str, object]:
        at = time.time()
        values = (room, author, text, at)
        self._connection.execute("INSERT INTO messages (room, author, text, at) VALUES (?, ?, ?, ?)", values)
        return {"author": author, "text": text, "at": at}

    def list_messages(self, room: str) -> list[dict[str, object]]:
        """The last messages of a room, oldest first."""
        query = "SELECT author, text, at FROM messages WHERE room = ? ORDER BY id DESC LIMIT ?"
        rows = self._connection.execute(query, (room, RECENT)).fetchall()
        return [{"author": author, "text": text, "at": at} for author, text, at in reversed(rows)]


def _digest(session: str) -> bytes:
    return hashlib.sha256(session.encode()).digest()
