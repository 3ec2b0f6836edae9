"""The life of a download: from a session to bytes, with the event committed in between (STYLE §2).

    1 visit  2 factor  3 release  4 commit object:opened  5 open(W, L, S_o)  6 stream  7 commit outcome

1 and 2 are in `gateway.flow.visit`. Promises: no byte before `object:opened` with the keyholder's receipt is durable
(45 CFR 164.312(b)); bytes only after their segment's tag holds; a failure raises out of the stream, so that the
portal cuts the connection and a part never looks like the whole; a recall stops what is under way. Nothing of a share
or key is kept between requests.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from gateway import steps
from gateway.audit.event import GATEWAY, Action, Actor, receipt_text
from gateway.clock import Clock
from gateway.errors import GatewayError, NotFound, Refused, Tampered, TryLater
from gateway.flow.running import Running
from gateway.flow.trail import Happened, Origin, Trail
from gateway.flow.visit import Denial, Door
from gateway.share import answering
from gateway.share.opening import (
    details_of,
    inner_details_of,
    key_of_object,
    message_key,
    subject_of,
)
from gateway.share.portal import Denied, PortalClient, Session
from gateway.store import schema
from gateway.store.database import Store
from gateway.store.rows import Row, Rows
from gateway.vault.vault import Reader, Vault

BODY_BYTES = 2_097_152
SUBJECT_BYTES = 65_536
LOOK_BYTES = 262_144
RECHECK_SECONDS = 2.0


class DownloadStopped(Refused):
    """This download was stopped because the message was taken back or has ended."""

    http_status = 410


@dataclass(frozen=True, slots=True)
class File:
    """One file of a message as its card shows it."""

    id: str
    kind: str
    name: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as its recipient reads it. `text` and `html` are as they were sent; html is not yet sanitised."""

    subject: str
    sender: str
    text: str | None
    html: str | None
    too_large: bool
    files: tuple[File, ...]
    received_at_us: int


@dataclass(frozen=True, slots=True)
class Opened:
    """An object whose opening is committed.

    `chunks(start, stop)` yields its plain bytes, verified, logs how it ended and closes; `close` is for those who do
    not read.
    """

    name: str
    media_type: str
    size_bytes: int
    etag: str
    chunks: Callable[[int, int], Generator[bytes, None, None]]
    close: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """A file of a message as its row describes it: the plain length and the ETag."""

    row: Row = field(repr=False)
    size_bytes: int
    etag: str


