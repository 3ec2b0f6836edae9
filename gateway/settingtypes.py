"""What a setting may hold: one parser per kind of value, each refusing with a sentence that says what to write.

Promises: a parser takes what TOML or the environment gave and returns a checked value, or raises ValueError whose text
names what is wrong and shows a value that would do; it opens no file. A secret is never held: `SecretFile` remembers
where it lies and reads it at the moment of use, so that a role that does not need it never has it in memory.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from gateway.errors import Misconfigured
from gateway.sensitive import Sensitive

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Parse: TypeAlias = Callable[[Any], Any]

_DOMAIN = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SECRET_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and a port; port 0 lets the system choose."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can be meant."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SecretFile:
    """Where a secret lies. Its text is read on demand and comes wrapped, so that it does not print."""

    path: Path

    def read(self) -> Sensitive[str]:
        """The file's text without its last newline.

        Raises Misconfigured when it is absent, unreadable, empty, too large, or readable by everybody.
        """
        try:
            with open(self.path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(_SECRET_LIMIT_BYTES + 1)
        except OSError as error:
            raise Misconfigured(f"secret file {self.path} cannot be read: {error.strerror}") from error
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            raise Misconfigured(f"secret file {self.path} is open to everybody; run: chmod 0400 {self.path}")
        try:
            text = data.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:  # without its cause: that would quote bytes of the secret
            raise Misconfigured(f"secret file {self.path} is not UTF-8 text") from None
        if not text or len(data) > _SECRET_LIMIT_BYTES:
            raise Misconfigured(f"secret file {self.path} is empty or longer than {_SECRET_LIMIT_BYTES} bytes")
        return Sensitive(text)

    def __str__(self) -> str:
        return str(self.path)


def is_loopback(host: str) -> bool:
    """`localhost`, a name below it (RFC 6761 6.3), or a loopback address."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def text(value: Any) -> str:
    """One line of text."""
    if not isinstance(value, str):
        raise ValueError('must be text, such as "example"')
    if any(ord(letter) < 32 for letter in value):
        raise ValueError("must be a single line without control characters")
    return value.strip()


def address(value: Any) -> str:
    """A mail address."""
    found = text(value)
    if found and not re.fullmatch(r"[^@\s<>]+@[A-Za-z0-9.-]+", found):
        raise ValueError('must be a mail address, such as "office@clinic.example"')
    return found


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number within both bounds, which pages about settings show."""

    least: int
    most: int

    def __call__(self, value: Any) -> int:
        """The number itself. Raises ValueError."""
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not self.least <= value <= self.most:
            raise ValueError(f"must be a whole number from {self.least} to {self.most}")
        return value


def number(least: int, most: int) -> Number:
    """The parser of such a number."""
    return Number(least, most)


def choice(*words: str) -> Parse:
    """One of some fixed words."""

    def parse(value: Any) -> str:
        if value not in words:
            raise ValueError("must be one of " + ", ".join(f'"{word}"' for word in words))
        return str(value)

    return parse


def flag(value: Any) -> bool:
    """true or false; in the environment everything is text."""
    if value in ("true", "false"):
        return bool(value == "true")
    if not isinstance(value, bool):
        raise ValueError("must be true or false, without quotes")
    return value


def listed(parse_one: Parse) -> Parse:
    """A value or a list of them; in the environment separated by commas."""

    def parse(value: Any) -> tuple[Any, ...]:
        items: Sequence[Any]
        if isinstance(value, str):
            items = [item.strip() for item in value.split(",") if item.strip()]
        elif isinstance(value, list):
            items = value
        else:
            raise ValueError("must be one value in quotes, or a list of such values in brackets")
        return tuple(parse_one(item) for item in items)

    return parse


def endpoint(value: Any, *, default_port: int | None = None) -> Endpoint:
    """`host:port`, with an IPv6 address in brackets."""
    wanted = 'must be "host:port", such as "127.0.0.1:2525" or "[::1]:2525"'
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/@]+))(?::([0-9]{1,5}))?", text(value))
    if match is None:
        raise ValueError(wanted)
    host, port_text = match[1] or match[2], match[3]
    if match[1]:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(wanted) from None
    elif re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError(f"{wanted}; {host} is not an address") from None
    elif not _DOMAIN.fullmatch(host.lower()):
        raise ValueError(wanted)
    if port_text is None and default_port is None:
        raise ValueError(f"{wanted}; the port is missing")
    port = int(port_text) if port_text is not None else int(default_port or 0)
    if port > 65535:
        raise ValueError(f"{wanted}; a port is at most 65535")
    return Endpoint(host, port)


def smarthost(value: Any) -> Endpoint:
    """`host` or `host:port`; port 25 unless given."""
    found = endpoint(value, default_port=25)
    if found.port == 0:
        raise ValueError('must name the port to connect to, such as "mail.example.org:25"')
    return found


def network(value: Any) -> Network:
    """An address or a network in CIDR notation, without host bits."""
    try:
        return ipaddress.ip_network(text(value))
    except ValueError:
        wanted = 'must be a network such as "192.0.2.0/24" or an address such as "2001:db8::25"'
        raise ValueError(f"{wanted}, with no bits set after the prefix") from None


def domain(value: Any) -> str:
    """A mail domain in its ASCII form, lower case."""
    name = text(value).rstrip(".").lower()
    if not name.isascii():
        try:
            coded = name.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError('must be a mail domain such as "clinic.example"') from None
        if coded.encode("ascii").decode("idna") != name:
            # ß, ς and wide letters: one reading (RFC 3490) makes another domain of them than the other (RFC 5891).
            raise ValueError("has letters that stand for others; write it in its ASCII form, which begins with xn--")
        name = coded
    if not _DOMAIN.fullmatch(name):
        raise ValueError('must be a mail domain such as "clinic.example"')
    return name


def short_name(value: Any) -> str:
    """A name for commands and file names."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", value):
        raise ValueError('must be 1 to 40 lower-case letters, digits and hyphens, such as "riverside-clinic"')
    return value


