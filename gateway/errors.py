"""Every error of the gateway, in four branches that say what happens next.

Promises: the docstring of a class is its public text, safe to show to anyone; what is handed to the constructor is for
the log and holds ids only, never an address, a file name, a token or a word of a message.
Clauses: enhanced status codes are those of RFC 3463 and RFC 5248; `exit_code` follows sysexits.
"""

from __future__ import annotations

import inspect


class GatewayError(Exception):
    """Something went wrong. Nothing is lost; please try again in a few minutes."""

    smtp: tuple[int, str] = (451, "4.3.0")
    http_status: int = 500
    exit_code: int = 70

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    @property
    def public(self) -> str:
        """The calm sentence that people see."""
        return " ".join((inspect.getdoc(type(self)) or "").split())


class Refused(GatewayError):
    """This request cannot be accepted."""

    smtp = (550, "5.7.1")
    http_status = 403
    exit_code = 65


class NotFound(Refused):
    """There is nothing here under that name."""

    smtp = (550, "5.1.1")
    http_status = 404


class TryLater(GatewayError):
    """We cannot do this right now. Nothing is lost; please try again in a few minutes."""

    smtp = (451, "4.3.0")
    http_status = 503
    exit_code = 75


class Tampered(GatewayError):
    """This item does not pass its integrity check, so it is not shown. The clinic has been alerted."""

    smtp = (451, "4.3.0")
    http_status = 503
    exit_code = 65


class Misconfigured(GatewayError):
    """The configuration cannot be used as it stands."""

    smtp = (451, "4.3.5")
    http_status = 500
    exit_code = 78

    @property
    def public(self) -> str:
        """Start-up errors are read by the technician, so the detail is the public text."""
        return self.detail or super().public
