"""A page costs the database the same work when the clinic has sent a thousand mails that are none of its business."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.audit.event import GATEWAY, Action, Event
from gateway.store import schema
from tests.support.keyholder import TENANT
from tests.support.steps import Steps, counted
from tests.unit.portal.test_staff import member
from tests.unit.portal.world import World, plain

OTHERS = 1_000
PAGES = ("/staff", "/staff/messages/{}", "/staff/held", "/staff/help", "/staff/people")
PAGES_OF_OFFICERS = ("/audit/messages/{}", "/audit/held", "/audit/changes")


@pytest.fixture(scope="module", autouse=True)
def steps() -> Iterator[Steps]:
    """Before the world, so that its connections count."""
    with counted() as found:
        yield found


def fill(world: World) -> None:
    """Clean mail of others, delivered, with its entries in the log."""
    audit = world.deps.audit.proofs._audit
    now = world.clock.now_us()

    def work(tx: Any) -> None:
        for number in range(OTHERS):
            message, delivery = world.clock.new_id("msg"), world.clock.new_id("dlv")
            world.rows.insert(
                tx, schema.messages, id=message, tenant=TENANT, node="node-1", queue=world.clock.new_id("spl"),
                user=None, sender=b"-", sender_index=b"-", identity="network", retry_key=number.to_bytes(4, "big"),
                state="passed", rule="clean", policy="clinic@00000000", findings="{}", urgent=0, size_bytes=1,
                received_at=now + number, created_at=now + number,
            )  # fmt: skip
            world.rows.insert(
                tx, schema.deliveries, id=delivery, tenant=TENANT, message=message, node="node-1", recipient=b"-",
                recipient_index=b"-", treatment="as-is", state="delivered", attempts=1, next_at=now, created_at=now,
                settled_at=now,
            )  # fmt: skip
            for action, what in ((Action.MESSAGE_ACCEPTED, message), (Action.MESSAGE_DELIVERED, delivery)):
                audit.append(tx, Event(action, TENANT, what, GATEWAY, request=message))

    world.store.submit(work).result(120)


def test_pages_take_as_many_steps_with_a_thousand_mails_of_others_as_without(world: World, steps: Steps) -> None:
    amy, auditor = member(world), member(world, "auditor")
    mail = world.send(sender=amy)
    staff, officer = world.staff_browser(amy), world.staff_browser(auditor)
    reader = world.sign_in(mail)
    asked = [(staff, page.format(mail.message)) for page in PAGES]
    asked += [(officer, page.format(mail.message)) for page in PAGES_OF_OFFICERS]
    asked.append((reader, plain(mail)))

    def taken() -> dict[str, int]:
        found = {}
        for browser, page in asked:
            before = steps.taken
            assert browser.get(page).status_code == 200, page
            found[page] = steps.taken - before
        return found

    taken()  # what is made once
    few = taken()
    fill(world)
    many = taken()
    grown = {page: (few[page], many[page]) for page in few if many[page] > few[page] + 2_500}
    assert not grown, "steps before and after"
    assert few["/staff"] > 100
