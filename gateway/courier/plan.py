"""What travels on to a server with given extensions, and what cannot go there at all.

Pure. Rules: SIZE is ours to state (RFC 1870); RET, ENVID, NOTIFY and ORCPT go only to a server with DSN
(RFC 3461 5.2), 8-bit content only to one with 8BITMIME (RFC 6152), non-ASCII addresses or header lines only to one with
SMTPUTF8 (RFC 6531 3.2); a message that needs neither goes without the label. REQUIRETLS goes over a verified line to a
server that has it, or nowhere (RFC 8689 4.2.1). Any other parameter that the server does
not offer bounces the message: it is a promise to the sender, not ours to drop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from gateway.courier.port import Bounced, Outbound, Outcome, Params, Recipient, status_class

_NEEDS = {"RET": "DSN", "ENVID": "DSN", "NOTIFY": "DSN", "ORCPT": "DSN", "BODY": "8BITMIME", "AUTH": "AUTH"}
_MAY_BE_DROPPED = frozenset({"RET", "ENVID", "NOTIFY", "ORCPT", "AUTH"})
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_HEADER_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """The commands to send, and what is settled without sending anything."""

    mail: str = field(repr=False)
    rcpt: tuple[tuple[int, str], ...] = field(repr=False)  # (index into outbound.recipients, command)
    settled: Mapping[int, Outcome]
    encoding: str  # "ascii", or "utf-8" under SMTPUTF8


def plan(
    outbound: Outbound, features: Mapping[str, str], *, authenticated: bool = False, verified: bool = False
) -> Plan:
    """The plan for a server with these features, upper-case keyword to parameters. Reads content only if it must."""
    names = frozenset(features)

    def nothing(status: str) -> Plan:
        outcome = Bounced(status, status_class(status))
        return Plan("", (), dict.fromkeys(range(len(outbound.recipients)), outcome), "ascii")

    params = {name.upper(): value for name, value in outbound.mail_params}
    limit = features.get("SIZE", "")
    if limit.isdigit() and 0 < int(limit) < outbound.size:
        return nothing("5.3.4")
    if params.get("BODY", "").upper() == "BINARYMIME":
        return nothing("5.6.1")
    if "8BITMIME" not in names:
        if not _is_ascii(outbound.chunks()):
            return nothing("5.6.3")
        params.pop("BODY", None)
    utf8 = params.pop("SMTPUTF8", None) is not None
    if not outbound.mail_from.isascii() or any(not recipient.address.isascii() for recipient in outbound.recipients):
        utf8 = True
    if utf8 and "SMTPUTF8" not in names:
        if not outbound.mail_from.isascii():
            return nothing("5.6.7")
        if not _is_ascii(_header(outbound.chunks)):
            return nothing("5.6.9")
        utf8 = False
    if "REQUIRETLS" in params and not (verified and "REQUIRETLS" in names):
        return nothing("5.7.30")
    params.pop("SIZE", None)
    passed = _passed(params, names, authenticated)
    if passed is None or not _sound(outbound.mail_from, passed):
        return nothing("5.5.4")
    line = [f"MAIL FROM:<{outbound.mail_from}>"]
    line += [f"SIZE={outbound.size}"] if "SIZE" in names else []
    line += [*(_written(pair) for pair in passed), *(["SMTPUTF8"] if utf8 else [])]
    settled: dict[int, Outcome] = {}
    commands: list[tuple[int, str]] = []
    for index, recipient in enumerate(outbound.recipients):
        command, status = _rcpt(recipient, names, utf8)
        if status:
            settled[index] = Bounced(status, status_class(status))
        else:
            commands.append((index, command))
    return Plan(" ".join(line), tuple(commands), settled, "utf-8" if utf8 else "ascii")


def _rcpt(recipient: Recipient, names: frozenset[str], utf8: bool) -> tuple[str, str]:
    """(command, "") or ("", status)."""
    if not recipient.address.isascii() and not utf8:
        return "", "5.6.7"
    passed = _passed({name.upper(): value for name, value in recipient.params}, names, False)
    if passed is None or not recipient.address or not _sound(recipient.address, passed):
        return "", "5.5.4"
    return " ".join([f"RCPT TO:<{recipient.address}>", *(_written(pair) for pair in passed)]), ""


def _passed(params: Mapping[str, str], names: frozenset[str], authenticated: bool) -> Params | None:
    """The parameters this server understands; None when one is left that may not be dropped."""
    kept = []
    for name, value in params.items():
        offered = _NEEDS.get(name, name) in names and (name != "AUTH" or authenticated)
        if offered:
            kept.append((name, value))
        elif name not in _MAY_BE_DROPPED:
            return None
    return tuple(kept)


def _sound(address: str, params: Params) -> bool:
    """Whether these can stand in one command line without ending it or starting another."""
    return not _UNPRINTABLE.search(address) and all(
        _NAME.fullmatch(name) and not _UNPRINTABLE.search(value) and " " not in value for name, value in params
    )


def _written(pair: tuple[str, str]) -> str:
    return f"{pair[0]}={pair[1]}" if pair[1] else pair[0]


def _is_ascii(chunks: Iterator[bytes]) -> bool:
    return all(chunk.isascii() for chunk in chunks)


def _header(chunks: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
    """The header section; what is longer than the limit counts as header to its end."""
    seen = b""
    for chunk in chunks():
        seen += chunk
        end = seen.find(b"\r\n\r\n")
        if end >= 0 or len(seen) > _HEADER_LIMIT_BYTES:
            yield seen[:end] if end >= 0 else seen
            if end >= 0:
                return
            seen = b""
    yield seen
