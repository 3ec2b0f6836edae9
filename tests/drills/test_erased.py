"""What ended does not open again: expired, shortened, erased and tenant-erased mail, with everything put back.

One keyholder under a clock that moves; a thief or an operator holds last week's copies of all of it, root key included.
Before the end each message opens; after it, no byte of share or day key is left in any file of the keyholder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keys import wrap
from keys.client import Deposit, unb64
from keys.datakey import DataKey
from keys.derive import blob_aad, object_key, object_share
from keys.keyholder import copying
from keys.keyholder.backups import Expired
from keys.keyholder.holder import Holder
from keys.keyholder.schema import TABLES
from tests.support.keyholder import TENANT
from tests.support.stolen import open_copy
from tests.unit.keyholder.conftest import House, set_up_house

DAY = 86_400
DAY_US = DAY * 1_000_000
FATES = ("expired", "shortened", "erased", "person", "kept")


@dataclass
class Sealed:
    """A file of a message and the preview made of it, as last week's copies of database and vault hold them: sealed
    bytes, pinned header tags, and the wrap, which the link of the recipient's mail opens.
    """

    message: str
    grant: str
    link: bytes
    wrapped: bytes
    blobs: dict[str, tuple[str, bytes, bytes]]

    @classmethod
    def of(cls, deposit: Deposit) -> Sealed:
        """Sealed as the worker does it: every derivative under the same MK and S."""
        mk, link, grant = os.urandom(32), os.urandom(16), deposit.grants[0].id
        wrapped = wrap.wrap(link, mk, wrap.WrapContext(TENANT, deposit.message, grant, "link", 1))
        blobs = {}
        for kind, thing in zip(("file", "preview"), deposit.objects, strict=True):
            sealer = cls._key(mk, deposit.share, deposit.message, thing.id, kind).sealer(
                blob_aad(tenant=TENANT, object_id=thing.id, kind=kind)
            )
            body = b"".join([*sealer.update_pieces(WORDS[kind]), *sealer.finish_pieces()])
            blobs[kind] = thing.id, sealer.header, body
        return cls(deposit.message, grant, link, wrapped, blobs)

    @staticmethod
    def _key(mk: bytes, share: bytes, message: str, thing: str, kind: str) -> DataKey:
        part = object_share(share, tenant=TENANT, message=message, object_id=thing)
        return object_key(mk, part, tenant=TENANT, message=message, object_id=thing, kind=kind)

    def opened(self, shares: Mapping[str, bytes]) -> dict[str, bytes]:
        """What these shares open of it, with the link and all that the gateway had."""
        if self.message not in shares:
            return {}
        mk = wrap.unwrap(self.link, self.wrapped, wrap.WrapContext(TENANT, self.message, self.grant, "link", 1))
        found = {}
        for kind, (thing, header, body) in self.blobs.items():
            key = self._key(mk, shares[self.message], self.message, thing, kind)
            aad = blob_aad(tenant=TENANT, object_id=thing, kind=kind)
            opener = key.opener(aad, header, header[-32:])
            found[kind] = bytes(opener.segment(0, body, final=True))
        return found


WORDS = {"file": b"the letter itself", "preview": b"a picture of its first page"}


@dataclass
class Week:
    """A keyholder with one message for each fate, and what lay in its store for each while they lived."""

    house: House
    mail: dict[str, Deposit]
    secrets: dict[str, list[bytes]]
    copy: Path
    backup: Path
    sealed: dict[str, Sealed]


def act(house: House, who: Any, act: str, object: str, **more: Any) -> None:
    house.portal.dispose_as(who.sign_in(), who.code(), act=act, object=object, reason="drill", **more)


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Week]:
    """Last week: everything lives, and copies are made. Then each message meets its fate, and 20 days pass."""
    folder = tmp_path_factory.mktemp("erased")
    house = House(folder / "keys")
    set_up_house(house)
    house.operator.put_settings(TENANT, {"policy_toml": "[release]\nsecond_person = false\n"})
    days = {"expired": 2, "kept": 90, "shortened": 60, "erased": 90, "person": 90}
    mail = {fate: house.deposit(f"per_{fate:0<16}", days=days[fate]) for fate in FATES}
    sealed = {fate: Sealed.of(one) for fate, one in mail.items()}
    secrets = {fate: rested(house, one) for fate, one in mail.items()}
    registered = house.operator.backup_begin("keyholder", 7)
    backup = folder / "backup"
    backup.mkdir()
    keys = {name: unb64(value) for name, value in registered["keys"].items()}
    copying.copy(house.config.database, backup / "keyholder.db", unb64(registered["mark"]), keys)
    house.holder.close()
    copy = folder / "copy"
    shutil.copytree(house.config.directory, copy)
    house.holder = Holder.open(house.config, now_us=lambda: house.now)
    olga = house.staff("usr_olga", "officer")
    act(house, olga, "shorten", mail["shortened"].message, until_us=house.now + 2 * DAY_US)
    secrets["shortened"] += rested(house, mail["shortened"])
    act(house, olga, "erase-message", mail["erased"].message)
    act(house, olga, "erase-person", mail["person"].grants[0].person or "")
    house.wait(20 * DAY)
    house.holder.keep_house()
    yield Week(house, mail, secrets, copy, backup, sealed)
    house.close()


def rested(house: House, deposit: Deposit) -> list[bytes]:
    """How a share and the key of its day lie in the store now: sealed, and in clear."""
    (row,) = house.rows("SELECT share, day FROM messages WHERE id = ?", deposit.message)
    (key,) = house.rows("SELECT wrapped FROM day_keys WHERE tenant = ? AND day = ?", TENANT, row[1])
    clear = house.holder.custody.unwrap(key[0], "day", TENANT, row[1])
    return [bytes(row[0]), deposit.share, bytes(key[0]), clear]


def on_disk(folder: Path) -> bytes:
    """Every byte of the keyholder's files: pages in use and free, and the write-ahead log."""
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def test_before_its_end_each_message_opens(week: Week, tmp_path: Path) -> None:
    shares = open_copy(week.copy, week.house.config.kek_file, tmp_path).shares
    assert shares == {one.message: one.share for one in week.mail.values()}
    assert all(one.opened(shares) == WORDS for one in week.sealed.values()), "files and their previews"


