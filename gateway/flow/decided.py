"""What the decisions for a message's recipients come to as one message. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.policy import Decision

UNPROCESSABLE = Decision(
    treatment="hold",
    sealed_parts=frozenset(),
    neutral_subject=True,
    rule="cannot-be-processed",
    policy="built-in",
    reasons=("it could not be processed",),
)
"""For mail that could not be read at all, however often it was tried."""


FORGED = Decision(
    treatment="return",
    sealed_parts=frozenset(),
    neutral_subject=True,
    rule="own-name",
    policy="built-in",
    reasons=("a stranger wrote in the clinic's own name",),
)
"""For a stranger's mail to postmaster that is From one of the clinic's own: from us, its reader's server would take it
for true. It has no sender, so nobody but the log is told.
"""


def held_together(decisions: dict[int, Decision]) -> dict[int, Decision]:
    """When one outsider's copy is held, the other sealed copies wait with it: one message is one question to the
    officer, and a held original never lies among the objects that a link opens.
    """
    held = next((decision for decision in decisions.values() if decision.treatment == "hold"), None)
    if held is None:
        return decisions
    return {n: held if one.treatment in ("attachments", "secure") else one for n, one in decisions.items()}


def state_of(decisions: Iterable[Decision]) -> str:
    """The message's state: that of the recipient who is treated most carefully."""
    treatments = {decision.treatment for decision in decisions}
    for treatment, state in (("hold", "held"), ("secure", "secured"), ("attachments", "secured"), ("as-is", "passed")):
        if treatment in treatments:
            return state
    return "returned"
