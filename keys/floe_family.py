"""FLOE for any parameters: the inner functions behind `keys.floe`, which is the only one the product calls.

They are parameterised so that the published known answers (other segment sizes, faster key rotation) run through the
same code. Promises: a segment's plaintext leaves only after its tag held at its position and its finality.
Clauses: C2SP FLOE (AES-256-GCM, HKDF-Expand-SHA-384), NIST SP 800-38D; RFC 5869 2.3.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.errors import Tampered

Random = Callable[[int], bytes]
Buffer = bytes | bytearray | memoryview

AEAD_AES_256_GCM = 0
KDF_EXPAND_SHA384 = 0
KEY_BYTES = 32
HEADER_TAG_BYTES = 32
PARAMETER_BYTES = 10
LENGTH_BYTES = 4
GCM_IV_BYTES = 12
GCM_TAG_BYTES = 16
SEGMENT_OVERHEAD = LENGTH_BYTES + GCM_IV_BYTES + GCM_TAG_BYTES
MAX_SEGMENTS = 2**40
NOT_FINAL = b"\xff\xff\xff\xff"

_KDF_KEY_BYTES = 48
_PREFIX_BYTES = LENGTH_BYTES + GCM_IV_BYTES
_POSITION_AND_END = struct.Struct(">QB")
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Parameters:
    """C2SP FLOE, section Parameters. `rotation_bits`: 2**bits segments share one AEAD key; the spec fixes 20."""

    aead_id: int
    kdf_id: int
    segment_bytes: int
    iv_bytes: int
    rotation_bits: int = 20

    def encode(self) -> bytes:
        """PARAM_ENCODE, 10 bytes."""
        return struct.pack(">BBII", self.aead_id, self.kdf_id, self.segment_bytes, self.iv_bytes)

    @property
    def header_bytes(self) -> int:
        return PARAMETER_BYTES + self.iv_bytes + HEADER_TAG_BYTES

    @property
    def plain_bytes(self) -> int:
        """Plaintext of a full segment."""
        return self.segment_bytes - SEGMENT_OVERHEAD


def start_sealing(parameters: Parameters, key: bytes, aad: bytes, random: Random) -> tuple[Stream, bytes]:
    """startEncryption: the stream's state and its header."""
    iv = random(parameters.iv_bytes)
    prefix = parameters.encode() + iv
    return Stream(parameters, key, iv, aad), prefix + header_tag(parameters, key, iv, aad)


def start_opening(parameters: Parameters, key: bytes, aad: bytes, header: bytes) -> Stream:
    """startDecryption. Raises Tampered if parameters, key or AAD are not those of the header."""
    if len(header) != parameters.header_bytes or header[:PARAMETER_BYTES] != parameters.encode():
        raise Tampered("a sealed stream has other parameters")
    iv = bytes(header[PARAMETER_BYTES:-HEADER_TAG_BYTES])
    if not hmac.compare_digest(header_tag(parameters, key, iv, aad), header[-HEADER_TAG_BYTES:]):
        raise Tampered("a sealed stream's header does not hold under this key and context")
    return Stream(parameters, key, iv, aad)


def header_tag(parameters: Parameters, key: bytes, iv: bytes, aad: bytes) -> bytes:
    """The 32 bytes that commit to key, parameters, IV and AAD."""
    return _derive(key, parameters, iv, b"HEADER_TAG:", aad, HEADER_TAG_BYTES)


class Stream:
    """State of one ciphertext: message key, IV, AAD, and the AES context of the key now in use."""

    __slots__ = ("_aad", "_current", "_iv", "_message_key", "parameters")

    def __init__(self, parameters: Parameters, key: bytes, iv: bytes, aad: bytes) -> None:
        self.parameters = parameters
        self._iv = iv
        self._aad = bytes(aad)
        self._message_key = _derive(key, parameters, iv, b"MESSAGE_KEY:", self._aad, _KDF_KEY_BYTES)
        self._current: tuple[int, AESGCM] | None = None  # one value, so that threads never see half a change

    def __repr__(self) -> str:
        return "<Stream>"

    def seal(self, plain: Buffer, position: int, final: bool, random: Random) -> list[bytes]:
        """encryptSegment, as the two pieces of the sealed segment: length and IV, then ciphertext and tag.

        Two pieces because joining them would copy every byte; a caller that writes can write both.
        """
        prefix = self._prefix(len(plain), final, random)
        cipher = self._cipher_at(position)
        return [prefix, cipher.encrypt(prefix[LENGTH_BYTES:], plain, _POSITION_AND_END.pack(position, final))]

    def seal_into(self, out: memoryview, plain: Buffer, position: int, final: bool, random: Random) -> None:
        """encryptSegment into `out`, which has exactly the sealed segment's size."""
        prefix = self._prefix(len(plain), final, random)
        cipher = self._cipher_at(position)
        out[:_PREFIX_BYTES] = prefix
        cipher.encrypt_into(prefix[LENGTH_BYTES:], plain, _POSITION_AND_END.pack(position, final), out[_PREFIX_BYTES:])

    def open(self, sealed: Buffer, position: int, final: bool) -> bytes:
        """decryptSegment. Raises Tampered unless this very segment stood at this position with this finality."""
        size = len(sealed)
        if final:
            held = SEGMENT_OVERHEAD <= size <= self.parameters.segment_bytes and sealed[:4] == _LENGTH.pack(size)
        else:
            held = size == self.parameters.segment_bytes and sealed[:4] == NOT_FINAL
        if not held:
            raise Tampered("a segment's length is not what its place demands")
        cipher = self._cipher_at(position)
        view = memoryview(sealed)
        try:
            return cipher.decrypt(
                view[LENGTH_BYTES:_PREFIX_BYTES], view[_PREFIX_BYTES:], _POSITION_AND_END.pack(position, final)
            )
        except InvalidTag as error:
            raise Tampered("a segment does not open at its place") from error

    def _prefix(self, plain_bytes: int, final: bool, random: Random) -> bytes:
        """Length field and a fresh AES-GCM IV. ValueError for a segment that the format does not have."""
        size = plain_bytes + SEGMENT_OVERHEAD
        if size > self.parameters.segment_bytes or (not final and size != self.parameters.segment_bytes):
            raise ValueError("a segment that is not the last one must be full, and none may be larger")
        return (_LENGTH.pack(size) if final else NOT_FINAL) + random(GCM_IV_BYTES)

    def _cipher_at(self, position: int) -> AESGCM:
        """The AES context for that position: DERIVE_KEY, kept while positions share a key."""
        if not 0 <= position < MAX_SEGMENTS:
            raise ValueError("a position beyond the largest allowed stream")
        epoch = position >> self.parameters.rotation_bits
        current = self._current
        if current is None or current[0] != epoch:
            masked = epoch << self.parameters.rotation_bits
            purpose = b"DEK:" + masked.to_bytes(8, "big")
            key = _derive(self._message_key, self.parameters, self._iv, purpose, self._aad, KEY_BYTES)
            current = self._current = (epoch, AESGCM(key))
        return current[1]


def _derive(key: bytes, parameters: Parameters, iv: bytes, purpose: bytes, aad: bytes, length: int) -> bytes:
    """FLOE_KDF. At most 48 bytes are asked for, so HKDF-Expand is its first block: HMAC(key, info ‖ 0x01)."""
    info = parameters.encode() + iv + purpose + aad
    return hmac.digest(key, info + b"\x01", "sha384")[:length]