class Downloads:
    """Reading and downloading. Thread-safe; everything is handed in."""

    def __init__(
        self, store: Store, rows: Rows, vault: Vault, keys: PortalClient, trail: Trail, clock: Clock, running: Running
    ) -> None:
        self._store = store
        self._rows = rows
        self._vault = vault
        self._keys = keys
        self._trail = trail
        self._clock = clock
        self._running = running

    def read(self, origin: Origin, door: Door, session: Session) -> Letter | Denial:
        """Subject, text and the list of files; the body counts as opened.

        Raises TryLater when the log or a neighbour does not answer, Tampered when a row or seal does not hold.
        """
        message, objects = self._load(origin, door)
        # 3 release: metadata first, then what is shown at once
        try:
            with answering():
                meta = self._keys.release_meta(session["handle"], door.message)
            steps.reached("d3")
            shown = [
                (row, self._release(origin, door, session, row, "read"))
                for row in objects
                if row["kind"] in ("body", "subject")
            ]
        except Denied as denied:
            return self._denied(origin, door, session, denied)
        # 4 commit: one transaction for all that this page opens
        self._trail.record(
            origin,
            Happened(Action.META_OPENED, door.message, _person(door), proof=session["proof"], receipt=_receipt(meta)),
            *(self._opening(door, session, row, released) for row, released in shown),
        )
        steps.reached("d4")
        # 5, 6, 7
        body: dict[str, Any] = {}
        subject = ""
        too_large = False
        with self._alarmed(origin, door):
            words = subject_of(meta["key"], message) if message["meta"] is not None else {}
            files = tuple(self._file(meta["key"], row) for row in shown_files(objects))
        for row, released in shown:
            opened = self._opened(origin, door, session, row, released)
            if opened.size_bytes > (BODY_BYTES if row["kind"] == "body" else SUBJECT_BYTES):
                too_large = True
                opened.close()
                continue
            content = b"".join(opened.chunks(0, opened.size_bytes))
            if row["kind"] == "subject":
                subject = content.decode("utf-8", "replace")
            else:
                body = _body(content)
        return Letter(
            subject=subject or words.get("subject", ""),
            sender=words.get("from_name") or words.get("from", ""),
            text=body.get("text"), html=body.get("html"), too_large=too_large, files=files,
            received_at_us=message["received_at"],
        )  # fmt: skip

    def card(self, origin: Origin, door: Door, session: Session, object_id: str) -> File | Denial:
        """What the page may say of one file before it is opened. Raises NotFound for none of this message's."""
        _, objects = self._load(origin, door)
        row = _one(objects, object_id)
        try:
            with answering():
                meta = self._keys.release_meta(session["handle"], door.message)
        except Denied as denied:
            return self._denied(origin, door, session, denied)
        self._trail.record(
            origin,
            Happened(Action.META_OPENED, door.message, _person(door), proof=session["proof"], receipt=_receipt(meta)),
        )
        with self._alarmed(origin, door):
            return self._file(meta["key"], row)

    def measure(self, origin: Origin, door: Door, object_id: str) -> Measured:
        """Plain length and ETag of a file, from its row alone: for HEAD, which opens nothing."""
        _, objects = self._load(origin, door)
        row = _one(objects, object_id)
        return Measured(row, self._vault.plain_bytes(row["sealed_bytes"]), etag(row))

    def open(
        self, origin: Origin, door: Door, session: Session, what: str | Measured, purpose: str
    ) -> Opened | Denial:  # fmt: skip
        """One file, by id or as it was measured for this request; released, its opening committed, ready to stream.

        `purpose` is ``download`` or ``look``. Raises NotFound for an object that is none of this message's files,
        TryLater and Tampered as `read`.
        """
        row = what.row if isinstance(what, Measured) else _one(self._load(origin, door)[1], what)
        try:
            released = self._release(origin, door, session, row, purpose)  # 3 release
        except Denied as denied:
            return self._denied(origin, door, session, denied)
        steps.reached("d3")
        self._trail.record(origin, self._opening(door, session, row, released))  # 4 commit
        steps.reached("d4")
        return self._opened(origin, door, session, row, released)

    def _load(self, origin: Origin, door: Door) -> tuple[Row, list[Row]]:
        statement = select(schema.objects).where(schema.objects.c.message == door.message)
        try:
            with self._store.reading() as conn:
                message = self._rows.get(conn, schema.messages, door.message)
                objects = self._rows.find(conn, statement.order_by(schema.objects.c.position, schema.objects.c.id))
        except Tampered:
            self._tampered(origin, door.message, "row")
            raise
        if message is None or message["tenant"] != origin.tenant:
            raise NotFound("no such message")
        return message, objects

    def _release(self, origin: Origin, door: Door, session: Session, row: Row, purpose: str) -> Any:
        with answering():
            # A page may release several objects, and a request id names one release (DESIGN §4b 3).
            request = f"{origin.request}-{row['position']}"
            return self._keys.release(session["handle"], door.grant, row["id"], purpose, request)

    def _opening(self, door: Door, session: Session, row: Row, released: Any) -> Happened:
        return Happened(
            Action.OBJECT_OPENED, row["id"], _person(door), proof=session["proof"], receipt=_receipt(released),
            reason=session["method"],
        )  # fmt: skip

    def _opened(self, origin: Origin, door: Door, session: Session, row: Row, released: Any) -> Opened:
        # 5 open: W and L give MK, MK and S_o the object's key
        with self._alarmed(origin, door, row["id"]):
            key = key_of_object(message_key(door.secret, door.row), released["share"], row)
            details = inner_details_of(key, row)
            reader = self._vault.open(
                key, tenant=row["tenant"], object_id=row["id"], kind=row["kind"], blob=row["blob"],
                header_tag=row["header_tag"], sealed_bytes=row["sealed_bytes"],
            )  # fmt: skip
        steps.reached("d5")
        return Opened(
            name=str(details.get("name") or ""), media_type=str(details.get("type") or ""),
            size_bytes=reader.plain_bytes, etag=etag(row),
            chunks=lambda start, stop: self._stream(origin, door, session, row, reader, start, stop),
            close=reader.close,
        )  # fmt: skip

    def _stream(
        self, origin: Origin, door: Door, session: Session, row: Row, reader: Reader, start: int, stop: int
    ) -> Generator[bytes, None, None]:
        """6 stream, 7 commit the outcome, whichever way it ends."""
        sent = 0
        outcome, reason = "failed", "cut"  # when the browser goes away the generator is closed at a yield
        try:
            with self._running.on(door.grant) as stopped:
                # A recall between the release and here cut nothing: from now on it would be seen, so look once.
                self._still(door, session)
                checked = time.monotonic()
                for chunk in reader.read(start, stop):
                    if time.monotonic() - checked > RECHECK_SECONDS:
                        checked = time.monotonic()
                        self._still(door, session)
                    if stopped.is_set():
                        raise DownloadStopped("recalled under way")
                    yield chunk
                    sent += len(chunk)
                    steps.reached("d6")
            if sent != stop - start:
                raise Tampered("an object ended early")
            outcome, reason = "ok", ""
        except Tampered:
            reason = "tampered"
            self._tampered(origin, row["id"], "blob")
            raise
        except GatewayError:
            reason = "stopped"
            raise
        finally:
            reader.close()
            action = Action.OBJECT_COMPLETED if outcome == "ok" else Action.OBJECT_FAILED
            happened = Happened(
                action, row["id"], _person(door), outcome=outcome, reason=reason, proof=session["proof"], bytes=sent
            )
            self._trail.record(origin, happened)
            steps.reached("d7")

    def _still(self, door: Door, session: Session) -> None:
        """Raises DownloadStopped when grant or session ended elsewhere; the keyholder's word, not a row's."""
        try:
            with answering():
                state = self._keys.standing(session["handle"], door.grant)
        except Denied as denied:
            raise DownloadStopped("session ended under way") from denied
        if state != "live":
            raise DownloadStopped("grant ended under way")

    def _file(self, key: str, row: Row) -> File:
        found = details_of(key, row)
        return File(row["id"], row["kind"], found["name"], found["type"], self._vault.plain_bytes(row["sealed_bytes"]))

    def _alarmed(self, origin: Origin, door: Door, what: str = "") -> _Alarm:
        return _Alarm(lambda: self._tampered(origin, what or door.message, "seal"))

    def _tampered(self, origin: Origin, what: str, kind: str) -> None:
        self._trail.record(origin, Happened(Action.TAMPER_FOUND, what, GATEWAY, outcome="failed", reason=kind))

    def _denied(self, origin: Origin, door: Door, session: Session, denied: Denied) -> Denial:
        self._trail.record(
            origin,
            Happened(
                Action.OBJECT_REFUSED, door.grant, _person(door), outcome="refused", reason=denied.reason,
                proof=session["proof"],
            ),
        )  # fmt: skip
        return Denial(denied.reason)


