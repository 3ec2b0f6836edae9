"""The envelope of a spooled message: who sent it, to whom, with which parameters, and who they proved to be.

Promises: `from_json(to_json(x)) == x`; only the canonical spelling is read; addresses never show in a repr.
Clauses: RFC 5321 2.3.1 (envelope), RFC 3461 (parameters travel on verbatim), RFC 8785 (spelling).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from keys.encoding import canonical

VERSION = 1
REFUSED = "refused"
"""Identity of a note that a client of the tenant was refused: no message, no addresses; `name` is the machine word."""
RETURNED = "returned"
"""Identity of mail from nobody in particular to a return path of ours: a report, and nothing that may travel on."""
POSTMASTER = "postmaster"
"""Identity of mail from nobody in particular to postmaster at the portal's host; it has the null sender."""
Params = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Recipient:
    """One RCPT TO: the address as given and its parameters (NOTIFY, ORCPT), keyword and value."""

    address: str = field(repr=False)
    params: Params = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who handed the message in, as it was proved.

    `kind`: ``app-password``, ``network`` (unauthenticated, by client address), ``device`` (by its address or password)
    and ``certificate`` (a device that proved itself), ``shared`` (a provider's network, with the clinic's proof),
    ``held`` (released mail), ``system``, ``returned`` (a stranger's report to a return path of ours), ``postmaster`` (a
    stranger's mail to postmaster at the portal's host), or ``refused`` (nothing was handed in).
    `user` is a user id where one is known; `name` a word for people: the submission name, or the name that a device or
    a shared network has in the settings.
    """

    kind: str
    user: str | None = None
    name: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Everything about a message that is not the message. `mail_from` is empty for the null sender.

    `queue` is the spool id; `arrived_us` microseconds since 1970 UTC; `tls` version and cipher, or empty.
    """

    tenant: str
    queue: str
    mail_from: str = field(repr=False)
    recipients: tuple[Recipient, ...] = field(repr=False)
    identity: Identity
    arrived_us: int
    node: str
    mail_params: Params = field(default=(), repr=False)
    client_ip: str = field(default="", repr=False)
    helo: str = field(default="", repr=False)
    tls: str = ""
    listener: str = ""
    protocol: str = "ESMTP"

    def to_json(self) -> bytes:
        """RFC 8785 JSON. ValueError for text that has no UTF-8 form."""
        return canonical(
            {
                "v": VERSION,
                "tenant": self.tenant,
                "queue": self.queue,
                "mail_from": self.mail_from,
                "mail_params": self.mail_params,
                "recipients": [{"address": one.address, "params": one.params} for one in self.recipients],
                "identity": {"kind": self.identity.kind, "user": self.identity.user, "name": self.identity.name},
                "client_ip": self.client_ip,
                "helo": self.helo,
                "tls": self.tls,
                "listener": self.listener,
                "protocol": self.protocol,
                "arrived_us": self.arrived_us,
                "node": self.node,
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> Envelope:
        """The envelope of these bytes. ValueError for another version, an unknown or missing field, a wrong type."""
        try:
            value = json.loads(data)  # that it is canonical is seen below, where it is written again
        except RecursionError as error:
            raise ValueError("an envelope nested too deeply") from error
        if not isinstance(value, dict) or value.pop("v", None) != VERSION:
            raise ValueError("an envelope of an unknown version")
        try:
            identity = value.pop("identity")
            recipients = value.pop("recipients")
            envelope = cls(
                mail_params=_params(value.pop("mail_params")),
                recipients=tuple(Recipient(_text(one["address"]), _params(one["params"])) for one in recipients),
                identity=Identity(
                    kind=_text(identity["kind"]),
                    user=None if identity["user"] is None else _text(identity["user"]),
                    name=_text(identity["name"]),
                ),
                arrived_us=_whole(value.pop("arrived_us")),
                **{name: _text(text) for name, text in value.items()},
            )
        except (KeyError, TypeError) as error:
            raise ValueError("an envelope with other fields") from error
        if envelope.to_json() != data:
            raise ValueError("an envelope with other fields")
        return envelope


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("a whole number expected")
    return value


def _params(value: Any) -> Params:
    return tuple((_text(name), _text(text)) for name, text in value)
