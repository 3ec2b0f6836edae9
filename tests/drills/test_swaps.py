"""Whoever can write to our disks swaps things: each swap is refused and named, and the same thing opened before it.

Every case opens what it is about, makes one change, sees the refusal and the event that names the thing, and undoes the
change: then it opens again. DESIGN §1.5, §4 (write access to the database and blob store).
"""

from __future__ import annotations

import http.client
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.clinic import Clinic, Member
from gateway.demo.visitor import Visitor
from gateway.doctor import RED
from gateway.settings import load
from keys import floe
from tests.support import doctoring
from tests.support.damage import DAMAGE
from tests.support.marked import Marked, introduce, settled
from tests.support.patient import Patient
from tests.support.spool import eventually

pytestmark = pytest.mark.full
LIMITS = {"texts_per_hour": 1000, "text_resend_seconds": 0}
SEGMENT = floe.SEGMENT_BYTES
KEYHOLDER = "keys/keyholder.db"
ANNA = Marked("anna", "quillfeather7719@patient.test", 4 * SEGMENT)
BERT = Marked("bert", "inkhorn5532@patient.test", 4 * SEGMENT)
PHONES = {ANNA.recipient: "+15550100191", BERT.recipient: "+15550100192"}


@dataclass
class Case:
    """A recipient who is signed in, and their one file."""

    mark: Marked
    patient: Patient
    grant: str
    object: str
    address: str

    def opens(self) -> bool:
        """Whether the file comes whole and true."""
        answer = self.patient.browser.get(self.address)
        return answer.status == 200 and answer.body == self.mark.attachment


