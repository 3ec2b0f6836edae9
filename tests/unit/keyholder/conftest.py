"""The keyholder without its process, under a clock that tests move; and the real process where a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pyotp
import pytest

from keys.client import Deposit, OperatorClient, PortalClient, WorkerClient
from keys.errors import Denied
from keys.keyholder import wire
from keys.keyholder.connection import Connection
from keys.keyholder.holder import Holder
from tests.support.keyholder import (
    NODE,
    PASSWORD,
    PHONE,
    TENANT,
    Keyholder,
    config_in,
    deposit_for,
    running,
    set_up,
)

PERSON = "per_Maria00000000001"
SECOND = 1_000_000


class Direct(Connection):
    """The same clients and the same JSON, without the socket."""

    def __init__(self, house: House, role: str) -> None:
        super().__init__("/nonexistent")
        self._house = house
        self._role = role

    def call(self, method: str, params: Mapping[str, Any]) -> Any:
        wire.encode({"params": dict(params)})
        answer = self._house.holder.call(self._role, method, dict(params))
        wire.encode({"ok": answer})
        return answer


class House:
    """A keyholder in this process. `wait(seconds)` moves its clock, `reopen()` is a restart."""

    def __init__(self, directory: Path, **limits: int) -> None:
        self.config = config_in(directory, **limits)
        self.now = 1_800_000_000 * SECOND
        self.holder = Holder.open(self.config, now_us=lambda: self.now)
        self.operator = OperatorClient(Direct(self, "operator"))
        self.worker = WorkerClient(Direct(self, "worker"))
        self.portal = PortalClient(Direct(self, "portal"))

    def wait(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)

    def reopen(self) -> None:
        self.holder.close()
        self.holder = Holder.open(self.config, now_us=lambda: self.now)

    def close(self) -> None:
        self.holder.close()

    def deposit(self, person: str | None = PERSON, **more: Any) -> Deposit:
        """A deposited message, its expiry counted from the house's clock."""
        days = more.pop("days", 90)
        made = deposit_for(person, **more)
        hold = self.now + 7 * 86_400 * SECOND if made.hold_until_us is not None else None
        made = Deposit(
            tenant=made.tenant, message=made.message, expires_us=self.now + days * 86_400 * SECOND, share=made.share,
            grants=made.grants, objects=made.objects, sender_user=made.sender_user, hold_until_us=hold,
        )  # fmt: skip
        self.worker.deposit([made])
        return made

    def texted(self, grant: str, visitor: str = "vis_1") -> str:
        """The code that the recipient of this grant was sent."""
        self.portal.ask_text(grant, PHONE[-4:], visitor, "net_1")
        (text,) = self.worker.take_texts(10)
        self.worker.text_done(text["id"], True)
        return str(text["code"])

    def enter(self, grant: str, visitor: str = "vis_1") -> str:
        """The handle of a session behind a text code."""
        session = self.portal.verify(grant, self.texted(grant, visitor), visitor, "net_1")
        return session["handle"]

    def staff(self, user: str, role: str, tenant: str = TENANT) -> StaffMember:
        uri = self.operator.add_user(tenant, user, role, PASSWORD)["totp_uri"]
        return StaffMember(self, tenant, user, parse_qs(urlparse(uri).query)["secret"][0])

    def rows(self, sql: str, *args: Any) -> list[Any]:
        """A look into the store."""
        return self.holder.database.run(lambda tx: [tuple(row) for row in tx.all(sql, *args)])

    def change(self, sql: str, *args: Any) -> None:
        """A change of the store behind the keyholder's back."""
        self.holder.database.run(lambda tx: tx.run(sql, *args))

    def actions(self, tenant: str = TENANT) -> list[tuple[str, str]]:
        """(action, reason) of every entry in a release log."""
        return [(entry["action"], entry["reason"]) for entry in self.entries(tenant)]

    def entries(self, tenant: str = TENANT) -> list[dict[str, Any]]:
        import json

        page = self.worker.release_log(tenant)
        return [json.loads(wire.unb64(entry)) for entry in page["entries"]]


class StaffMember:
    """A workforce member who signs in; each code is of a fresh time step."""

    def __init__(self, house: House, tenant: str, user: str, secret: str) -> None:
        self.house, self.tenant, self.user, self.secret = house, tenant, user, secret

    def code(self) -> str:
        self.house.wait(31)
        return pyotp.TOTP(self.secret).at(self.house.now // SECOND)

    def sign_in(self) -> str:
        session = self.house.portal.staff_login(self.tenant, self.user, PASSWORD, self.code(), "net_office")
        return session["handle"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A tenant, a node and a person with a phone."""
    made = House(tmp_path)
    set_up_house(made)
    yield made
    made.close()


def set_up_house(made: House) -> None:
    set_up(made)  # type: ignore[arg-type]
    made.operator.register_person(TENANT, PERSON, PHONE)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Keyholder]:
    """The real process with the same set-up."""
    with running(tmp_path) as keyholder:
        set_up(keyholder)
        keyholder.operator.register_person(TENANT, PERSON, PHONE)
        yield keyholder


class refusal:
    """`with refusal("revoked"): …`: the block must be denied for exactly this reason."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.data: dict[str, Any] = {}

    def __enter__(self) -> refusal:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Denied):
            assert error.reason == self.reason, f"denied as {error.reason}, expected {self.reason}"
            self.data = error.data
            return True
        assert error is not None or kind is not None, f"allowed; expected a refusal: {self.reason}"
        return False


__all__ = ["NODE", "PERSON", "SECOND", "House", "StaffMember", "refusal"]
