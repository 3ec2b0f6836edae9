"""One installation under examination: its settings, who runs it, and what was asked of it already.

Promises: nothing of the installation is changed but probe files that are removed again; the database and the stores of
a role are looked at as that role's user, so that no file of another owner is left behind and a right that the role
lacks is seen; whatever is down is a finding and never an exception.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from gateway.doctor.neighbours import first_line
from gateway.doctor.records import Names
from gateway.keyholders import reach
from gateway.roles import APART, NAMES, Identities, Identity
from gateway.settings import DEFAULT_PATH, Endpoint, Settings
from gateway.spool import health
from keys.client import OperatorClient
from keys.errors import KeysError, Tampered

UNITS = Path("/etc/systemd/system")
ANSWER_SECONDS = 5.0


class Case:
    """What the checks may look at. `resolver` replaces the machine's name servers."""

    def __init__(self, settings: Settings, config: Path | None, resolver: Endpoint | None = None) -> None:
        self.settings = settings
        self.config = config
        self.resolver = resolver

    # who runs it

    @cached_property
    def who(self) -> Identities:
        """Who the roles are here, by the owners of their folders; `enforced` when they are users of their own."""
        names = APART if self.settings.on_postgres else NAMES
        named: dict[str, Identity] = {}
        for role, name in names.items():
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                named[role] = Identity(entry.pw_uid, entry.pw_gid)
        if "worker" in named:  # what belongs to "gateway" is then the worker's
            named["gateway"] = named["worker"]
        elif "gateway" in named:
            named["worker"] = named["portal"] = named["gateway"]
        found = {role: _owner(path) for role, path in self.homes.items()}
        right = [role for role, one in found.items() if one and role in named and one.uid == named[role].uid]
        if set(names) <= set(named) and len(right) >= 2:
            return Identities(named, enforced=True)
        one = _owner(self.settings.node_directory) or Identity(os.geteuid(), os.getegid())
        return Identities(dict.fromkeys((*NAMES, *APART), one), enforced=False)

    @property
    def homes(self) -> dict[str, Path]:
        """The folder that is each role's own, on this machine."""
        settings = self.settings
        found = {"smtp": settings.smtp_directory, "gateway": settings.worker_directory}
        if settings.on_postgres:
            found["portal"] = settings.portal_directory
        if settings.runs_keyholder:
            found["keyholder"] = settings.keys.directory
        return found

    def sees(self, role: str) -> bool:
        """Whether what belongs to that role can be looked at: by root and by the role's own user."""
        return os.geteuid() in (0, self.who.uid(role))

    def as_role(self, role: str, deed: Callable[[], Any]) -> Any:
        """What `deed` returns (JSON), done as the role's user where we may become that user.

        Raises Refused with errno words or the class of the error.
        """
        identity = self.who.of[role]
        if os.geteuid() != 0 or identity.uid in (None, 0):
            return _told(_attempt(deed))
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            answer: dict[str, Any] = {"refused": "it ended"}
            try:
                assert identity.uid is not None
                assert identity.gid is not None
                os.setgroups([])
                os.setgid(identity.gid)
                os.setuid(identity.uid)
                answer = _attempt(deed)
            finally:
                os.write(writer, json.dumps(answer).encode())
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            text = stream.read()
        os.waitpid(child, 0)
        return _told(json.loads(text or b'{"refused": "it ended"}'))

    # what answers

    @cached_property
    def alive(self) -> health.Health:
        """The gateway's sign of life."""
        return health.read(self.settings.snapshot_directory / "health.json", time.time_ns() // 1000)

    @cached_property
    def backups(self) -> list[dict[str, Any]] | None:
        """Every backup that the keyholder registered, newest first; None while it cannot be asked."""
        client = OperatorClient(reach(self.settings, "operator", timeout_seconds=ANSWER_SECONDS, size=1))
        try:
            return client.backups()
        except KeysError:
            return None
        finally:
            client.close()

    def recovery(self, name: str) -> dict[str, Any] | None:
        """What the keyholder says of that clinic's recovery key; None while it cannot be asked or does not know it.

        Raises keys.errors.Tampered when its row was changed.
        """
        tenants = (self.keyholder or {}).get("tenants", {})
        tenant = next((id for id, one in tenants.items() if one["name"] == name), None)
        if tenant is None:
            return None
        client = OperatorClient(reach(self.settings, "operator", timeout_seconds=ANSWER_SECONDS, size=1))
        try:
            return client.recovery_state(tenant)
        except Tampered:
            raise
        except KeysError:
            return None
        finally:
            client.close()

    @property
    def serving(self) -> bool:
        """Whether a gateway gave a sign of life in the last seconds, well or not."""
        return self.alive.reason not in ("no-health-file", "unreadable-health-file", "worker-silent", "stopping")

    @cached_property
    def keyholder(self) -> dict[str, Any] | None:
        """The keyholder's own words about itself; None while it does not answer (or not to this user)."""
        client = OperatorClient(reach(self.settings, "operator", timeout_seconds=ANSWER_SECONDS, size=1))
        try:
            return client.status()
        except KeysError:
            return None
        finally:
            client.close()

    @cached_property
    def tenant(self) -> str | None:
        """Id of the tenant that the settings name."""
        tenants = (self.keyholder or {}).get("tenants", {})
        return next((id for id, one in tenants.items() if one["name"] == self.settings.tenant.name), None)

    @cached_property
    def closed(self) -> frozenset[str]:
        """Names of the clinics that are closed, as far as the keyholder can be asked."""
        tenants = (self.keyholder or {}).get("tenants", {}).values()
        return frozenset(str(one["name"]) for one in tenants if one.get("closed_us") is not None)

    @cached_property
    def greeting(self) -> str:
        """The smarthost's first line; empty when there is none to be had."""
        host = self.settings.courier.smarthost
        return "" if host.port == 465 else first_line(host.host, host.port)

    @cached_property
    def names(self) -> Names:
        """The name servers to ask."""
        return Names(self.resolver)

    # words for repair lines

    def command(self, words: str) -> str:
        """A `sealgate` command for this installation."""
        if self.config is None or self.config == DEFAULT_PATH:
            return f"sealgate {words}"
        return f"sealgate {words} --config {self.config}"

    def start(self, role: str = "") -> str:
        """The line that starts a role (all of them without one)."""
        if (UNITS / "sealgate-gateway.service").exists() and (self.config in (None, DEFAULT_PATH)):
            return f"systemctl restart sealgate-{role}" if role else "systemctl restart sealgate.target"
        return self.command("serve" if self.who.enforced else "serve --single-user")


class Refused(Exception):
    """A deed as a role's user did not succeed; the text is errno words or the error's class."""


def _attempt(deed: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"ok": deed()}
    except OSError as error:
        return {"refused": error.strerror or type(error).__name__}
    except Exception as error:
        return {"refused": f"{type(error).__name__}"}


def _told(answer: dict[str, Any]) -> Any:
    if "refused" in answer:
        raise Refused(answer["refused"])
    return answer["ok"]


def _owner(path: Path) -> Identity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Identity(found.st_uid, found.st_gid)
