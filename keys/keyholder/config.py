"""What the keyholder is told at start: where its files lie, who may connect, and its limits.

Read from one JSON file (`python -m keys.keyholder --config FILE`) or handed in by the process that starts it.
An unknown name is an error that says which. DESIGN §2, §4, §4b.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keys.providers import Choice

ROLES = ("worker", "portal", "operator")


class BadConfig(Exception):
    """The configuration cannot be used; the text says what was found and what to write. Exit code 78 (sysexits)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Every number of DESIGN §4 and §4b. Tests shorten them; nothing at run time changes them."""

    text_code_seconds: int = 600
    text_resend_seconds: int = 30
    texts_per_hour: int = 5
    text_attempts: int = 3
    staff_code_seconds: int = 86_400
    staff_code_tries: int = 5
    card_seconds: int = 2_592_000
    card_tries: int = 10
    tries: int = 5
    tries_window_seconds: int = 900
    tenant_tries: int = 1_000
    factor_failures: int = 100
    session_idle_seconds: int = 900
    session_seconds: int = 28_800
    device_days: int = 90
    young_factor_seconds: int = 86_400
    enrol_within_seconds: int = 1_800
    totps_per_person: int = 3
    passkeys_per_owner: int = 10
    challenge_seconds: int = 600
    retry_seconds: int = 60
    person_releases_per_hour: int = 60
    tenant_releases_per_hour: int = 500
    day_grace_days: int = 7
    act_seconds: int = 86_400
    change_seconds: int = 86_400
    login_network_tries: int = 30
    login_user_tries: int = 50
    hashers: int = 2
    hash_queue: int = 8
    password_min: int = 8
    housekeeping_seconds: int = 300
    pulse_seconds: int = 30
    pulse_silence_seconds: int = 900


@dataclass(frozen=True, slots=True)
class KeyholderConfig:
    """`socket_groups`: role → gid that may reach its socket (empty: only our own user). `uids`: role → peer uids that
    may call as that role; empty means single user, where the boundary between roles is not enforced.
    `provider`, `provider_values`: who guards the root key and where it finds it (`keys.providers.Choice`);
    `kek_file` is that of provider ``file``. `key_descriptor`: an open file with the key that the parent took out of a
    sealed credential, -1 for none. `listen`: addresses (host, port) at which other machines reach us by mutual TLS,
    none by default. `sockets`: roles that have a Unix socket. `reserve_bytes`: room kept in `directory` for a full
    disk (`keys.reserve`), 0 for none.
    """

    directory: Path
    kek_file: Path
    sockets_dir: Path
    create: bool = False
    socket_groups: Mapping[str, int] = field(default_factory=dict)
    uids: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    die_with_parent: bool = False
    reserve_bytes: int = 0
    provider: str = "file"
    provider_values: Mapping[str, str] = field(default_factory=dict)
    key_descriptor: int = -1
    listen: tuple[tuple[str, int], ...] = ()
    sockets: tuple[str, ...] = ROLES

    @property
    def choice(self) -> Choice:
        """The provider of the root key."""
        values = {"kek_file": str(self.kek_file)} if self.provider == "file" else self.provider_values
        return Choice(self.provider, values)

    @property
    def database(self) -> Path:
        """The keyholder's own SQLite file."""
        return self.directory / "keyholder.db"

    def to_json(self) -> str:
        """What `load` reads."""
        plain = dataclasses.asdict(self) | {
            "directory": str(self.directory),
            "kek_file": str(self.kek_file),
            "sockets_dir": str(self.sockets_dir),
            "provider_values": dict(self.provider_values),
            "socket_groups": dict(self.socket_groups),
            "uids": {role: list(uids) for role, uids in self.uids.items()},
        }
        return json.dumps(plain, indent=1, sort_keys=True)


def load(path: Path) -> KeyholderConfig:
    """The configuration in that file. Raises BadConfig for a missing or unreadable file and for unknown names."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadConfig(f"{path}: cannot be read as JSON ({type(error).__name__})") from error
    if not isinstance(raw, dict):
        raise BadConfig(f"{path}: must be one JSON object")
    return parse(raw, str(path))


def parse(raw: dict[str, Any], where: str) -> KeyholderConfig:
    """A configuration from plain values. Raises BadConfig naming `where`, the key and what was found."""
    known = {f.name for f in dataclasses.fields(KeyholderConfig)}
    for name in raw:
        if name not in known:
            raise BadConfig(f"{where}: unknown setting '{name}'; known: {', '.join(sorted(known))}")
    for name in ("directory", "kek_file", "sockets_dir"):
        if not isinstance(raw.get(name), str) or not raw[name]:
            raise BadConfig(f"{where}: '{name}' must be a path")
    values = raw.get("provider_values", {})
    if not isinstance(values, dict) or not all(isinstance(one, str) for one in values.values()):
        raise BadConfig(f"{where}: 'provider_values' must be an object of texts")
    numbers = raw.get("limits", {})
    names = {f.name for f in dataclasses.fields(Limits)}
    for name, value in numbers.items():
        if name not in names:
            raise BadConfig(f"{where}: unknown limit '{name}'; known: {', '.join(sorted(names))}")
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise BadConfig(f"{where}: limit '{name}' must be a whole number, not negative")
    for name in ("socket_groups", "uids"):
        for role in raw.get(name, {}):
            if role not in ROLES:
                raise BadConfig(f"{where}: '{name}' names an unknown role '{role}'; known: {', '.join(ROLES)}")
    return KeyholderConfig(
        directory=Path(raw["directory"]),
        kek_file=Path(raw["kek_file"]),
        sockets_dir=Path(raw["sockets_dir"]),
        create=bool(raw.get("create", False)),
        socket_groups={role: int(gid) for role, gid in raw.get("socket_groups", {}).items()},
        uids={role: tuple(int(uid) for uid in uids) for role, uids in raw.get("uids", {}).items()},
        limits=Limits(**numbers),
        die_with_parent=bool(raw.get("die_with_parent", False)),
        reserve_bytes=int(raw.get("reserve_bytes", 0)),
        provider=str(raw.get("provider", "file")),
        provider_values=values,
        key_descriptor=int(raw.get("key_descriptor", -1)),
        listen=tuple(_address(one, where) for one in raw.get("listen", ())),
        sockets=tuple(_roles(raw.get("sockets", ROLES), where)),
    )


def _address(value: Any, where: str) -> tuple[str, int]:
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not isinstance(value[0], str)
        or type(value[1]) is not int
        or not 0 <= value[1] < 65536
    ):
        raise BadConfig(f"{where}: 'listen' must be a list of [host, port]")
    return value[0], value[1]


def _roles(value: Any, where: str) -> list[str]:
    if not isinstance(value, list | tuple) or any(one not in ROLES for one in value):
        raise BadConfig(f"{where}: 'sockets' must be a list of: {', '.join(ROLES)}")
    return list(value)
