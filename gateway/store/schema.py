"""Every table of the gateway's database, each column with its PHI class.

Classes, in `Column.info["phi"]`: ``none`` (ids, states, numbers), ``sealed`` (ciphertext), ``keyed`` (an HMAC under the
tenant's index key), ``public`` (words the tenant shows the world). There is no class for clear PHI.
Rows that a role acts on end with `row_mac`: HMAC-SHA256 over all other columns under the tenant's row-MAC key
(DESIGN §4a).
Times are microseconds since 1970 UTC in BIGINT. Rows of log tables are only ever inserted; triggers refuse the rest.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)  # fmt: skip

metadata = MetaData()


def _id(name: str = "id", *args: Any, **kw: Any) -> Column[str]:
    return Column(name, String(64), *args, info={"phi": "none"}, **kw)


def _text(name: str, phi: str = "none", nullable: bool = False, **kw: Any) -> Column[str]:
    return Column(name, Text, nullable=nullable, info={"phi": phi}, **kw)


def _num(name: str, nullable: bool = False, **kw: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable, info={"phi": "none"}, **kw)


def _bytes(name: str, phi: str = "sealed", nullable: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=nullable, info={"phi": phi})


def _mac() -> Column[bytes]:
    return Column("row_mac", LargeBinary, nullable=False, info={"phi": "none"})


def _where(name: str, holds: str, *columns: str) -> Index:
    """An index over the rows for which that holds: the others, most of them of clean mail, do not pay for it."""
    return Index(name, *columns, sqlite_where=text(holds), postgresql_where=text(holds))


tenants = Table(
    "tenants",
    metadata,
    _id(primary_key=True),  # tnt_…
    _text("name", "public", unique=True),  # short name used by commands
    _text("origin", "public", unique=True),  # origin of its log: <portal host>/log/<tenant id>
    _num("created_at"),
)

settings = Table(  # what the keyholder vouched for; the newest serial of a tenant is in force
    "settings",
    metadata,
    _id("tenant", primary_key=True),
    Column("serial", Integer, primary_key=True, info={"phi": "none"}),
    _text("body", "public"),  # canonical JSON
    _bytes("signature", "none"),  # the keyholder's
    _num("accepted_at"),
)

users = Table(  # workforce members; passwords and factors live in the keyholder
    "users",
    metadata,
    _id(primary_key=True),  # usr_…
    _id("tenant", nullable=False),
    _bytes("address"),  # sealed under the directory key
    _bytes("address_index", "keyed"),
    _bytes("name", nullable=True),  # sealed
    _text("role"),  # staff office officer admin auditor
    _text("state"),  # active disabled
    _num("created_at"),
    _mac(),
    Index("users_address", "tenant", "address_index", unique=True),
)

people = Table(  # recipients; phone numbers live in the keyholder
    "people",
    metadata,
    _id(primary_key=True),  # per_…
    _id("tenant", nullable=False),
    _bytes("address"),
    _bytes("address_index", "keyed"),
    _bytes("domain_index", "keyed", nullable=True),  # of "@" and the address's domain
    _bytes("name", nullable=True),
    _text("language"),  # BCP 47, "en" by default
    _num("created_at"),
    _mac(),
    Index("people_address", "tenant", "address_index", unique=True),
    Index("people_domain", "tenant", "domain_index"),
)

messages = Table(
    "messages",
    metadata,
    _id(primary_key=True),  # msg_…
    _id("tenant", nullable=False),
    _text("node"),
    _id("queue", nullable=False),  # spool id it came from
    _id("parent", nullable=True),  # the held message this one was released from
    _id("user", nullable=True),  # sender, when known as a workforce member
    _bytes("sender"),  # envelope sender, sealed under the directory key
    _bytes("sender_index", "keyed"),
    _text("identity"),  # how the sender proved itself: app-password network device system
    _bytes("retry_key", "keyed"),  # HMAC(index key; envelope, Message-ID, content hash)
    _bytes("message_id_index", "keyed", nullable=True),
    _bytes("message_id", nullable=True),  # Message-ID, sealed under the directory key: what a reminder answers
    _text("state"),  # passed secured held released dropped returned system
    _text("reference", nullable=True),  # six digits, no secret; secured messages only
    _text("rule"),
    _text("policy"),  # why: rule id, policy name@version
    _text("findings"),  # canonical JSON: kinds, places, counts; never values
    _bytes("meta", nullable=True),  # subject etc., sealed under the meta key; null when nothing is vaulted
    Column("urgent", Integer, nullable=False, info={"phi": "none"}),
    _num("size_bytes"),
    _num("received_at"),
    _num("created_at"),
    _num("expires_at", nullable=True),  # of the vaulted part
    _num("hold_until", nullable=True),
    _num("ended_at", nullable=True),  # when the share of its vaulted part was destroyed
    _mac(),
    Index("messages_tenant_time", "tenant", "received_at"),
    Index("messages_queue", "queue"),
    Index("messages_retry", "tenant", "retry_key", "received_at"),
    _where("messages_reference", "reference IS NOT NULL", "tenant", "reference"),
    Index("messages_sender", "tenant", "sender_index", "received_at"),
    _where("messages_parent", "parent IS NOT NULL", "parent"),
    _where("messages_held", "hold_until IS NOT NULL", "tenant", "state", "hold_until"),
    _where("messages_shown", "reference IS NOT NULL", "tenant", "received_at", "id"),
    _where("messages_own", "reference IS NOT NULL", "tenant", "user", "received_at", "id"),
    _where("messages_sealed", "reference IS NOT NULL", "tenant", "created_at"),
    _where("messages_ending", "reference IS NOT NULL", "tenant", "expires_at"),
    _where("messages_ended", "ended_at IS NOT NULL", "tenant", "id"),
)

objects = Table(
    "objects",
    metadata,
    _id(primary_key=True),  # obj_…
    _id("tenant", nullable=False),
    _id("message", ForeignKey("messages.id"), nullable=False),
    _text("kind"),  # body file original subject preview text zip
    Column("position", Integer, nullable=False, info={"phi": "none"}),
    _text("blob"),  # random path in the blob store; empty once it was removed
    _bytes("header_tag", "none"),  # 32 bytes, pins key and context
    _num("sealed_bytes"),
    _bytes("meta"),  # for pages: sealed under the meta key
    _bytes("inner_meta"),  # for the recipient: sealed under the object key
    _num("created_at"),
    _mac(),
    Index("objects_message", "message"),
    Index("objects_blob", "blob"),
)

inboxes = Table(  # of recipients; which one counts is the keyholder's word
    "inboxes",
    metadata,
    _id(primary_key=True),  # inb_…
    _id("tenant", nullable=False),
    _id("person", ForeignKey("people.id"), nullable=False),
    _bytes("public", "none"),
    _bytes("signature", "none"),  # the keyholder's over the public key; empty until it counts
    _num("created_at"),
    _num("closed_at", nullable=True),
    _mac(),
    Index("inboxes_person", "tenant", "person"),
)

inbox_locks = Table(  # the private half, under what its person shows and a pepper that only the keyholder has
    "inbox_locks", metadata, _id(primary_key=True), _id("tenant", nullable=False),
    _id("inbox", ForeignKey("inboxes.id"), nullable=False), _text("kind"), _bytes("locked"), _num("created_at"), _mac(),
)  # fmt: skip

grants = Table(  # state, floor and expiry are read from the keyholder at each use; these are copies for lists
    "grants",
    metadata,
    _id(primary_key=True),  # lnk_ and 12 base62
    _id("tenant", nullable=False),
    _id("message", ForeignKey("messages.id"), nullable=False),
    _id("person", nullable=True),
    _text("kind"),  # link review staff inbox recovery
    _id("inbox", nullable=True),  # to whose key `wrap` is a box, for kind inbox
    _bytes("wrap"),
    _num("expires_at"),
    _num("created_at"),
    _num("revoked_at", nullable=True),
    _mac(),
    Index("grants_message", "message"),
    _where("grants_person", "person IS NOT NULL", "person"),
)

deliveries = Table(  # one row per recipient and per notice
    "deliveries",
    metadata,
    _id(primary_key=True),  # dlv_…
    _id("tenant", nullable=False),
    _id("message", ForeignKey("messages.id"), nullable=False),
    _text("node"),
    _id("person", nullable=True),
    _id("grant", nullable=True),
    _bytes("recipient"),  # canonical JSON of address and ESMTP parameters, sealed
    _bytes("recipient_index", "keyed"),
    _text("treatment"),  # as-is attachments secure notice held dropped
    _text("state"),  # ready active deferred delivered bounced held dropped returned
    _id("copy", nullable=True),  # outbound spool item; null: the incoming item as it is
    Column("attempts", Integer, nullable=False, info={"phi": "none"}),
    _num("next_at"),
    _num("created_at"),
    _num("settled_at", nullable=True),
    _text("status", nullable=True),  # enhanced code of the last answer
    Column("code", Integer, nullable=True, info={"phi": "none"}),  # SMTP code of the last refusal; null: none was given
    _text("why", nullable=True),  # machine word of what the last attempt met; null when it went well
    _num("tried_at", nullable=True),  # when an attempt last failed
    _mac(),
    Index("deliveries_message", "message"),
    Index("deliveries_due", "node", "state", "next_at"),
    Index("deliveries_recipient", "tenant", "recipient_index"),
    _where("deliveries_grant", '"grant" IS NOT NULL', "grant"),
    _where("deliveries_person", "person IS NOT NULL", "person"),
)

held_acts = Table(  # decisions on held mail that the portal took and the worker carries out
    "held_acts",
    metadata,
    _id(primary_key=True),  # act_…, the keyholder's id of the decision
    _id("tenant", nullable=False),
    _id("message", ForeignKey("messages.id"), nullable=False),
    _text("kind"),  # release release-as-is drop; the keyholder's word counts
    _id("user", nullable=False),  # who decided
    _id("second", nullable=True),  # who confirmed, where the policy asks for two
    _text("state"),  # waiting ready working done failed
    _bytes("reason"),  # sealed under the directory key
    _bytes("second_reason", nullable=True),
    _text("failure", nullable=True),  # a machine word
    _num("created_at"),
    _num("changed_at"),
    _mac(),
    Index("held_acts_message", "message"),
    Index("held_acts_state", "state", "changed_at"),
)

tellings = Table(  # what somebody still has to be told by mail: written by the portal, carried out by the worker
    "tellings",
    metadata,
    _id(primary_key=True),  # says what it is about, so that the same thing is told once
    _id("tenant", nullable=False),
    _text("kind"),  # knocked redeemed recalled delay, or a kind of the keyholder's news
    _id("about", nullable=False),  # a grant, a person, a message or a delivery
    _text("state"),  # ready done dropped
    _num("created_at"),
    _num("done_at", nullable=True),
    _mac(),
    Index("tellings_state", "state", "created_at"),
)

notice_marks = Table(  # how far the notices that go by the clock have come, per tenant and kind
    "notice_marks",
    metadata,
    _id(primary_key=True),  # <kind>:<tenant>
    _id("tenant", nullable=False),
    _num("at"),
    _mac(),
)

sealed_values = Table(  # what a log entry names by id and may one day be erased
    "sealed_values",
    metadata,
    _id(primary_key=True),  # val_…
    _id("tenant", nullable=False),
    _text("kind"),  # ip agent note
    _bytes("sealed", nullable=True),  # null once erased
    _num("created_at"),
)

outside_checkpoints = Table(  # checkpoints deposited in notices, with the salts that prove them
    "outside_checkpoints",
    metadata,
    _id(primary_key=True),  # chk_…
    _text("log"),
    _num("at"),
    _bytes("salt", "none"),
    _text("checkpoint"),  # the signed note
    _text("header"),  # value of Sealgate-Checkpoint as it was sent
    Index("outside_checkpoints_log", "log", "at"),
)

log_leaves = Table(
    "log_leaves",
    metadata,
    _text("log", primary_key=True),  # tenant id, or "system"
    Column("idx", BigInteger, primary_key=True, autoincrement=False, info={"phi": "none"}),
    _num("ts"),
    _text("action"),
    _text("actor"),
    _text("object"),
    _text("outcome"),  # copies for search
    _bytes("entry", "none"),  # RFC 8785 JSON, ids only
    _bytes("leaf_hash", "none"),
    Index("log_leaves_object", "log", "object", "idx"),
    Index("log_leaves_action", "log", "action", "idx"),
    Index("log_leaves_actor", "log", "actor", "idx"),
    Index("log_leaves_ts", "log", "ts"),
)

log_nodes = Table(  # hashes of complete subtrees, level 0 excluded (it is leaf_hash)
    "log_nodes",
    metadata,
    _text("log", primary_key=True),
    Column("level", Integer, primary_key=True, autoincrement=False, info={"phi": "none"}),
    Column("idx", BigInteger, primary_key=True, autoincrement=False, info={"phi": "none"}),
    _bytes("hash", "none"),
    sqlite_with_rowid=False,
)

log_checkpoints = Table(
    "log_checkpoints",
    metadata,
    _text("log", primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False, info={"phi": "none"}),
    _text("note"),  # C2SP tlog-checkpoint, signed
    _num("signed_at"),
    sqlite_with_rowid=False,
)

outbox = Table(  # PostgreSQL only: entries that are committed and wait for their number in the log
    "outbox",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True, info={"phi": "none"}),  # order of arrival
    _text("log"),
    _text("node"),
    _num("nseq"),  # the node's running number in this log, from 1
    _num("ts"),
    _text("action"),
    _text("actor"),
    _text("object"),
    _text("outcome"),  # copies for search, as in log_leaves
    _bytes("entry", "none"),
    _bytes("leaf_hash", "none"),
    _bytes("chain", "none"),  # running hash over the node's leaf hashes in this log
    Index("outbox_place", "log", "node", "nseq", unique=True),
)

outbox_heads = Table(  # up to where each node's entries have their numbers; only ever grows
    "outbox_heads",
    metadata,
    _text("log", primary_key=True),
    _text("node", primary_key=True),
    _num("nseq"),
    _bytes("chain", "none"),
)

outbox_faults = Table(  # waiting entries that were missing, changed or refused when their turn came
    "outbox_faults",
    metadata,
    _id(primary_key=True),  # flt_…
    _text("log"),
    _text("node"),
    _num("nseq"),
    _text("kind"),  # missing changed refused
    _bytes("entry", "none"),  # what was refused, as evidence; empty for the others
    _num("found_at"),
)

store_probe = Table(  # one row, written about once a second: shows that commits reach the disk
    "store_probe",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, info={"phi": "none"}),
    _num("at"),
)

OUTBOX_TABLES = (outbox, outbox_heads, outbox_faults)
LOG_TABLES = (log_leaves, log_nodes, log_checkpoints, outside_checkpoints)
MACED_TABLES = (
    users,
    people,
    inboxes,
    inbox_locks,
    messages,
    objects,
    grants,
    deliveries,
    held_acts,
    tellings,
    notice_marks,
)
