"""The section of the settings that names the keys which sign mail; as `gateway.sections`, and apart for its length."""

from __future__ import annotations

from dataclasses import dataclass

from gateway import settingtypes as kinds
from gateway.sections import setting


@dataclass(frozen=True, slots=True)
class Dkim:
    """Signatures on mail that we rewrite or write ourselves (RFC 6376); what passes as it is, is never signed."""

    selectors: tuple[str, ...] = setting(
        "Keys to sign with, by selector; made with sealgate dkim make, which prints the DNS record. Empty: the "
        "smarthost signs, or nobody.",
        kinds.listed(kinds.short_name),
        (),
        example=["sealgate-r1", "sealgate-e1"],
    )
