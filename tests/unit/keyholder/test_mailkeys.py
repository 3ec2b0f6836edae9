"""Keys that sign mail: made once under a name, wrapped at rest, given to the worker alone, gone when removed."""

from __future__ import annotations

import pytest

from keys.client import PortalClient, unb64
from keys.errors import Denied, Tampered
from keys.keyholder.holder import NotAllowed
from tests.support.keyholder import TENANT
from tests.unit.keyholder.conftest import Direct, House


def test_a_key_is_made_once_and_only_the_worker_is_given_its_private_half(house: House) -> None:
    made = {one: house.operator.dkim_make(TENANT, f"s-{one}", one) for one in ("rsa", "ed25519")}
    assert [len(unb64(made[one]["public"])) for one in made] == [294, 32]
    with pytest.raises(Denied, match="taken"):
        house.operator.dkim_make(TENANT, "s-rsa", "rsa")
    house.reopen()
    listed = house.operator.dkim_list(TENANT)
    assert {one["selector"]: one["public"] for one in listed} == {f"s-{one}": made[one]["public"] for one in made}
    assert all("private" not in one for one in listed)
    given = house.worker.dkim_keys(TENANT)
    assert [sorted(one) for one in given] == [["algorithm", "private", "selector"]] * 2
    stored = b"".join(path.read_bytes() for path in house.config.directory.glob("keyholder.db*"))
    assert not [one for one in given if unb64(one["private"]) in stored]
    for client in (PortalClient(Direct(house, "portal")), house.operator):
        with pytest.raises(NotAllowed):
            client._call("dkim_keys", tenant=TENANT)


@pytest.mark.parametrize(
    ("selector", "algorithm", "reason"),
    [("A", "rsa", "bad-selector"), ("a.b", "rsa", "bad-selector"), ("", "rsa", "bad-selector"),
     ("a", "rsa-1024", "bad-algorithm")],
    ids=["capital", "two-labels", "empty", "short-rsa"],
)  # fmt: skip
def test_names_that_dns_would_not_take_and_weak_keys_are_refused(
    house: House, selector: str, algorithm: str, reason: str
) -> None:
    with pytest.raises(Denied, match=reason):
        house.operator.dkim_make(TENANT, selector, algorithm)


def test_there_is_an_end_to_the_keys_of_a_tenant_and_none_of_a_stranger(house: House) -> None:
    for number in range(8):
        house.operator.dkim_make(TENANT, f"e{number}", "ed25519")
    with pytest.raises(Denied, match="too-many"):
        house.operator.dkim_make(TENANT, "e8", "ed25519")
    with pytest.raises(Denied, match="no-tenant"):
        house.operator.dkim_make("tnt_nobody", "e1", "ed25519")


def test_a_removed_key_is_gone_and_a_moved_one_does_not_open(house: House) -> None:
    house.operator.dkim_make(TENANT, "old", "ed25519")
    assert house.operator.dkim_remove(TENANT, "old") is True
    assert house.operator.dkim_remove(TENANT, "old") is False
    assert house.worker.dkim_keys(TENANT) == []
    house.operator.dkim_make(TENANT, "one", "ed25519")
    house.operator.dkim_make(TENANT, "two", "ed25519")
    house.holder.database.run(
        lambda tx: tx.run(
            "UPDATE mail_keys SET wrapped = (SELECT wrapped FROM mail_keys WHERE selector = 'one')"
            " WHERE selector = 'two'"
        )
    )
    with pytest.raises(Tampered):
        house.worker.dkim_keys(TENANT)
