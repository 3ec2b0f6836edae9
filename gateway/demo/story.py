"""What the check of the demo carries from step to step, and how a step says that a proof does not hold."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway.audit.search import search
from gateway.demo.clinic import Clinic
from gateway.demo.sink import Received
from gateway.demo.visitor import Page, Visitor
from gateway.store.database import Store

Event = dict[str, Any]
NOTHING_OPENED = (
    "object:opened",
    "object:completed",
    "session:started",
    "meta:opened",
    "code:asked",
    "factor:enrolled",
)
LOG_SECONDS = 15.0


class Broken(Exception):
    """A proof does not hold; the text says which and what was seen instead."""


def expect(holds: bool, otherwise: str) -> None:
    """Raises Broken with these words unless it holds."""
    if not holds:
        raise Broken(otherwise)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A protected message: what Amy sent, what left, its ids in the log."""

    sent: bytes
    mail: Received
    message: str

    @property
    def link(self) -> str:
        """The personal link in the mail that left."""
        return self.mail.link or ""

    @property
    def grant(self) -> str:
        """The link's id: the first twelve letters of its token."""
        return "lnk_" + self.link.rpartition("/")[2][:12]

    @property
    def plain(self) -> str:
        """Its address once the secret has moved to a cookie."""
        return self.link.rpartition("/")[0] + "/" + self.grant.removeprefix("lnk_")


@dataclass(slots=True)
class Story:
    """One walk."""

    clinic: Clinic
    browser: str | None
    sealed: dict[str, Sealed] = field(default_factory=dict)
    reader: Visitor = field(default_factory=lambda: Visitor("Mozilla/5.0 (patient)"))
    late: Visitor = field(default_factory=lambda: Visitor("Mozilla/5.0 (late)"))
    staff: Visitor = field(default_factory=lambda: Visitor("Mozilla/5.0 (staff)"))
    marks: dict[str, Any] = field(default_factory=dict)
    _store: Store | None = None

    def log(self, *words: str) -> list[Event]:
        """Entries as `sealgate audit search` finds them, oldest first, read from the log's own database.

        The same search without a new process each time; the command itself is a step of the check.
        """
        if self._store is None:
            self._store = Store.open(f"sqlite:///{self.clinic.data}/db/sealgate.db", writing=False)
        with self._store.reading() as conn:
            found = search(conn, self.clinic.tenant, " ".join(words))
        return [{"entry": one.index, **one.fields} for one in found]

    def close(self) -> None:
        """Let the log's database go."""
        if self._store is not None:
            self._store.close()

    def logged(self, wanted: Iterable[tuple[str, str, dict[str, Any]]]) -> list[Event]:
        """For each (action, object or empty, fields) its latest entry; waits for what is written after an answer left.

        Raises Broken naming the first that the log does not have.
        """
        asked = list(wanted)
        deadline = time.monotonic() + LOG_SECONDS
        while True:
            entries = self.log()[::-1]
            found = [next((entry for entry in entries if _fits(entry, *one)), None) for one in asked]
            missing = [one for one, entry in zip(asked, found, strict=True) if entry is None]
            if not missing:
                return [entry for entry in found if entry is not None]
            if time.monotonic() > deadline:
                action, thing, fields = missing[0]
                near = [(one["outcome"], one["reason"], one["proof"]) for one in entries if one["action"] == action][:3]
                raise Broken(f"the log has no {action} of {thing or 'anything'} with {fields}; it has {near}")
            time.sleep(0.3)


def page(found: Page, status: int, holds: Callable[[str], bool] | str = "", *, what: str) -> Page:
    """The page itself, when its status and text are as they must be. Raises Broken, quoting the page's heading."""
    heading = re.search(r"<h1>(.*?)</h1>", found.text, re.DOTALL)
    shows = f"; it shows '{heading[1].strip()}'" if heading else ""
    expect(found.status == status, f"{what}: status {found.status} instead of {status}{shows}")
    inside = holds in found.text if isinstance(holds, str) else holds(found.text)
    expect(inside, f"{what}: the page does not say what it must{shows}")
    return found


def _fits(entry: Event, action: str, thing: str, fields: dict[str, Any]) -> bool:
    if entry["action"] != action or (thing and entry["object"] != thing):
        return False
    return all(entry[name] == value for name, value in fields.items())
