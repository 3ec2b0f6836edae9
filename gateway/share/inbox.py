"""Inboxes as the portal's flow sees them: the key pair, its locks, and the words that are proposed."""

from keys.boxes import BoxKey
from keys.errors import Tampered, WrongSecret
from keys.inboxes import PASSPHRASE, Factor, LockName, ask_context, by_passkey, by_passphrase, keep, kept, lock, unlock
from keys.keyholder.answers import InboxSession
from keys.phrases import WORDS, propose, read

__all__ = [
    "PASSPHRASE", "WORDS", "BoxKey", "Factor", "InboxSession", "LockName", "Tampered", "WrongSecret", "ask_context",
    "by_passkey", "by_passphrase", "keep", "kept", "lock", "propose", "read", "unlock",
]  # fmt: skip