@pytest.mark.parametrize("fate", FATES[:4])
def test_after_its_end_it_does_not_open_with_all_else_put_back(week: Week, fate: str, tmp_path: Path) -> None:
    """Database and blobs of last week hold the wrap and the sealed bytes: the share is what is missing for good."""
    week.house.holder.close()
    try:
        shares = open_copy(week.house.config.directory, week.house.config.kek_file, tmp_path).shares
    finally:
        week.house.holder = Holder.open(week.house.config, now_us=lambda: week.house.now)
    assert week.sealed[fate].opened(shares) == {}, "neither the file nor its preview"
    assert week.sealed["kept"].opened(shares) == WORDS, "the twin that nobody ended"


@pytest.mark.parametrize("fate", FATES[:4])
def test_no_byte_of_its_share_or_ended_day_key_is_left_in_any_file(week: Week, fate: str) -> None:
    sealed, clear = week.secrets[fate][0], week.secrets[fate][1]
    ended = [sealed, clear]
    if fate in ("expired", "shortened"):
        ended += week.secrets[fate][-2:]  # the key of the day on which it ended
        ended += week.secrets[fate][-4:-2]
    here, there = on_disk(week.house.config.directory), on_disk(week.copy)
    assert [here.count(one) for one in ended] == [0] * len(ended)
    assert here.count(week.secrets["kept"][0]) == 1, "the twin: this search does find"
    assert there.count(sealed) == 1, "and it did lie there in last week's copy"


def test_last_weeks_registered_backup_of_the_keyholder_is_refused_once_its_days_are_over(
    week: Week, tmp_path: Path
) -> None:
    config = put_back(week, tmp_path)
    with pytest.raises(Expired, match="whose days are over"):
        Holder.open(config, now_us=lambda: week.house.now)


