"""The root key in an HSM or smart card, by PKCS #11: it never leaves the token.

The key is AES-256 under a label of its own, made here where the token has none (sensitive, not extractable). A wrap is
``0x01 ‖ iv(12) ‖ AES-256-GCM(…)``, AAD as for a local key. Promises: a session that ended is opened again once; a token
that went away is found when it is back; the PIN is read from its file at each sign-in and stands in no message; the
check value comes from the key itself.
Clauses: PKCS #11 v2.40 5.8, 5.9 (C_Encrypt, C_Decrypt), 2.12.3 (AES-GCM). DESIGN §4a (Root KEK); FORMAT §11.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from keys.encoding import lp
from keys.errors import Tampered, Unavailable, Unusable
from keys.providers import register
from keys.providers._private import secret_line

T = TypeVar("T")
VERSION = 1
_IV_BYTES, _TAG_BYTES = 12, 16
_CHECKED = hashlib.sha256(b"sealgate/kek-check/v1").digest()[:16]
"""What is enciphered for the check value. Never a block of zeros: that one is GCM's own secret, H."""
_EXTRA = 'its library is missing; install Sealgate with it: pip install "sealgate[pkcs11]"'


@dataclass(slots=True)
class _Library:
    """What all providers over one module share. Begun anew, a module gives out the same numbers for other sessions and
    keys, so whoever signed in under an earlier `generation` signs in again before anything else.
    """

    lock: threading.RLock = field(default_factory=threading.RLock)
    generation: int = 0


_LIBRARIES: dict[str, _Library] = {}


