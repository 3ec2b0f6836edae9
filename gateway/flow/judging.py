"""Step 6 of an outgoing message: what policy says for each recipient, from what was found in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.actions.signing import signing_domain
from gateway.actions.tenants import TenantView
from gateway.detect.model import Assessment, PartVerdict
from gateway.flow import facts as factual
from gateway.flow.decided import FORGED, UNPROCESSABLE, held_together
from gateway.flow.looking import Looked
from gateway.flow.reading import Reading
from gateway.mail.model import Message
from gateway.mail.source import Source
from gateway.policy import Decision, decide
from gateway.spool.envelope import POSTMASTER, Envelope


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found, and what is decided for each recipient by number."""

    looked: Looked
    decisions: dict[int, Decision]

    @property
    def untouched(self) -> bool:
        """Whether everybody gets it as it is: then nothing is made before its transaction."""
        return all(decision.treatment == "as-is" for decision in self.decisions.values())


def judge(
    view: TenantView,
    envelope: Envelope,
    source: Source,
    message: Message,
    looked: Looked,
    adjust: Callable[[Decision], Decision] = lambda decision: decision,
    plain_reason: str = "",
) -> Judged:
    """`adjust` is what an officer's release changes; `plain_reason` why the sender may have it go as it is.

    What could not be assessed has one decision for everybody.
    """
    if looked.forced is not None or looked.assessment is None:
        decisions = dict.fromkeys(range(len(envelope.recipients)), looked.forced or UNPROCESSABLE)
    elif envelope.identity.kind == POSTMASTER and own_name(view, message):
        decisions = dict.fromkeys(range(len(envelope.recipients)), FORGED)
    else:
        mail = factual.mail_facts(
            message, source, envelope, looked.reading, looked.assessment, looked.scanned.parts, plain_reason,
            view.assumed(envelope.identity),
        )  # fmt: skip
        decisions = {
            number: adjust(
                decide(view.policy, mail, factual.recipient_facts(view, recipient.address, envelope.arrived_us))
            )
            for number, recipient in enumerate(envelope.recipients)
        }
    return Judged(looked, held_together(decisions))


def own_name(view: TenantView, message: Message) -> bool:
    """Whether a message says that it is from the clinic: by From or Sender, or by saying nothing that can be read."""
    domains = {address.rpartition("@")[2] for name in ("from", "sender") for _, address in message.addresses(name)}
    return not message.addresses("from") or any(_of(view, one.strip(" .>").lower()) for one in domains)


def _of(view: TenantView, domain: str) -> bool:
    try:
        domain = domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        return True
    return signing_domain(view, domain) is not None


def leaves_if_phi(
    view: TenantView,
    envelope: Envelope,
    source: Source,
    message: Message,
    adjust: Callable[[Decision], Decision],
    reading: Reading,
    part: str,
) -> bool:
    """Whether that attachment would leave somebody's copy, as an object by itself, if it alone is PHI. A guess, made
    before all is known: nothing is decided by it.
    """
    if message.signed or message.malformed or message.encrypted:
        return False  # sealed whole
    phi = Assessment((PartVerdict(part, "", "phi", 1.0, ()),), 1.0, True, (), "")
    guess = judge(view, envelope, source, message, Looked(reading, phi), adjust)
    return any(
        one.treatment == "secure" or (one.treatment == "attachments" and part in one.sealed_parts)
        for one in guess.decisions.values()
    )
