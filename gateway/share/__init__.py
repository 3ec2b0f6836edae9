"""The gateway's side of the keyholder: its keys in memory, and its answers in the gateway's own words.

Promises: what the keyholder refuses is a `Denied` with a machine reason; what it cannot answer is `TryLater`, so mail
is deferred and a download gets 503; a broken seal is `Tampered`. Nothing here decides who may open what.
"""

from gateway.share.directory import Directory
from gateway.share.keyring import KeyRing, TenantKeys
from gateway.share.mapping import answering

__all__ = ["Directory", "KeyRing", "TenantKeys", "answering"]
