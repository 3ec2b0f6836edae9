"""The keyholder's own tables. All content here is a key wrapped by the root KEK, a value sealed or keyed under such a
key, or an id, state, time or number. Times are microseconds since 1970 UTC. DESIGN §4a, §4b.
"""

from __future__ import annotations

VERSION = 14
"""What `upgrade` brings an older store to, step by step."""

TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE tenants (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, origin TEXT NOT NULL UNIQUE,
  created_us INTEGER NOT NULL, officer_seen_us INTEGER, closed_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE tenant_keys (
  tenant TEXT NOT NULL, purpose TEXT NOT NULL, wrapped BLOB NOT NULL, PRIMARY KEY (tenant, purpose)
) STRICT, WITHOUT ROWID;
CREATE TABLE day_keys (  -- wrapped is NULL once destroyed
  tenant TEXT NOT NULL, day INTEGER NOT NULL, wrapped BLOB, destroyed_us INTEGER, PRIMARY KEY (tenant, day)
) STRICT;
CREATE TABLE settings (
  tenant TEXT NOT NULL, serial INTEGER NOT NULL, body TEXT NOT NULL, signed_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, serial)
) STRICT, WITHOUT ROWID;
CREATE TABLE proposals (  -- changes that wait; kind settings user tenant recovery; object is the account of a user
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL, object TEXT NOT NULL, body TEXT NOT NULL,
  maker TEXT NOT NULL, made_us INTEGER NOT NULL, ended_us INTEGER, outcome TEXT, ended_by TEXT, ended_reason BLOB
) STRICT, WITHOUT ROWID;
CREATE TABLE approvals (
  proposal TEXT NOT NULL, user TEXT NOT NULL, role TEXT NOT NULL, at_us INTEGER NOT NULL, reason BLOB,
  PRIMARY KEY (proposal, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_keys (  -- public is empty for a tenant that goes without; the last serial counts
  tenant TEXT NOT NULL, serial INTEGER NOT NULL, id TEXT NOT NULL, public BLOB NOT NULL, needed INTEGER NOT NULL,
  checks TEXT NOT NULL, confirmed TEXT NOT NULL, set_us INTEGER NOT NULL, ended_us INTEGER, opened_us INTEGER,
  opened_message TEXT, mac BLOB NOT NULL, PRIMARY KEY (tenant, serial)
) STRICT, WITHOUT ROWID;
CREATE TABLE recoveries (  -- what officers asked to open with it: act recover relink; made is the new link
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, act TEXT NOT NULL, messages TEXT NOT NULL, link TEXT NOT NULL,
  digest TEXT NOT NULL, user TEXT NOT NULL, reason BLOB NOT NULL, proof INTEGER NOT NULL, second TEXT,
  second_reason BLOB, made_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, made TEXT, made_index INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE mail_keys (  -- DKIM; wrapped is the private half
  tenant TEXT NOT NULL, selector TEXT NOT NULL, algorithm TEXT NOT NULL, wrapped BLOB NOT NULL,
  made_us INTEGER NOT NULL, PRIMARY KEY (tenant, selector)
) STRICT, WITHOUT ROWID;

CREATE TABLE nodes (
  node TEXT NOT NULL, role TEXT NOT NULL, public BLOB NOT NULL, PRIMARY KEY (node, role)
) STRICT, WITHOUT ROWID;
CREATE TABLE epochs (  -- private is NULL once destroyed
  node TEXT NOT NULL, epoch INTEGER NOT NULL, public BLOB NOT NULL, private BLOB, destroyed_us INTEGER,
  PRIMARY KEY (node, epoch)
) STRICT;
CREATE TABLE authority (  -- of other machines' certificates; wrapped is its private key
  id INTEGER PRIMARY KEY, certificate BLOB NOT NULL, wrapped BLOB NOT NULL, made_us INTEGER NOT NULL
) STRICT;
CREATE TABLE machines (  -- certificates given to other machines; fingerprint is SHA-256 of the whole
  serial TEXT PRIMARY KEY, node TEXT NOT NULL, role TEXT NOT NULL, fingerprint BLOB NOT NULL, made_us INTEGER NOT NULL,
  expires_us INTEGER NOT NULL, revoked_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshots (node TEXT PRIMARY KEY, serial INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE users (
  tenant TEXT NOT NULL, id TEXT NOT NULL, role TEXT NOT NULL, state TEXT NOT NULL, password TEXT NOT NULL,
  totp BLOB NOT NULL, last_step INTEGER NOT NULL, created_us INTEGER NOT NULL, PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE app_passwords (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, user TEXT NOT NULL, username BLOB NOT NULL,
  salt BLOB NOT NULL, verifier BLOB NOT NULL, created_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE people (  -- the number opens nothing that was deposited before from_us
  tenant TEXT NOT NULL, id TEXT NOT NULL, phone BLOB, failures INTEGER NOT NULL, from_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT;

CREATE TABLE messages (  -- share is NULL once destroyed
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, sender_user TEXT, expires_us INTEGER NOT NULL, day INTEGER NOT NULL,
  last_day INTEGER NOT NULL, share BLOB, hold_until_us INTEGER, deposited_us INTEGER NOT NULL, destroyed_us INTEGER,
  deposit_mac BLOB NOT NULL, deposit_index INTEGER NOT NULL, destroyed_index INTEGER, mac BLOB NOT NULL,
  under_hold INTEGER NOT NULL DEFAULT 0, owed_us INTEGER  -- under its day's hold key; when a hold kept its end back
) STRICT;
CREATE INDEX messages_day ON messages (tenant, day);
CREATE INDEX messages_live ON messages (tenant, id) WHERE destroyed_us IS NULL;
CREATE TABLE grants (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, message TEXT NOT NULL, person TEXT, kind TEXT NOT NULL,
  floor INTEGER NOT NULL, expires_us INTEGER NOT NULL, secret BLOB, revoked_us INTEGER, revoked_index INTEGER,
  frozen_us INTEGER, mac BLOB NOT NULL
) STRICT;
CREATE INDEX grants_message ON grants (message);
CREATE INDEX grants_person ON grants (tenant, person);
CREATE INDEX grants_recovery ON grants (tenant, message) WHERE kind = 'recovery';
CREATE TABLE objects (
  id TEXT PRIMARY KEY, message TEXT NOT NULL, kind TEXT NOT NULL, header_tag BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX objects_message ON objects (message);

CREATE TABLE sessions (
  mac BLOB PRIMARY KEY, tenant TEXT NOT NULL, person TEXT, user TEXT, role TEXT, proof INTEGER NOT NULL,
  method TEXT NOT NULL, message TEXT, grant_id TEXT, first_method TEXT NOT NULL, first_proof_us INTEGER NOT NULL,
  made_us INTEGER NOT NULL, last_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, wide_from_us INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_grant ON sessions (grant_id);
CREATE INDEX sessions_message ON sessions (message);
CREATE TABLE codes (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, grant_id TEXT NOT NULL, person TEXT NOT NULL, kind TEXT NOT NULL,
  mac BLOB NOT NULL, visitor_mac BLOB, made_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, used_us INTEGER,
  dead_us INTEGER, failures INTEGER NOT NULL, made_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX codes_grant ON codes (grant_id, kind);
CREATE TABLE cards (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, person TEXT NOT NULL, mac BLOB NOT NULL, visitor_mac BLOB,
  made_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, used_us INTEGER, dead_us INTEGER, failures INTEGER NOT NULL,
  made_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX cards_person ON cards (tenant, person);
CREATE TABLE news (  -- what the worker still has to tell: phone, phone-first, enrolled, frozen (about: a grant),
  -- recovery-made, recovered, staff-passkey (about: a user), proposal,
  -- account, closed, reopened, disposal, erased, hold-set, hold-lifted,
  -- recovery-key-set, recovery-key-asked, recovery-key-used, recovery-key-relinked
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, person TEXT NOT NULL, kind TEXT NOT NULL, about TEXT NOT NULL,
  at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE texts (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, person TEXT NOT NULL, sealed BLOB NOT NULL, queued_us INTEGER NOT NULL,
  taken_us INTEGER, attempts INTEGER NOT NULL, expires_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE marks (  -- failures and asks, counted in sliding windows
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, at_us INTEGER NOT NULL
) STRICT;
CREATE INDEX marks_subject ON marks (tenant, kind, subject, at_us);
CREATE TABLE totps (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, person TEXT NOT NULL, secret BLOB NOT NULL, state TEXT NOT NULL,
  begun_us INTEGER NOT NULL, session BLOB NOT NULL, first_method TEXT NOT NULL, message TEXT NOT NULL,
  wide_from_us INTEGER NOT NULL, last_step INTEGER NOT NULL, failures INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX totps_person ON totps (tenant, person);
CREATE TABLE devices (
  mac BLOB PRIMARY KEY, tenant TEXT NOT NULL, person TEXT NOT NULL, made_us INTEGER NOT NULL,
  expires_us INTEGER NOT NULL, first_method TEXT NOT NULL, first_proof_us INTEGER NOT NULL, message TEXT NOT NULL,
  wide_from_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_person ON devices (tenant, person);

CREATE TABLE passkeys (  -- kind person or user; public is a COSE key; name is sealed
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL, owner TEXT NOT NULL, credential BLOB NOT NULL UNIQUE,
  public BLOB NOT NULL, counter INTEGER NOT NULL, name BLOB NOT NULL, state TEXT NOT NULL, first_method TEXT NOT NULL,
  message TEXT NOT NULL, wide_from_us INTEGER NOT NULL, made_us INTEGER NOT NULL, used_us INTEGER,
  failures INTEGER NOT NULL, mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX passkeys_owner ON passkeys (tenant, kind, owner);
CREATE TABLE recovery_codes (  -- kind person or user
  mac BLOB PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL, owner TEXT NOT NULL, first_method TEXT NOT NULL,
  message TEXT NOT NULL, wide_from_us INTEGER NOT NULL, made_us INTEGER NOT NULL, used_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX recovery_codes_owner ON recovery_codes (tenant, kind, owner);
CREATE TABLE spent_challenges (mac BLOB PRIMARY KEY, until_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE inboxes (  -- of recipients; the private halves lie locked in the gateway's database
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, person TEXT NOT NULL, public BLOB NOT NULL, state TEXT NOT NULL,
  first_method TEXT NOT NULL, wide_from_us INTEGER NOT NULL, session BLOB NOT NULL, begun_us INTEGER NOT NULL,
  made_us INTEGER, ended_us INTEGER, mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX inboxes_person ON inboxes (tenant, person);
CREATE TABLE inbox_locks (  -- kind passphrase passkey (about: which); pepper is NULL once destroyed
  id TEXT PRIMARY KEY, inbox TEXT NOT NULL, kind TEXT NOT NULL, about TEXT NOT NULL, pepper BLOB, state TEXT NOT NULL,
  begun_us INTEGER NOT NULL
) STRICT;
CREATE INDEX inbox_locks_inbox ON inbox_locks (inbox);
CREATE TABLE inbox_asks (  -- a proof was given, and the private half is still to be shown
  mac BLOB PRIMARY KEY, tenant TEXT NOT NULL, person TEXT NOT NULL, inbox TEXT NOT NULL, answer BLOB NOT NULL,
  method TEXT NOT NULL, first_method TEXT NOT NULL, proof INTEGER NOT NULL, network TEXT NOT NULL,
  made_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE inbox_sessions (  -- of a session: whose inbox it covers, and what the key of the browser's copy stands on
  mac BLOB PRIMARY KEY, inbox TEXT NOT NULL, salt BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE releases (  -- one line per (session, grant, object, purpose): where its receipt lies
  session BLOB NOT NULL, grant_id TEXT NOT NULL, object TEXT NOT NULL, purpose TEXT NOT NULL,
  tenant TEXT NOT NULL, log_index INTEGER NOT NULL, PRIMARY KEY (session, grant_id, object, purpose)
) STRICT, WITHOUT ROWID;
CREATE TABLE requests (
  mac BLOB PRIMARY KEY, key_mac BLOB NOT NULL, at_us INTEGER NOT NULL, tenant TEXT NOT NULL,
  log_index INTEGER NOT NULL, resumed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE opened (
  tenant TEXT NOT NULL, person TEXT NOT NULL, object TEXT NOT NULL, at_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, person, object)
) STRICT, WITHOUT ROWID;
CREATE INDEX opened_person ON opened (tenant, person, at_us);
CREATE INDEX opened_tenant ON opened (tenant, at_us);
CREATE TABLE hours (
  tenant TEXT NOT NULL, hour INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (tenant, hour)
) STRICT, WITHOUT ROWID;
CREATE TABLE raised (tenant TEXT PRIMARY KEY, until_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE acts (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, message TEXT NOT NULL, act TEXT NOT NULL, user TEXT NOT NULL,
  reason BLOB NOT NULL, made_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, done_us INTEGER,
  second TEXT, second_reason BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX acts_message ON acts (message);

CREATE TABLE holds (  -- legal holds; kind message person tenant period
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL, object TEXT NOT NULL, from_us INTEGER,
  until_us INTEGER, user TEXT NOT NULL, reason BLOB NOT NULL, set_us INTEGER NOT NULL, lifted_us INTEGER,
  lifted_by TEXT, lifted_reason BLOB, mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE hold_keys (  -- by the day that shares under it would have ended; wrapped is NULL once destroyed
  tenant TEXT NOT NULL, day INTEGER NOT NULL, wrapped BLOB, destroyed_us INTEGER, PRIMARY KEY (tenant, day)
) STRICT;
CREATE TABLE disposals (  -- what officers asked to be destroyed or shortened, which hold to lift, and what came of it
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL, object TEXT NOT NULL, until_us INTEGER,
  user TEXT NOT NULL, reason BLOB NOT NULL, made_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, second TEXT,
  second_reason BLOB, begun_us INTEGER, place TEXT NOT NULL, messages INTEGER NOT NULL, objects INTEGER NOT NULL,
  links INTEGER NOT NULL, kept INTEGER NOT NULL, first_us INTEGER, last_us INTEGER, final_us INTEGER,
  done_us INTEGER, certificate TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX disposals_object ON disposals (tenant, object);

CREATE TABLE backups (  -- every copy begun; kind keyholder content; digest of its manifest once it was whole
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, made_us INTEGER NOT NULL, expires_us INTEGER, digest BLOB, signed_us INTEGER,
  verified_us INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE witness (
  log TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL, at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE origins (  -- a log that went on after a gap: from which entry, and the last head of the origin before
  log TEXT NOT NULL, generation INTEGER NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, lost INTEGER NOT NULL,
  note TEXT NOT NULL, reason TEXT NOT NULL, at_us INTEGER NOT NULL, PRIMARY KEY (log, generation)
) STRICT, WITHOUT ROWID;
CREATE TABLE log_heads (tenant TEXT PRIMARY KEY, size INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE log_entries (
  tenant TEXT NOT NULL, log_index INTEGER NOT NULL, entry BLOB NOT NULL, PRIMARY KEY (tenant, log_index)
) STRICT, WITHOUT ROWID;
CREATE TABLE log_nodes (
  tenant TEXT NOT NULL, level INTEGER NOT NULL, position INTEGER NOT NULL, hash BLOB NOT NULL,
  PRIMARY KEY (tenant, level, position)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER log_entries_stay BEFORE UPDATE ON log_entries BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER log_entries_last BEFORE DELETE ON log_entries BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER log_nodes_stay BEFORE UPDATE ON log_nodes BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER log_nodes_last BEFORE DELETE ON log_nodes BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""
