"""Answers and what they cost, in one SQLite file that a kill at any moment leaves whole.

The file holds a row per answer and one number, the tokens counted so far. A reservation
raises that number before a request is sent, in the statement that checks the limit; what
is known afterwards only lowers it. So a process that is killed between the two leaves the
reservation counted, as it must: the server may have done the work.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs

from reflect_core import ReflectError
from reflect_reflector_openai.records import Answer, Request

__all__ = ["Store"]

_VERSION = 1
_BUSY_SECONDS = 60.0
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, answer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledger (tokens INTEGER NOT NULL);
INSERT INTO ledger SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM ledger);
"""


class Store:
    """One file, one connection; may be used from several threads, as may the file.

    Args:
        path: The file, made with its folders if it is not there. None keeps all in memory.

    Raises:
        ReflectError: It cannot be opened, or is not such a file. Every method may raise
            this, since a disk may be full at any time.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        with self._told():
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path or ":memory:",
                timeout=_BUSY_SECONDS,
                isolation_level=None,  # transactions are written out below
                check_same_thread=False,
            )
        try:
            with self._told():
                self._prepare()
        except ReflectError:
            self._connection.close()
            raise

    def find(self, key: str) -> Answer | None:
        """The stored answer to the request of this key."""
        with self._told(), self._lock:
            row = self._connection.execute(
                "SELECT answer FROM answers WHERE key = ?", (key,)
            ).fetchone()
        return None if row is None else Answer(**json.loads(row[0]))

    @property
    def tokens(self) -> int:
        """Tokens counted so far: spent, or reserved for requests that are under way or lost."""
        with self._told(), self._lock:
            return self._tokens()

    def reserve(self, tokens: int, budget: int | None) -> bool:
        """Count ``tokens`` as spent, unless the count would then be above ``budget``."""
        with self._told(), self._transaction():
            if budget is not None and self._tokens() + tokens > budget:
                return False
            self._count(tokens)
            return True

    def release(self, tokens: int) -> None:
        """Take back a reservation for which no work was done."""
        with self._told(), self._transaction():
            self._count(-tokens)

    def settle(self, request: Request, answer: Answer, *, reserved: int) -> Answer:
        """Store an answer and count what it did cost in place of what was reserved for it.

        A reservation whose cost the endpoint does not tell stays as it is.

        Returns:
            The stored answer, which is an older one where another process was faster.
        """
        with self._told(), self._transaction():
            if answer.tokens is not None:
                self._count(answer.tokens - reserved)
            self._connection.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?)",
                (request.key, json.dumps(dict(request.body)), json.dumps(attrs.asdict(answer))),
            )
        return self.find(request.key) or answer

    def close(self) -> None:
        """Close the file; nothing can be asked any more."""
        with self._lock:
            self._connection.close()

    def _prepare(self) -> None:
        execute = self._connection.execute
        # on the disk when a call returns: losing an answer costs money
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA journal_mode = WAL")  # a commit is a single flush
        with self._transaction():
            version = execute("PRAGMA user_version").fetchone()[0]
            if version not in {0, _VERSION}:
                raise sqlite3.DatabaseError(f"it is of format {version}, not {_VERSION}")
            for statement in _TABLES.split(";"):
                execute(statement)
            execute(f"PRAGMA user_version = {_VERSION}")

    def _tokens(self) -> int:
        row = self._connection.execute("SELECT tokens FROM ledger").fetchone()
        return int(row[0])

    def _count(self, tokens: int) -> None:
        self._connection.execute("UPDATE ledger SET tokens = tokens + ?", (tokens,))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction that no other thread and no other process comes between."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's errors and the system's in words for people."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ReflectError(
                f"the answers in {self.path} cannot be read or written",
                why=str(error),
                then="check the disk, or name another file with the option cache",
            ) from error