def optional_name(value: Any) -> str:
    """Such a name, or nothing."""
    return "" if value == "" else short_name(value)


def optional_domain(value: Any) -> str:
    """A domain, or nothing."""
    return "" if value == "" else domain(value)


def fingerprint(value: Any) -> str:
    """SHA-256 in hexadecimal, with or without colons."""
    found = text(value).replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", found):
        raise ValueError("must be 64 hexadecimal digits, as openssl x509 -fingerprint -sha256 prints them")
    return found


def phone(value: Any) -> str:
    """A phone number as people read it."""
    found = text(value)
    if found and not re.fullmatch(r"\+?[0-9()./ -]{3,30}(?: ?(?:ext|x)\.? ?[0-9]{1,6})?", found):
        raise ValueError('must be a phone number as you print it, such as "+1 555 010 0199"')
    return found


def timezone(value: Any) -> str:
    """A name of the IANA time zone database."""
    name = text(value)
    if name == "UTC":  # known even where the machine carries no zone files
        return name
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError('must be a time zone that this machine knows, such as "America/New_York" or "UTC"') from None
    return name


def path(value: Any) -> Path:
    """A path; the loader makes it absolute."""
    found = text(value)
    if not found:
        raise ValueError('must be a path, such as "/var/lib/sealgate/spool"')
    return Path(found)


def policy_file(value: Any) -> str | Path:
    """The name of a shipped policy as it is; all else is a path."""
    found = text(value)
    return found if re.fullmatch(r"[a-z][a-z0-9-]*", found) else path(found)


def secret_file(value: Any) -> SecretFile:
    """A path to a secret."""
    return SecretFile(path(value))


def public_url(value: Any) -> str:
    """Where browsers reach the portal: https, or http on loopback, without a path."""
    found = text(value)
    parts = urlsplit(found)
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        raise ValueError('must be an address such as "https://mail.clinic.example"')
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError('must end after the host, such as "https://mail.clinic.example"')
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError('must begin with "https://"; plain http is for loopback only, such as "http://localhost:8080"')
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")


def service_url(value: Any) -> str:
    """Where a text-message service is called: https, or http on loopback. Holds no credentials."""
    found = text(value)
    parts = urlsplit(found)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError('must be an address such as "https://sms.example/messages", without a user name in it')
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError('must begin with "https://"; plain http is for loopback only')
    return found


def store_url(value: Any) -> str:
    """`sqlite:////absolute/file.db` or `postgresql+psycopg://role@host/database`."""
    found = text(value)
    if found.startswith("postgresql"):
        return server_url(found)
    if not found.startswith("sqlite:////") or found.endswith("/"):
        raise ValueError(
            'must be "sqlite:////absolute/path/sealgate.db" (four slashes) or "postgresql+psycopg://role@host/database"'
        )
    return found


def server_url(value: Any) -> str:
    """`postgresql+psycopg://role@host/database`: a role, no password, and a server that proves who it is."""
    found = text(value)
    if not found:
        return ""
    parts = urlsplit(found)
    if parts.scheme != "postgresql+psycopg" or not parts.username or len(parts.path) < 2:
        raise ValueError('must be "postgresql+psycopg://role@host/database"')
    if parts.password is not None:
        raise ValueError("must hold no password; write it to a file and add ?passfile=/that/file")
    options = parse_qs(parts.query)
    hosts = [parts.hostname, *options.get("host", ())]
    away = [host for host in hosts if host and not host.startswith("/") and not is_loopback(host)]
    if away and options.get("sslmode") != ["verify-full"]:
        raise ValueError("names another machine; add ?sslmode=verify-full, so that nobody can stand in for it")
    return found


def vault_url(value: Any) -> str:
    """`file:///absolute/folder` or `s3://bucket/prefix?endpoint=…`."""
    found = text(value)
    if not (found.startswith("file:///") and len(found) > len("file:///")) and not re.match(r"s3://[^/?#@]+", found):
        raise ValueError('must be "file:///absolute/folder" or "s3://bucket/prefix?endpoint=https://…"')
    return found


def export_url(value: Any) -> str:
    """As `vault_url`, or nothing."""
    return vault_url(value) if text(value) else ""


def clamd(value: Any) -> str:
    """`unix:/path` or `host:port` on loopback, or nothing: whole mails go there, and clamd speaks no TLS."""
    found = text(value)
    if found and not found.startswith("unix:/") and not endpoint(found).loopback:
        raise ValueError('must be "unix:/path" or on loopback, such as "127.0.0.1:3310": mail goes there unencrypted')
    return found