class _Alarm:
    """A `with` that turns a broken seal into its event before it goes on up."""

    def __init__(self, alarm: Callable[[], None]) -> None:
        self._alarm = alarm

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Tampered):
            self._alarm()


def etag(row: Row) -> str:
    """Strong validator of an object (RFC 9110 8.8.3): its header tag commits to every byte of it."""
    return f'"{row["header_tag"].hex()[:32]}"'


def shown_files(objects: list[Row]) -> list[Row]:
    """The files a recipient sees: the parts, or the whole original where it was sealed as one.

    An original beside parts is what an officer reads of held mail; it is not the recipient's.
    """
    files = [row for row in objects if row["kind"] == "file"]
    if files or any(row["kind"] == "body" for row in objects):
        return files
    return [row for row in objects if row["kind"] == "original"][:1]


def _one(objects: list[Row], object_id: str) -> Row:
    for row in shown_files(objects):
        if row["id"] == object_id:
            return row
    raise NotFound("no such file in this message")


def _receipt(released: Any) -> str:
    return receipt_text(released["receipt"])


def _person(door: Door) -> Actor:
    return Actor("person", door.person)


def _body(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise Tampered("a body has another form") from error
    if not isinstance(found, dict):
        raise Tampered("a body has another form")
    return {name: value for name, value in found.items() if name in ("text", "html") and isinstance(value, str)}


__all__ = ["Denial", "DownloadStopped", "Downloads", "File", "Letter", "Opened", "TryLater", "etag"]
