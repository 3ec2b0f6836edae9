"""The life of a download: from a session to bytes, with the event committed in between (STYLE §2).

    1 visit  2 factor  3 release  4 commit object:opened  5 open(W, L, S_o)  6 stream  7 commit outcome

1 and 2 are in `gateway.flow.visit`. Promises: no byte before `object:opened` with the keyholder's receipt is durable
(45 CFR 164.312(b)); bytes only after their segment's tag holds; a failure raises out of the stream, so that the
portal cuts the connection and a part never looks like the whole; a recall stops what is under way. Nothing of a share
or key is kept between requests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import select

from gateway import steps
from gateway.audit.event import GATEWAY, Action, Actor, receipt_text
from gateway.clock import Clock
from gateway.errors import NotFound, Tampered
from gateway.flow.counting import Left, record
from gateway.flow.opened import File, Letter, Measured, MeasuredAll, Opened, etag, shown_files
from gateway.flow.running import Running, Stop
from gateway.flow.sending import DownloadStopped, Sending, whole
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
            with self._alarmed(origin, door), answering():
                meta = self._keys.release_meta(session["handle"], door.message)
        except Denied as denied:
            return self._denied(origin, door, session, denied)
        steps.reached("d3")
        seen = Happened(
            Action.META_OPENED, door.message, _person(door), proof=session["proof"], receipt=_receipt(meta)
        )  # fmt: skip
        rows = [row for row in objects if row["kind"] in ("body", "subject")]
        shown = self._open(origin, door, session, rows, "read", seen)
        if isinstance(shown, Denial):
            return shown
        # 5, 6, 7
        body: dict[str, Any] = {}
        subject = ""
        too_large = False
        with self._alarmed(origin, door):
            words = subject_of(meta["key"], message) if message["meta"] is not None else {}
            files = tuple(self._file(meta["key"], row) for row in shown_files(objects))
        try:
            for row, opened in zip(rows, shown, strict=True):
                if opened.size_bytes > (BODY_BYTES if row["kind"] == "body" else SUBJECT_BYTES):
                    too_large = True
                    opened.close()
                    continue
                content = whole(opened.part(0, opened.size_bytes))
                if row["kind"] == "subject":
                    subject = content.decode("utf-8", "replace")
                else:
                    body = _body(content)
        finally:
            for opened in shown:
                opened.close()
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
            with self._alarmed(origin, door), answering():
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
        found = self._open(origin, door, session, [row], purpose)
        return found if isinstance(found, Denial) else found[0]

    def measure_all(self, origin: Origin, door: Door) -> MeasuredAll:
        """All files of the message, from their rows alone. Raises NotFound for a message without files, Tampered."""
        message, objects = self._load(origin, door)
        rows = shown_files(objects)
        if not rows:
            raise NotFound("no files in this message")
        tags = hashlib.sha256(b"".join(bytes(row["header_tag"]) for row in rows)).hexdigest()
        return MeasuredAll(tuple(rows), message["received_at"], f'"{tags[:32]}"')

    def open_all(self, origin: Origin, door: Door, session: Session, what: MeasuredAll) -> list[Opened] | Denial:
        """Every file of the message, for one answer: each released for itself, all openings committed together.

        Raises TryLater and Tampered as `read`.
        """
        return self._open(origin, door, session, what.rows, "zip")

    def _open(
        self, origin: Origin, door: Door, session: Session, rows: Sequence[Row], purpose: str, *more: Happened
    ) -> list[Opened] | Denial:
        """3 release, 4 commit: one transaction for all that this request opens, and what else it has to say.

        What was released before one was denied stands in the log as opened, and as stopped with no byte.
        """
        stops = [self._running.begin(door.grant) for _ in rows]  # before the release: a recall from now on is heard
        released: list[Any] = []
        denied: Denied | None = None
        try:
            try:
                for row in rows:
                    released.append(self._release(origin, door, session, row, purpose))
            except Denied as refused:
                denied = refused
            if rows:
                steps.reached("d3")
            both = list(zip(rows, released, strict=False))
            openings = [self._opening(door, session, row, one, purpose) for row, one in both]
            if openings or more:
                self._trail.record(origin, *more, *openings)
            if rows:
                steps.reached("d4")
            if denied is not None:
                none = [_left(row, (0, 0), "stopped") for row, _ in both]
                record(self._store, self._trail, origin, _person(door), session["proof"], none)
                return self._denied(origin, door, session, denied)
            found = []
            for (row, one), stop in zip(both, stops, strict=True):
                found.append(self._opened(origin, door, session, row, one, stop))
            stops = []
            return found
        finally:
            for stop in stops:
                stop.over()

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
        # A share that does not open at the keyholder is as much an alarm as a blob that does not open here.
        with self._alarmed(origin, door, row["id"]), answering():
            # A page may release several objects, and a request id names one release (DESIGN §4b 3).
            request = f"{origin.request}-{row['position']}"
            return self._keys.release(session["handle"], door.grant, row["id"], purpose, request)

    def _opening(self, door: Door, session: Session, row: Row, released: Any, purpose: str) -> Happened:
        return Happened(
            Action.OBJECT_OPENED, row["id"], _person(door), proof=session["proof"], receipt=_receipt(released),
            reason=f"{session['method']} {purpose}",
        )  # fmt: skip

    def _opened(
        self, origin: Origin, door: Door, session: Session, row: Row, released: Any, stop: Stop
    ) -> Opened:  # fmt: skip
        # 5 open: W and L give MK, MK and S_o the object's key
        with self._alarmed(origin, door, row["id"]):
            key = key_of_object(message_key(door.secret, door.row), released["share"], row)
            details = inner_details_of(key, row)
            size = self._vault.plain_bytes(row["sealed_bytes"])

        def reader() -> Reader:
            made = self._vault.open(
                key, tenant=row["tenant"], object_id=row["id"], kind=row["kind"], blob=row["blob"],
                header_tag=row["header_tag"], sealed_bytes=row["sealed_bytes"],
            )  # fmt: skip
            steps.reached("d5")
            return made

        def settled(ends: Sequence[Left]) -> None:
            record(self._store, self._trail, origin, _person(door), session["proof"], ends)

        return Opened(
            name=str(details.get("name") or ""), media_type=str(details.get("type") or ""), size_bytes=size,
            etag=etag(row), close=stop.over, settled=settled,
            part=lambda start, end: Sending(
                (row["id"], bytes(row["header_tag"]), size), (start, end), opened=reader, stop=stop,
                still=lambda: self._still(door, session), alarm=lambda: self._tampered(origin, row["id"], "blob"),
                record=lambda left: settled([left]),
            ),
        )  # fmt: skip

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

    def _alarmed(self, origin: Origin, door: Door, what: str = "") -> AbstractContextManager[None]:
        return self._trail.alarmed(origin, what or door.message)

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


def _one(objects: list[Row], object_id: str) -> Row:
    for row in shown_files(objects):
        if row["id"] == object_id:
            return row
    raise NotFound("no such file in this message")


def _left(row: Row, span: tuple[int, int], why: str) -> Left:
    size = Vault.plain_bytes(row["sealed_bytes"])
    return Left(row["id"], bytes(row["header_tag"]), size, span[0], span[1], size, why)


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