def test_within_its_days_that_backup_opens_what_the_certificate_calls_not_final_yet(week: Week, tmp_path: Path) -> None:
    """The twin, and why the certificate names a day: the gateway tells such a store again what had ended."""
    config = put_back(week, tmp_path)
    early = week.house.now - 19 * DAY_US
    Holder.open(config, now_us=lambda: early).close()
    assert week.sealed["erased"].opened(open_copy(config.directory, config.kek_file, tmp_path).shares) == WORDS
    holder = Holder.open(config, now_us=lambda: early)
    alive = {"tenant": TENANT, "messages": [week.mail["erased"].message]}
    try:
        assert holder.call("worker", "alive", alive) == [week.mail["erased"].message]
        holder.call("worker", "destroy_message", {"tenant": TENANT, "message": week.mail["erased"].message})
        assert holder.call("worker", "alive", alive) == []
    finally:
        holder.close()
    shares = open_copy(config.directory, config.kek_file, tmp_path).shares
    assert week.sealed["erased"].opened(shares) == {}, "neither the file nor its preview"
    assert week.sealed["kept"].opened(shares) == WORDS
    (final,) = week.house.rows("SELECT final_us FROM disposals WHERE kind = 'erase-message'")
    assert final[0] > early


def test_no_byte_of_it_is_left_in_the_write_ahead_log_or_in_free_pages(tmp_path: Path) -> None:
    """What SQLite would leave behind: the log before it is cut, and pages that nothing uses any more."""
    house = House(tmp_path / "keys")
    try:
        set_up_house(house)
        house.operator.put_settings(TENANT, {"policy_toml": "[release]\nsecond_person = false\n"})
        officer = house.staff("usr_olga", "officer")
        mail = house.deposit()
        log = house.config.database.with_name(house.config.database.name + "-wal")
        secrets = rested(house, mail)[:2]
        assert secrets[0] in log.read_bytes(), "the twin: it did lie in the log"
        house.change("CREATE TABLE aside (value BLOB)")
        house.change("INSERT INTO aside WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
                     " SELECT share || zeroblob(900) FROM messages, n WHERE id = ?", mail.message)  # fmt: skip
        house.reopen()
        assert on_disk(house.config.directory).count(secrets[0]) > 400, "and in pages of the store"
        house.change("DROP TABLE aside")
        act(house, officer, "erase-message", mail.message)
        assert log.stat().st_size == 0
        assert house.rows("PRAGMA freelist_count")[0][0] > 50, "there are free pages to search"
        assert [on_disk(house.config.directory).count(one) for one in secrets] == [0, 0]
    finally:
        house.close()


def test_a_copy_of_the_machine_outside_our_backups_is_not_covered_and_the_certificate_says_so(
    week: Week, tmp_path: Path
) -> None:
    shares = open_copy(week.copy, week.house.config.kek_file, tmp_path).shares
    assert week.mail["erased"].message in shares
    (text,) = week.house.rows("SELECT certificate FROM disposals WHERE kind = 'erase-message'")
    assert "not covered: machine snapshots taken outside our backup\n" in text[0]


def test_a_whole_clinic_is_erased_with_its_previews(tmp_path: Path) -> None:
    """Every derivative is an object under the same share, so it ends with it."""
    house = House(tmp_path / "keys")
    try:
        set_up_house(house)
        mail = [house.deposit() for _ in range(3)]
        sealed = [Sealed.of(one) for one in mail]
        assert [one.opened({one.message: made.share}) for one, made in zip(sealed, mail, strict=True)] == [WORDS] * 3
        secrets = [rested(house, one)[:2] for one in mail]
        one, two = house.staff("usr_one", "officer"), house.staff("usr_two", "officer")
        before = on_disk(house.config.directory)
        assert all(sealed in before for sealed, _ in secrets)
        act(house, one, "erase-tenant", TENANT)
        act(house, two, "erase-tenant", TENANT)
        after = on_disk(house.config.directory)
        assert [after.count(part) for pair in secrets for part in pair] == [0] * 6
        house.holder.close()
        shares = open_copy(house.config.directory, house.config.kek_file, tmp_path).shares
        assert [one.opened(shares) for one in sealed] == [{}] * 3
        house.holder = Holder.open(house.config, now_us=lambda: house.now)
    finally:
        house.close()
    assert "preview" not in TABLES, "no preview has a share or a row of its own"


def put_back(week: Week, folder: Path) -> Any:
    """The backup in the place of a lost keyholder."""
    from dataclasses import replace

    target = folder / "restored"
    target.mkdir(mode=0o700)
    shutil.copy(week.backup / "keyholder.db", target / "keyholder.db")
    return replace(week.house.config, directory=target, sockets_dir=folder / "s")
