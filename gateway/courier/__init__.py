"""Where outbound mail leaves: one port, `Courier`, and its adapter for a smarthost.

`port` holds the values and the contract, `plan` what travels on given the smarthost's extensions, `dots` the
transparency of DATA, `reply` what an answer means, `connection` one SMTP connection, `transaction` one message over it,
`smtp` the adapter with its pool.
"""

from __future__ import annotations

from gateway.courier.port import (
    Bounced,
    Courier,
    Deferred,
    Delivered,
    Evidence,
    Outbound,
    Outcome,
    Recipient,
    RecipientOutcome,
)
from gateway.courier.smtp import SmtpCourier

__all__ = [
    "Bounced",
    "Courier",
    "Deferred",
    "Delivered",
    "Evidence",
    "Outbound",
    "Outcome",
    "Recipient",
    "RecipientOutcome",
    "SmtpCourier",
]
