"""The vault: sealed objects in a blob store. `Vault` is the way in."""

from gateway.vault.vault import SHARDS, Reader, Stored, Vault, Writer

__all__ = ["SHARDS", "Reader", "Stored", "Vault", "Writer"]
