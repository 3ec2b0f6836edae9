"""The root key in HashiCorp Vault's Transit engine (or OpenBao's): it never leaves the server.

A wrap is the ciphertext that Transit gives, ``vault:v<N>:…``, with the context as associated data; a key that was
rotated there still opens what its older versions sealed. The check value is that of mount and key name: another key
made under the same name opens nothing and is refused all the same. Promises: the token is read from its file at each
call, so that a renewed one counts at once; it stands in no message. Rights needed: update on
``<mount>/encrypt/<key>`` and ``<mount>/decrypt/<key>``, read on ``<mount>/keys/<key>``. DESIGN §4a; FORMAT §11.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from keys.encoding import lp
from keys.errors import Tampered, Unavailable, Unusable
from keys.providers import register
from keys.providers._private import secret_line

_SECONDS = 5
_SEALED = re.compile(rb"vault:v[1-9][0-9]{0,8}:[A-Za-z0-9+/=]{24,8192}")
_WITH_DATA = frozenset({"aes256-gcm96", "aes128-gcm96", "chacha20-poly1305", "xchacha20-poly1305"})
_EXTRA = 'its library is missing; install Sealgate with it: pip install "sealgate[vault]"'


@register("vault-transit")
class VaultTransitProvider:
    """The port over one key of a Transit mount. Each call is a request of its own."""

    __slots__ = ("_key", "_mount", "_values", "check_value", "name")
    local: ClassVar[bool] = False
    NEEDS: ClassVar[tuple[str, ...]] = ("vault_address", "vault_key", "vault_token_file")
    MAY: ClassVar[tuple[str, ...]] = ("vault_mount", "vault_namespace", "vault_ca_file")

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)
        self._mount = values.get("vault_mount") or "transit"
        self._key = values["vault_key"]
        self.name = f"vault-transit {self._mount}/{self._key}"
        described = self._call(lambda engine: engine.read_key(self._key, mount_point=self._mount))
        if described.get("type") not in _WITH_DATA:
            raise Unusable(f"{self.name}: the key must be of type aes256-gcm96, which takes associated data")
        if described.get("derived") or described.get("convergent_encryption"):
            raise Unusable(f"{self.name}: the key must not be derived or convergent; make another one")
        self.check_value = hashlib.sha256(lp("sealgate/kek-check/v1", self._mount, self._key)).hexdigest()[:16]

    @classmethod
    def opened(cls, values: Mapping[str, str], *, create: bool, secret: bytes | None) -> VaultTransitProvider:
        """The key of that name; never made here. Raises Unusable, Unavailable."""
        return cls(values)

    def wrap(self, key: bytes, context: bytes) -> bytes:
        answer = self._call(
            lambda engine: engine.encrypt_data(
                self._key, plaintext=_b64(key), associated_data=_data(context), mount_point=self._mount
            )
        )
        return str(answer["ciphertext"]).encode("ascii")

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        if _SEALED.fullmatch(wrapped) is None:
            raise Tampered("a wrapped key has an unknown form")
        answer = self._call(
            lambda engine: engine.decrypt_data(
                self._key, ciphertext=wrapped.decode("ascii"), associated_data=_data(context), mount_point=self._mount
            ),
            opening=True,
        )
        return base64.b64decode(answer["plaintext"])

    def _call(self, work: Callable[[Any], Any], *, opening: bool = False) -> dict[str, Any]:
        """What Transit answered. Messages of hvac hold its address and are left out."""
        try:
            import hvac
            import requests
            from hvac import exceptions as vault
        except ImportError as error:
            raise Unusable(f"provider vault-transit: {_EXTRA}") from error
        values, token_file = self._values, self._values["vault_token_file"]
        token = secret_line(token_file, "the Vault token", "write a token into it, one line, and: chmod 0400")
        session = requests.Session()
        session.trust_env = False  # no proxy and no .netrc of whoever starts this
        try:
            client = hvac.Client(
                url=values["vault_address"], token=token, timeout=_SECONDS, session=session, allow_redirects=False,
                namespace=values.get("vault_namespace") or None, verify=values.get("vault_ca_file") or True,
            )  # fmt: skip
            answer = work(client.secrets.transit)
            return dict(answer["data"])
        except (vault.Forbidden, vault.Unauthorized):
            raise Unusable(
                f"{self.name}: Vault refuses the token: it has expired, or has no right to this key. Write one into "
                f"{token_file} whose policy allows update on {self._mount}/encrypt/{self._key} and "
                f"{self._mount}/decrypt/{self._key}, and read on {self._mount}/keys/{self._key}"
            ) from None
        except vault.InvalidPath:
            raise Unusable(
                f"{self.name}: there is no such key; make it: vault write -f {self._mount}/keys/{self._key} "
                "type=aes256-gcm96"
            ) from None
        except vault.InvalidRequest:
            if opening:
                raise Tampered("a wrapped key does not open") from None
            raise Unusable(f"{self.name}: Vault does not take this request; is [keys] vault_key right?") from None
        except (vault.VaultError, requests.RequestException, OSError) as error:
            raise Unavailable(f"{self.name}: Vault is sealed or does not answer ({type(error).__name__})") from None
        except (KeyError, TypeError, ValueError):
            raise Unavailable(f"{self.name}: Vault's answer cannot be read") from None
        finally:
            session.close()


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _data(context: bytes) -> str:
    return _b64(lp("sealgate/kek/v1", context))
