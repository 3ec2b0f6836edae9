"""The keyholder's database: one connection, one writing thread, one fsync for all calls that wait together.

Promises: a call's changes are committed and synced before `run` returns or raises Recorded (a denial whose log entry
and counters are kept); any other exception takes back that call alone; after a destruction the write-ahead log is
truncated before the answer, so that no copy of the destroyed value stays in our files.
DESIGN §4a (`secure_delete`, `wal_checkpoint(TRUNCATE)`), NIST SP 800-88 cryptographic erase.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from keys.errors import Denied, KeysError, Unavailable
from keys.keyholder import schema, upgrade
from keys.reserve import Reserve, is_full

if TYPE_CHECKING:
    from keys.keyholder.config import Limits
    from keys.keyholder.custody import Custody

T = TypeVar("T")
_BATCH = 64
_BUSY_SECONDS = 0.5
_PATIENCE = 4  # attempts of _BUSY_SECONDS each, well inside a client's time-out


class Recorded(Denied):
    """A denial that left its mark: its log entry and counters are kept. Any other exception undoes its call."""


class NoStore(KeysError):
    """The store is not there, or is not one this version can use; the text says which."""


@dataclass(slots=True)
class Tx:
    """One call's view of the store. `destroyed` asks for the write-ahead log to be truncated before the answer."""

    conn: sqlite3.Connection
    now_us: int
    custody: Custody
    limits: Limits
    destroyed: bool = field(default=False)

    def one(self, sql: str, *args: Any) -> sqlite3.Row | None:
        """The first row, or None."""
        row: sqlite3.Row | None = self.conn.execute(sql, args).fetchone()
        return row

    def all(self, sql: str, *args: Any) -> list[sqlite3.Row]:
        """Every row."""
        return self.conn.execute(sql, args).fetchall()

    def number(self, sql: str, *args: Any) -> int:
        """The first column of the first row, 0 for none or NULL."""
        row = self.conn.execute(sql, args).fetchone()
        return int(row[0] or 0) if row is not None else 0

    def run(self, sql: str, *args: Any) -> int:
        """Run a change; how many rows it met."""
        return self.conn.execute(sql, args).rowcount


def open_store(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """The connection, with every safety asserted. Raises NoStore when absent (or, with `create`, when present)."""
    if create:
        if path.exists():
            raise NoStore(f"{path}: is already there, so it is not made anew")
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    elif not path.exists():
        raise NoStore(f"{path}: the keyholder's store is missing; it is never made anew in an existing installation")
    conn = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=_BUSY_SECONDS
    )
    conn.row_factory = sqlite3.Row
    try:
        _assert(conn, "PRAGMA journal_mode=WAL", "PRAGMA journal_mode", "wal")
        _assert(conn, "PRAGMA synchronous=FULL", "PRAGMA synchronous", 2)
        _assert(conn, "PRAGMA secure_delete=ON", "PRAGMA secure_delete", 1)
        _assert(conn, "PRAGMA temp_store=MEMORY", "PRAGMA temp_store", 2)
        conn.execute("PRAGMA trusted_schema=OFF")
        if create:
            conn.executescript("BEGIN IMMEDIATE;" + schema.TABLES + f"PRAGMA user_version={schema.VERSION};COMMIT;")
            sync_directory(path.parent)
        upgrade.bring_forward(conn)
    except upgrade.AnotherFormat as error:
        conn.close()
        raise NoStore(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        conn.close()
        raise NoStore(f"{path}: is not a store of ours ({type(error).__name__})") from error
    except BaseException:
        conn.close()
        raise
    return conn


_Work = tuple[Callable[[Tx], Any], "Future[Any]"]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one call came to; it is answered only once its batch is durable."""

    future: Future[Any]
    value: Any
    failure: BaseException | None
    destroyed: bool


class Database:
    """The writing thread. `run` may be called from any thread."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        custody: Custody,
        limits: Limits,
        now_us: Callable[[], int],
        reserve: Reserve | None = None,
    ) -> None:
        self._conn = conn
        self.reserve = reserve
        self._custody = custody
        self._limits = limits
        self._now_us = now_us
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._owed = False  # a truncation that a reader prevented
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="store", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in the next batch; return what it returned once that is durable.

        Raises Recorded when the work did (its changes are kept), Unavailable when the store cannot be written, and
        whatever else the work raised (its changes are gone).
        """
        future: Future[T] = Future()
        with self._closing:
            if self._closed:
                raise Unavailable("the keyholder is stopping")
            self._queue.put((work, future))
        return future.result()

    def close(self) -> None:
        """Finish what is queued and close the store."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        with contextlib.suppress(sqlite3.Error):
            self._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._conn.close()

    def _loop(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < _BATCH and batch[-1] is not None:
                try:
                    batch.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            works = [item for item in batch if item is not None]
            if works:
                self._batch(works)
            if batch[-1] is None:
                return

    def _batch(self, works: list[_Work]) -> None:
        outcomes: list[_Outcome] = []
        try:
            self._transaction(works, outcomes)
        except Exception as error:
            # Not committed, so nothing of the batch may be answered as done.
            with contextlib.suppress(sqlite3.Error):
                if self._conn.in_transaction:
                    self._conn.execute("ROLLBACK")
            if is_full(error) and self.reserve is not None and self.reserve.spend():
                self._batch(works)  # once more, now that there is room
                return
            trouble = Unavailable(f"the keyholder's store cannot be written ({type(error).__name__})")
            for _, future in works:
                future.set_exception(trouble)
            return
        destroyed = any(outcome.destroyed for outcome in outcomes)
        if destroyed or self._owed:
            self._owed = not self._truncate(attempts=_PATIENCE if destroyed else 1)
        for outcome in outcomes:
            if outcome.destroyed and self._owed:
                outcome.future.set_exception(Unavailable("a destroyed value is still in the write-ahead log"))
            elif outcome.failure is None:
                outcome.future.set_result(outcome.value)
            else:
                outcome.future.set_exception(outcome.failure)

    def _transaction(self, works: list[_Work], outcomes: list[_Outcome]) -> None:
        conn = self._conn
        conn.execute("BEGIN IMMEDIATE")
        for work, future in works:
            tx = Tx(conn, self._now_us(), self._custody, self._limits)
            conn.execute("SAVEPOINT call")
            try:
                outcomes.append(_Outcome(future, work(tx), None, tx.destroyed))
            except Recorded as denial:
                outcomes.append(_Outcome(future, None, denial, tx.destroyed))
            except sqlite3.OperationalError:
                raise  # the store itself is in trouble: full, locked, unreadable
            except Exception as error:
                conn.execute("ROLLBACK TO call")
                outcomes.append(_Outcome(future, None, error, False))
            conn.execute("RELEASE call")
        conn.execute("COMMIT")

    def _truncate(self, attempts: int) -> bool:
        """Copy the write-ahead log into the (overwriting) database and cut it to nothing, unless a reader stays."""
        try:
            for _ in range(attempts):
                busy, _, _ = self._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy:
                    return True
        except sqlite3.Error:
            return False
        return False


def _assert(conn: sqlite3.Connection, change: str, question: str, wanted: object) -> None:
    conn.execute(change)
    found = conn.execute(question).fetchone()[0]
    if found != wanted:
        raise NoStore(f"the store's {question.split()[-1]} is {found}, must be {wanted}")


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
