"""The database: any thread reads, one thread writes, and what it writes together is committed together.

Promises: `submit` resolves after COMMIT and never before; a work that raises loses only itself; when the commit or a
`before_commit` hook fails, every work of that batch fails with TryLater and nothing of it is kept; nobody waits longer
than `ANSWER_FOR`; trouble turns `health` red within a second, idle or not, and a commit that works turns it green.
A caller that hears TryLater after `ANSWER_FOR` may find its work done later: "done but reported failed".
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, Union

from sqlalchemy import Connection, Engine, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from gateway.clock import Clock, SystemClock
from gateway.errors import GatewayError, TryLater
from gateway.logs import Log
from gateway.store import engines, migrations, scope, waiting
from gateway.store.room import NoRoom, Room
from gateway.store.schema import store_probe
from gateway.store.stalls import Stalls
from gateway.store.work import Answer, Tx

__all__ = ["Store", "Tx"]

T = TypeVar("T")
ANSWER_FOR = timedelta(seconds=5)
PROBE_EVERY = timedelta(milliseconds=700)
STALLED_AFTER = timedelta(seconds=1)
BATCH_WORKS = 512

log = Log("sealgate.store")


_Reply = Union["Future[Any]", Answer]
_Job = tuple[Callable[[Tx], Any], _Reply, str]


class Store:
    """A database that is open. Made by `Store.open`; `close` waits for what is queued."""

    def __init__(
        self, url: str, clock: Clock, *, writing: bool = True, lease: str = "", one_tenant: bool = False
    ) -> None:
        parsed = engines.parse(url)
        path = engines.path_of(parsed)
        self.dialect = "sqlite" if path else "postgresql"
        self.one_tenant = one_tenant and path is None
        """Whether each read and write is held by the database to the tenant that `scope.acting` names."""
        self.before_commit: list[Callable[[Tx], None]] = []
        self.probes: list[Callable[[Connection], None]] = []
        """Run about once a second inside a savepoint that is rolled back; raising turns `health` red."""
        self.room: Room = NoRoom()
        """Put by for a full disk: given up by a commit that finds none, which is tried again; then `health` is red."""
        self._clock = clock
        self._watch = engines.FileWatch(path) if path else None
        self.awaited: Callable[[], None] = lambda: None
        """Called while a reader waits for entries to get their number: a sequencer in this process looks at once."""
        self._readers: Engine = engines.reader_engine(parsed)
        self._writers: Engine = engines.writer_engine(parsed, lease=lease)
        self._asides: Engine | None = engines.aside_engine(parsed) if path is None and writing else None
        watched = [engine for engine in (self._readers, self._writers, self._asides) if engine is not None]
        self._stalls = Stalls(watched, engines.STATEMENT_FOR) if path is None else None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._conn: Connection | None = None
        self._trouble = ""
        self._busy_since: float | None = None
        self._probed = time.monotonic()
        self._closed = not writing
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        if writing:
            self._thread.start()

    @classmethod
    def open(
        cls,
        url: str,
        *,
        create: bool = False,
        clock: Clock | None = None,
        writing: bool = True,
        lease: str = "",
        one_tenant: bool = False,
    ) -> Store:
        """Open the database at `url`; with `create`, make its tables first; without `writing`, beside its writer.

        `lease` is this process's name among the writers of a PostgreSQL database: its writer works only while no other
        process holds that name. `one_tenant` is for a database role that sees one tenant at a time.
        Raises Misconfigured when it is missing, not ours, of another version, or (`create`) there already;
        TryLater when a database server does not answer.
        """
        if create:
            migrations.create(url)
        migrations.check(url)
        return cls(url, clock or SystemClock(), writing=writing, lease=lease, one_tenant=one_tenant)

    @property
    def health(self) -> bool:
        """False when the last commit or probe failed, or the present one takes longer than a second."""
        return not self.last_error

    @property
    def last_error(self) -> str:
        """Why `health` is red, in a few fixed words; empty when it is green."""
        since = self._busy_since
        if since is not None and time.monotonic() - since > STALLED_AFTER.total_seconds():
            return "the database does not answer"
        if not self.room.whole:
            return "the disk is full"
        return "the database writer has ended" if self._closed else self._trouble

    @contextmanager
    def reading(self, log: str = "") -> Iterator[Connection]:
        """A consistent read-only view, for this thread. Raises TryLater when the database cannot be read.

        With a `log` it is one in which every entry has its number that was committed there when it was asked for, or
        `waiting.READERS_FOR` has passed; `waiting.count` then says how many have none.
        """
        upto = 0
        if log and self.dialect == "postgresql":
            upto = waiting.settle(self._reading, log, self.awaited)
        with self._reading() as conn:
            conn.info[waiting.UPTO] = upto
            yield conn

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            self._check_file(writing=False)
            with self._readers.connect() as conn, conn.begin() as snapshot:
                if self.one_tenant and scope.tenant():
                    conn.exec_driver_sql(scope.SET, (scope.tenant(),))
                yield conn
                snapshot.rollback()
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise TryLater(f"database read: {type(error).__name__}") from error

    @contextmanager
    def turn(self, duty: str) -> Iterator[bool]:
        """Whether this process has the installation's one turn at `duty` for as long as the block runs.

        On PostgreSQL an advisory lock, which the server lets go when its holder dies; on SQLite, whose writer is one
        process, always True. Nobody waits: whoever has no turn looks again at the next one. Raises TryLater.
        """
        if self.dialect == "sqlite":
            yield True
            return
        with self.reading() as conn:
            conn.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {engines.TURN_MS}")
            yield bool(conn.exec_driver_sql(
                "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", (engines.TURNS, duty)
            ).scalar())  # fmt: skip

    @contextmanager
    def aside(self) -> Iterator[Connection]:
        """A writing transaction of this thread's own beside the writer, on PostgreSQL: one at a time, kept when the
        block ends well. For the sequencer alone, which must not wait for works nor they for it. Raises TryLater.
        """
        if self._asides is None:
            raise RuntimeError("only a server takes a second writer")
        try:
            with self._asides.connect() as conn, conn.begin():
                yield conn
        except SQLAlchemyError as error:
            raise TryLater(f"database write: {type(error).__name__}") from error

    def submit(self, work: Callable[[Tx], T]) -> Future[T]:
        """Queue a work for the writer. The future resolves after COMMIT, or fails with the work's error or TryLater."""
        future: Future[T] = Future()
        self._queue(work, future)
        return future

    def run(self, work: Callable[[Tx], T]) -> T:
        """`submit` and wait, at most `ANSWER_FOR`. Raises TryLater when there is no answer by then."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("a work cannot wait for another work")
        answer = Answer()
        self._queue(work, answer)
        if not answer.wait(ANSWER_FOR):
            answer.cancelled = True  # not begun yet, most likely; if it has, it is done but reported failed
            raise TryLater("the database does not answer")
        if answer.error is not None:
            raise answer.error
        result: T = answer.result
        return result

    def close(self) -> None:
        """Finish what is queued, then close. Safe to repeat."""
        with self._gate:
            already, self._closed = self._closed, True
            if not already:
                self._jobs.put(None)
        if self._thread.ident is not None:
            self._thread.join(ANSWER_FOR.total_seconds() * 2)
        if self._stalls:
            self._stalls.close()
        if self._asides:
            self._asides.dispose()
        self._readers.dispose()

    def _queue(self, work: Callable[[Tx], Any], reply: _Reply) -> None:
        with self._gate:
            if self._closed:
                raise TryLater("the database is closed")
            self._jobs.put((work, reply, scope.tenant() if self.one_tenant else ""))

    # the writer thread

    def _serve(self) -> None:
        open_for_work = True
        while open_for_work:
            jobs: list[_Job] = []
            try:
                job = self._jobs.get(timeout=max(0.0, self._probed + PROBE_EVERY.total_seconds() - time.monotonic()))
                while job is not None:
                    jobs.append(job)
                    if len(jobs) == BATCH_WORKS:
                        break
                    job = self._jobs.get_nowait()
                open_for_work = job is not None
            except queue.Empty:
                pass
            self._busy_since = time.monotonic()
            if jobs:
                self._commit(jobs)
            if time.monotonic() - self._probed >= PROBE_EVERY.total_seconds():
                self._probe()
            self._busy_since = None
        self._disconnect()
        self._writers.dispose()

    def _commit(self, jobs: list[_Job]) -> None:
        self._attempt([job for job in jobs if job[1].set_running_or_notify_cancel()])

    def _attempt(self, running: list[_Job]) -> None:
        kept: list[tuple[_Reply, Any]] = []
        lost: list[tuple[_Reply, Exception]] = []
        try:
            with self._transaction() as (conn, raw):
                whole = Tx(conn, raw, self._clock.now_us(), whole=True)
                for work, future, tenant in running:
                    tx = Tx(conn, raw, self._clock.now_us(), tenant=tenant)
                    try:
                        kept.append((future, work(tx)))
                        tx.keep()
                    except Exception as error:
                        if self.room.needed(error):
                            raise
                        if kept and kept[-1][0] is future:
                            kept.pop()
                        lost.append((future, _told(error)))
                        tx.drop()
                    whole.events += tx.events
                    whole.after_commit += tx.after_commit
                for hook in self.before_commit:
                    hook(whole)
        except BaseException as error:
            if self.room.needed(error) and self.room.spend():
                self._attempt(running)
                return
            self._failed(error)
            heard = {future for future, _ in lost}
            for _, future, _ in running:
                if future not in heard:
                    failure = TryLater(f"commit: {type(error).__name__}")
                    failure.__cause__ = error
                    future.set_exception(failure)
            for future, mine in lost:
                future.set_exception(mine)
            return
        for done in whole.after_commit:
            done()
        for future, result in kept:
            future.set_result(result)
        for future, mine in lost:
            future.set_exception(mine)

    def _probe(self) -> None:
        """One small commit, and each room's probe rolled back: a full disk and a refused insert are both seen."""
        self._probed = time.monotonic()
        self.room.look()
        try:
            with self._transaction() as (conn, raw):
                if self.probes:
                    tx = Tx(conn, raw, 0)
                    for probe in self.probes:
                        probe(tx.conn)
                    tx.drop()
                conn.execute(update(store_probe).values(at=self._clock.now_us()))
        except Exception as error:
            self._failed(error)
        else:
            if self._trouble:
                log.info("store:recovered")
            self._trouble = ""

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Connection, Any]]:
        try:
            if self._conn is None and self._watch:
                self._watch.reopened()
            self._check_file(writing=True)
            if self._conn is None:
                self._conn = self._writers.connect()
            raw = self._conn.connection.driver_connection
            with self._conn.begin():
                yield self._conn, raw
                self._check_file(writing=True)
            if self._stalls:
                self._stalls.answered(raw)
        except BaseException:
            self._disconnect()  # an unknown state is never built upon
            raise

    def _check_file(self, *, writing: bool) -> None:
        if self._watch:
            self._watch.check(writing=writing)

    def _failed(self, error: BaseException) -> None:
        self._trouble = error.detail if isinstance(error, GatewayError) and error.detail else type(error).__name__
        log.error("store:commit-failed", error=type(error).__name__)

    def _disconnect(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            try:
                conn.invalidate()
                conn.close()
            except Exception as error:  # it is being thrown away
                log.warning("store:disconnect", error=type(error).__name__)


def _told(error: Exception) -> Exception:
    """What the caller of a work hears: its own error, or TryLater for the database's trouble."""
    if isinstance(error, SQLAlchemyError) and not isinstance(error, IntegrityError):
        told = TryLater(f"database write: {type(error).__name__}")
        told.__cause__ = error
        return told
    return error