@register("pkcs11")
class Pkcs11Provider:
    """The port over one key of one token. Calls take turns: a session of PKCS #11 does one thing at a time."""

    __slots__ = ("_generation", "_key", "_library", "_lost", "_refused", "_session", "_values", "check_value", "name")
    local: ClassVar[bool] = False
    NEEDS: ClassVar[tuple[str, ...]] = ("pkcs11_module", "pkcs11_token", "pkcs11_key", "pkcs11_pin_file")
    MAY: ClassVar[tuple[str, ...]] = ()

    def __init__(self, values: Mapping[str, str], *, create: bool) -> None:
        self._values = dict(values)
        self._library = _LIBRARIES.setdefault(values["pkcs11_module"], _Library())
        self._generation = 0
        self._lost = False
        self._session: Any = None
        self._key: Any = None
        self._refused: bytes | None = None
        self.name = f"pkcs11 {values['pkcs11_token']}/{values['pkcs11_key']}"
        with self._library.lock:
            self._sign_in(create)
        self.check_value = hashlib.sha256(lp("sealgate/kek-check/v1", self._do(_checked))).hexdigest()[:16]

    @classmethod
    def opened(cls, values: Mapping[str, str], *, create: bool, secret: bytes | None) -> Pkcs11Provider:
        """The key of that label; with `create` made in the token where it has none. Raises Unusable, Unavailable."""
        return cls(values, create=create)

    def wrap(self, key: bytes, context: bytes) -> bytes:
        iv = os.urandom(_IV_BYTES)
        return bytes((VERSION,)) + iv + self._do(lambda held: held.encrypt(key, **_gcm(iv, context)))

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        if len(wrapped) < 1 + _IV_BYTES + _TAG_BYTES or wrapped[0] != VERSION:
            raise Tampered("a wrapped key has an unknown form")
        iv, body = wrapped[1 : 1 + _IV_BYTES], wrapped[1 + _IV_BYTES :]
        return self._do(lambda held: held.decrypt(body, **_gcm(iv, context)))

    def _do(self, work: Callable[[Any], Any]) -> bytes:
        """`work` with the key, signed in again once where the session or the sign-in is gone."""
        from pkcs11 import exceptions as ckr

        gone = (
            ckr.UserNotLoggedIn, ckr.SessionHandleInvalid, ckr.SessionClosed, ckr.ObjectHandleInvalid,
            ckr.KeyHandleInvalid, ckr.DeviceRemoved, ckr.DeviceError, ckr.TokenNotPresent,
        )  # fmt: skip
        with self._library.lock:
            try:
                if self._key is None or self._generation != self._library.generation:
                    self._sign_in(False)
                return bytes(work(self._key))
            except gone:
                self._sign_in(False)
            except (ckr.PKCS11Error, RuntimeError) as error:
                raise self._said(error) from error
            try:
                return bytes(work(self._key))
            except (ckr.PKCS11Error, RuntimeError) as error:
                raise self._said(error) from error

    def _sign_in(self, create: bool) -> None:
        """A session with the key. Raises Unusable, Unavailable."""
        try:
            import pkcs11
            from pkcs11 import exceptions as ckr
        except ImportError as error:
            raise Unusable(f"provider pkcs11: {_EXTRA}") from error
        values, before = self._values, self._session
        self._key = self._session = None
        if before is not None and self._generation == self._library.generation:  # else its number is another's now
            with contextlib.suppress(Exception):
                before.close()
        module = values["pkcs11_module"]
        pin = secret_line(
            values["pkcs11_pin_file"], "the token's PIN", "write the PIN into it, one line, and: chmod 0400"
        )
        digest = hashlib.sha256(pin.encode("utf-8")).digest()
        if self._refused is not None and hmac.compare_digest(self._refused, digest):
            raise self._said(ckr.PinIncorrect())  # asking again with the same PIN would lock the token
        try:
            library = pkcs11.lib(module)
        except (ckr.PKCS11Error, RuntimeError, OSError) as error:
            if self._lost:  # it was loaded before, and its token is still away
                raise self._said(error) from error
            raise Unusable(f"{module}: this PKCS #11 module cannot be loaded; [keys] pkcs11_module names it") from error
        try:
            if self._lost:  # a module may not see by itself that its token is back (PKCS #11 v3.0 5.4: C_Initialize)
                library.reinitialize()
                self._library.generation += 1
                self._lost = False
            self._generation = self._library.generation
            token = library.get_token(token_label=values["pkcs11_token"])
            self._session = self._opened_session(token, pin, rw=create)
            wanted = {
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.AES,
                pkcs11.Attribute.LABEL: values["pkcs11_key"],
            }
            found = list(self._session.get_objects(wanted))
            if not found and create:
                found = [self._session.generate_key(
                    pkcs11.KeyType.AES, 256, label=values["pkcs11_key"], store=True, mechanism_param=None,
                    template={pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False,
                              pkcs11.Attribute.PRIVATE: True, pkcs11.Attribute.ENCRYPT: True,
                              pkcs11.Attribute.DECRYPT: True},
                )]  # fmt: skip
            if len(found) != 1:
                many = "several AES keys" if found else "no AES key"
                raise Unusable(
                    f"{self.name}: the token holds {many} under this label; [keys] pkcs11_key must name the one that "
                    "this installation was made with"
                )
            self._key = found[0]
        except ckr.NoSuchToken as error:
            self._lost = True
            raise Unavailable(
                f"{self.name}: no slot holds this token; plug it in, or start the HSM's client"
            ) from error
        except (ckr.PKCS11Error, RuntimeError) as error:
            if isinstance(error, ckr.PinIncorrect):
                self._refused = digest
            raise self._said(error) from error

    def _opened_session(self, token: Any, pin: str, *, rw: bool) -> Any:
        """Signed in. The sign-in belongs to the whole process: where another session has it already, it holds."""
        from pkcs11 import exceptions as ckr

        try:
            return token.open(user_pin=pin, rw=rw)
        except ckr.UserAlreadyLoggedIn:
            return token.open(rw=rw)

    def _said(self, error: Exception) -> Unusable | Unavailable | Tampered:
        """What an error of the token means for whoever runs this; its own words may hold anything and are left out."""
        from pkcs11 import exceptions as ckr

        word = type(error).__name__
        if isinstance(error, (ckr.PinIncorrect, ckr.PinInvalid, ckr.PinLenRange)):
            return Unusable(
                f"{self.name}: the token refuses the PIN ({word}); write the right one into "
                f"{self._values['pkcs11_pin_file']} before the token locks itself"
            )
        if isinstance(error, (ckr.PinLocked, ckr.PinExpired, ckr.UserPinNotInitialized)):
            return Unusable(f"{self.name}: the token's PIN is locked or must be set anew ({word}); ask its officer")
        if isinstance(error, (ckr.EncryptedDataInvalid, ckr.EncryptedDataLenRange)):
            return Tampered("a wrapped key does not open")
        if isinstance(error, (ckr.MechanismInvalid, ckr.FunctionNotSupported)):
            return Unusable(f"{self.name}: the token cannot do AES-GCM with this key ({word})")
        # SoftHSM answers a tag that does not hold with a general error; the session is sound, so the data is not.
        if isinstance(error, ckr.GeneralError) and self._alive():
            return Tampered("a wrapped key does not open")
        self._key, self._lost = None, True
        return Unavailable(f"{self.name}: the token does not answer as it should ({word})")

    def _alive(self) -> bool:
        try:
            return bool(_checked(self._key))
        except Exception:
            return False


def _checked(held: Any) -> bytes:
    import pkcs11

    return bytes(held.encrypt(_CHECKED, mechanism=pkcs11.Mechanism.AES_ECB))


def _gcm(iv: bytes, context: bytes) -> dict[str, Any]:
    import pkcs11

    return {
        "mechanism": pkcs11.Mechanism.AES_GCM,
        "mechanism_param": pkcs11.GCMParams(nonce=iv, aad=lp("sealgate/kek/v1", context), tag_bits=_TAG_BYTES * 8),
    }
