"""The vault: sealed objects in a blob store. `Vault` is the way in."""

from gateway.vault.vault import Reader, Stored, Vault, Writer

__all__ = ["Reader", "Stored", "Vault", "Writer"]
