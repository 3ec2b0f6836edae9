"""The port through which one-time codes leave by text message, and the registry of its adapters.

Promises: number and text are `Sensitive` up to the line that sends them; no adapter logs either of them, nor the words
of the service.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from gateway.errors import Refused
from gateway.registry import Registry
from gateway.sensitive import Sensitive
from gateway.settings import Notify


class TextSender(Protocol):
    """Hands one text message to whoever carries it.

    Returning means that the carrier took it. Raises TryLater when a repetition may help and Refused when none will; the
    caller decides whether to repeat, and names the text by `reference`, the same at each repetition, so that a carrier
    which can will send it once. May be called from several threads. Takes at most 15 seconds.
    """

    def send(self, number: Sensitive[str], text: Sensitive[str], reference: str = "") -> None:
        """Send `text` to `number` (E.164, such as +15550100199)."""


Factory: TypeAlias = Callable[[Notify], TextSender]
SENDERS: Registry[Factory] = Registry("[notify] sms", "gateway.notify")


class NoTextMessages(Refused):
    """Text messages are not set up here. Please ask the clinic for a code by phone."""


def sender(settings: Notify) -> TextSender:
    """The adapter that the settings name. Raises Misconfigured."""
    return SENDERS.get(settings.sms)(settings)
