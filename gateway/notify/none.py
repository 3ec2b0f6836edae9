"""No text messages: every request is refused, so a code asked for is never thought to be on its way."""

from __future__ import annotations

from gateway.notify.port import SENDERS, NoTextMessages
from gateway.sensitive import Sensitive
from gateway.settings import Notify


@SENDERS.register("none")
class NoSender:
    """Refuses."""

    def __init__(self, settings: Notify) -> None:
        """Needs nothing."""

    def send(self, number: Sensitive[str], text: Sensitive[str], reference: str = "") -> None:
        raise NoTextMessages("sms is none")