@dataclass
class Scene:
    """A running clinic and two recipients who have opened their files."""

    clinic: Clinic
    cases: dict[str, Case] = field(default_factory=dict)

    @property
    def anna(self) -> Case:
        return self.cases["anna"]

    @property
    def bert(self) -> Case:
        return self.cases["bert"]

    def sql(self, statement: str, *values: object, store: str = "db/sealgate.db") -> list[tuple[Any, ...]]:
        """Straight into a database, beside the process that holds it."""
        with closing(sqlite3.connect(self.clinic.data / store, timeout=60, isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()

    def alarms(self, thing: str) -> int:
        """How many alarms name this thing in the tenant's log."""
        statement = "SELECT count(*) FROM log_leaves WHERE action = 'tamper:found' AND object = ?"
        return int(self.sql(statement, thing)[0][0])

    def blob(self, case: Case) -> Path:
        """Where a case's object lies in the vault."""
        ((name,),) = self.sql("SELECT blob FROM objects WHERE id = ?", case.object)
        return self.clinic.data / "vault" / name[:2] / name

    @contextmanager
    def changed(self, table: str, column: str, ids: list[str], values: list[object], key: str = "id",
                store: str = "db/sealgate.db") -> Iterator[None]:  # fmt: skip
        """These rows with another value; as they were afterwards."""
        before = [self.sql(f"SELECT {column} FROM {table} WHERE {key} = ?", one, store=store)[0][0] for one in ids]
        assert before != values
        for one, value in zip(ids, values, strict=True):
            self.sql(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", value, one, store=store)
        try:
            yield
        finally:
            for one, value in zip(ids, before, strict=True):
                self.sql(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", value, one, store=store)

    def value(self, table: str, column: str, id: str) -> Any:
        """One cell."""
        return self.sql(f"SELECT {column} FROM {table} WHERE id = ?", id)[0][0]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    clinic = Clinic(tmp_path_factory.mktemp("swaps") / "c", limits=LIMITS)
    try:
        clinic.start()
        introduce(clinic, PHONES)
        scene = Scene(clinic)
        for mark in (ANNA, BERT):
            mark.send(clinic)
        for mark in (ANNA, BERT):
            link = clinic.sink.wait_for(mark.recipient)[0].link
            assert link is not None
            patient = Patient(clinic, link, PHONES[mark.recipient])
            ((object_id, address),) = patient.files(patient.open()).items()
            scene.cases[mark.name] = Case(mark, patient, patient.grant, object_id, address)
        settled(clinic)
        yield scene
    finally:
        clinic.stop()


@pytest.fixture(autouse=True)
def twin(request: pytest.FixtureRequest) -> Iterator[None]:
    """Before and after each swap the very same things open."""
    if "scene" not in request.fixturenames:
        yield
        return
    scene: Scene = request.getfixturevalue("scene")
    assert scene.anna.opens()
    assert scene.bert.opens()
    yield
    assert scene.anna.opens()
    assert scene.bert.opens()


def swap_segments(path: Path, first: int, second: int) -> None:
    content = bytearray(path.read_bytes())
    one, two = (slice(floe.HEADER_BYTES + n * SEGMENT, floe.HEADER_BYTES + (n + 1) * SEGMENT) for n in (first, second))
    content[one], content[two] = content[two], content[one]
    path.write_bytes(content)


def test_swapped_first_chunks_are_refused_before_a_byte_leaves(scene: Scene) -> None:
    path, before = scene.blob(scene.anna), scene.alarms(scene.anna.object)
    swap_segments(path, 0, 1)
    answer = scene.anna.patient.browser.get(scene.anna.address)
    swap_segments(path, 0, 1)
    assert answer.status == 503
    assert ANNA.inside.encode() not in answer.body
    assert b"line of anna" not in answer.body
    assert scene.alarms(scene.anna.object) > before


def test_swapped_later_chunks_cut_the_download_short_of_its_length(scene: Scene) -> None:
    path, before = scene.blob(scene.anna), scene.alarms(scene.anna.object)
    swap_segments(path, 1, 2)
    with pytest.raises(http.client.IncompleteRead) as cut:
        scene.anna.patient.browser.get(scene.anna.address)
    swap_segments(path, 1, 2)
    assert ANNA.attachment.startswith(cut.value.partial), "what left before is true"
    assert len(cut.value.partial) <= SEGMENT
    assert eventually(lambda: scene.alarms(scene.anna.object) > before)


def got(case: Case) -> tuple[int, bytes]:
    """Status and body of a download; 0 and what came of it for one that was cut."""
    try:
        answer = case.patient.browser.get(case.address)
    except http.client.IncompleteRead as cut:
        return 0, cut.partial
    return answer.status, answer.body


def test_damage_of_every_kind_is_refused_named_and_an_alarm_and_not_a_byte_of_it_leaves(scene: Scene) -> None:
    path = scene.blob(scene.anna)
    whole = path.read_bytes()
    for name, (change, good) in DAMAGE.items():
        before, damaged = scene.alarms(scene.anna.object), change(whole)
        if damaged is None:
            path.unlink()
        else:
            path.write_bytes(damaged)
        status, out = got(scene.anna)
        path.write_bytes(whole)
        assert status == (0 if good else 503), name
        assert out == ANNA.attachment[: len(out)] if good else b"line of anna" not in out, name
        assert not good or 0 < len(out) <= good * floe.SEGMENT_PLAIN_BYTES, name
        assert eventually(lambda before=before: scene.alarms(scene.anna.object) > before), name


def test_two_swapped_blobs_are_refused(scene: Scene) -> None:
    paths = [scene.blob(case) for case in (scene.anna, scene.bert)]
    assert paths[0].stat().st_size == paths[1].stat().st_size, "not even the length tells them apart"
    before = [scene.alarms(case.object) for case in (scene.anna, scene.bert)]

    def exchange() -> None:
        aside = paths[0].with_name("aside")
        paths[0].rename(aside)
        paths[1].rename(paths[0])
        aside.rename(paths[1])

    exchange()
    answers = [case.patient.browser.get(case.address) for case in (scene.anna, scene.bert)]
    exchange()
    assert [answer.status for answer in answers] == [503, 503]
    assert [scene.alarms(case.object) for case in (scene.anna, scene.bert)] > before


SWAPS: dict[str, tuple[str, str, Callable[[Scene], list[str]]]] = {
    "envelopes between grants": ("grants", "wrap", lambda scene: [scene.anna.grant, scene.bert.grant]),
    "messages of grants": ("grants", "message", lambda scene: [scene.anna.grant, scene.bert.grant]),
    "persons of grants": ("grants", "person", lambda scene: [scene.anna.grant, scene.bert.grant]),
    "row MACs of grants": ("grants", "row_mac", lambda scene: [scene.anna.grant, scene.bert.grant]),
    "blobs of objects": ("objects", "blob", lambda scene: [scene.anna.object, scene.bert.object]),
    "header tags of objects": ("objects", "header_tag", lambda scene: [scene.anna.object, scene.bert.object]),
    "metadata of objects": ("objects", "inner_meta", lambda scene: [scene.anna.object, scene.bert.object]),
}


@pytest.mark.parametrize("name", list(SWAPS))
def test_swapped_cells_are_refused_and_named(scene: Scene, name: str) -> None:
    table, column, which = SWAPS[name]
    ids = which(scene)
    crossed = [scene.value(table, column, one) for one in reversed(ids)]
    refused_and_named(scene, table, column, ids, crossed)


def refused_and_named(scene: Scene, table: str, column: str, ids: list[str], values: list[object]) -> None:
    before = {case.grant: alarms_of(scene, case) for case in (scene.anna, scene.bert)}
    with scene.changed(table, column, ids, values):
        for case in (scene.anna, scene.bert):
            for address in (case.address, case.patient.plain):
                answer = case.patient.browser.get(address)
                if case.grant in ids or case.object in ids:
                    assert answer.status == 503
                assert b"line of anna" not in answer.body or case is not scene.bert
                assert b"line of bert" not in answer.body or case is not scene.anna
    for case in (scene.anna, scene.bert):
        if case.grant in ids or case.object in ids:
            assert alarms_of(scene, case) > before[case.grant], "the alarm names grant or message or object"


def alarms_of(scene: Scene, case: Case) -> int:
    message = scene.value("grants", "message", case.grant)
    return sum(scene.alarms(thing) for thing in (case.grant, case.object, message))


def test_whole_grant_rows_exchanged_are_refused(scene: Scene) -> None:
    one, two = scene.anna.grant, scene.bert.grant
    before = alarms_of(scene, scene.anna)

    def exchange() -> None:
        for old, new in ((one, "lnk_aside0000000"), (two, one), ("lnk_aside0000000", two)):
            scene.sql("UPDATE grants SET id = ? WHERE id = ?", new, old)

    exchange()
    answers = [case.patient.browser.get(case.patient.link) for case in (scene.anna, scene.bert)]
    exchange()
    assert [answer.status for answer in answers] == [503, 503]
    assert alarms_of(scene, scene.anna) > before


@pytest.mark.parametrize("table", ["grants", "messages"])
@pytest.mark.parametrize("days", [400, -400])
def test_a_changed_expiry_is_refused_and_named(scene: Scene, table: str, days: int) -> None:
    message = scene.value("grants", "message", scene.anna.grant)
    id = scene.anna.grant if table == "grants" else message
    column = "expires_at"
    before, was = alarms_of(scene, scene.anna), scene.value(table, column, id)
    with scene.changed(table, column, [id], [was + days * 86_400_000_000]):
        assert scene.anna.patient.browser.get(scene.anna.patient.plain).status == 503
    assert alarms_of(scene, scene.anna) > before


def test_a_recall_undone_in_the_database_is_refused(scene: Scene) -> None:
    before = alarms_of(scene, scene.anna)
    with scene.changed("grants", "revoked_at", [scene.anna.grant], [1]):
        assert scene.anna.patient.browser.get(scene.anna.address).status == 503
    assert alarms_of(scene, scene.anna) > before


@pytest.mark.parametrize(("table", "column"), [("messages", "share"), ("day_keys", "wrapped")])
def test_a_flipped_bit_in_a_share_or_in_the_key_over_it_is_refused_and_named(
    scene: Scene, table: str, column: str
) -> None:
    message = scene.value("grants", "message", scene.anna.grant)
    ((day, share),) = scene.sql("SELECT day, share FROM messages WHERE id = ?", message, store=KEYHOLDER)
    key, id = ("id", message) if table == "messages" else ("day", day)
    whole = share if table == "messages" else scene.sql(
        "SELECT wrapped FROM day_keys WHERE day = ?", day, store=KEYHOLDER)[0][0]  # fmt: skip
    before = alarms_of(scene, scene.anna)
    with scene.changed(table, column, [id], [whole[:40] + bytes((whole[40] ^ 1,)) + whole[41:]], key, KEYHOLDER):
        for address in (scene.anna.address, scene.anna.patient.plain):
            answer = scene.anna.patient.browser.get(address)
            assert answer.status == 503, address
            assert b"line of anna" not in answer.body
    assert alarms_of(scene, scene.anna) > before, "the alarm names grant, object or message"


def test_an_alarm_is_red_in_doctor_and_named_by_a_search(scene: Scene) -> None:
    found = doctoring.look("log.alarms", load(scene.clinic.config, {}), scene.clinic.config)
    known = scene.alarms(scene.anna.object)
    path = scene.blob(scene.anna)
    swap_segments(path, 0, 1)
    assert scene.anna.patient.browser.get(scene.anna.address).status == 503
    swap_segments(path, 0, 1)
    assert eventually(lambda: scene.alarms(scene.anna.object) > known)
    after = doctoring.look("log.alarms", load(scene.clinic.config, {}), scene.clinic.config)
    assert (after.level, found.found == after.found) == (RED, False)
    assert "audit search" in after.repair
    assert scene.anna.object not in after.found + after.repair
    assert scene.anna.object in {entry["object"] for entry in scene.clinic.search("action:tamper:found")}


@pytest.mark.parametrize(("column", "value"), [("floor", 0), ("floor", 3), ("expires_us", 2**52), ("person", "per_x")])
def test_what_the_keyholder_vouches_for_cannot_be_changed_in_its_own_store(
    scene: Scene, column: str, value: object
) -> None:
    before = alarms_of(scene, scene.anna)
    with scene.changed("grants", column, [scene.anna.grant], [value], store="keys/keyholder.db"):
        assert scene.anna.patient.browser.get(scene.anna.patient.plain).status == 503
        assert scene.anna.patient.browser.get(scene.anna.address).status == 503
    assert alarms_of(scene, scene.anna) > before


def signed_in(scene: Scene, member: Member) -> Visitor:
    """A member of the clinic at their browser."""
    found = Visitor(f"Mozilla/5.0 ({member.name})")
    form = found.get(f"{scene.clinic.portal}/staff/sign-in")
    found.submit(form, "/sign-in", address=member.address, password=member.password, code=member.code())
    return found


@pytest.fixture(scope="module")
def amy(scene: Scene) -> Visitor:
    """The sender at her browser."""
    return signed_in(scene, scene.clinic.amy)


@pytest.mark.parametrize(("what", "shown"), [("share", True), ("words", False), ("grant", False)])
def test_one_message_that_does_not_hold_is_named_and_the_senders_list_shows_the_others(
    scene: Scene, amy: Visitor, what: str, shown: bool
) -> None:
    ids = {name: scene.value("grants", "message", case.grant) for name, case in scene.cases.items()}
    page = amy.get(f"{scene.clinic.portal}/staff")
    assert all(f'data-message="{one}"' in page.text for one in ids.values())
    table, column, id, store = {
        "share": ("messages", "share", ids["anna"], KEYHOLDER),
        "words": ("messages", "meta", ids["anna"], "db/sealgate.db"),
        "grant": ("grants", "revoked_at", scene.anna.grant, "db/sealgate.db"),
    }[what]
    ((whole,),) = scene.sql(f"SELECT {column} FROM {table} WHERE id = ?", id, store=store)
    value = whole[:40] + bytes((whole[40] ^ 1,)) + whole[41:] if isinstance(whole, bytes) else 1
    before = scene.alarms(ids["anna"])
    with scene.changed(table, column, [id], [value], store=store):
        page = amy.get(f"{scene.clinic.portal}/staff")
        assert page.status == 200
        assert f'data-message="{ids["bert"]}"' in page.text
        assert (f'data-message="{ids["anna"]}"' in page.text) is shown
        assert "changed or damaged" in page.text
        assert scene.alarms(ids["anna"]) > before
    assert "changed or damaged" not in amy.get(f"{scene.clinic.portal}/staff").text


def test_a_hold_that_somebody_wrote_into_the_store_is_refused_and_named(scene: Scene) -> None:
    officer = signed_in(scene, scene.clinic.olga)
    page = f"{scene.clinic.portal}/audit/retention"
    assert officer.get(page).status == 200
    ((tenant,),) = scene.sql("SELECT id FROM tenants")
    before = scene.alarms(tenant)
    scene.sql(
        "INSERT INTO holds VALUES ('hld_forged', ?, 'tenant', ?, NULL, NULL, 'usr_x', x'', 1, NULL, NULL, NULL, x'')",
        tenant, tenant, store=KEYHOLDER,
    )  # fmt: skip
    try:
        assert officer.get(page).status == 503
    finally:
        scene.sql("DELETE FROM holds", store=KEYHOLDER)
    assert scene.alarms(tenant) > before
    assert officer.get(page).status == 200
