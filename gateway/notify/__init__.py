"""Text messages with one-time codes: the port `TextSender` and its adapters none, http and pretend."""

from __future__ import annotations

from gateway.notify.port import SENDERS, TextSender, sender

__all__ = ["SENDERS", "TextSender", "sender"]
