"""The recovery kit: the private half of a recovery key as sheets of words, so many of which are enough.

Each sheet is a SLIP-39 mnemonic of 33 words; one sheet alone is the whole kit, or any k of n are. Promises: fewer
sheets than needed tell nothing about the key; a mistyped word is found; a sheet's check value follows from its words
and says nothing else about them; nothing here is written anywhere by us. SLIP-39; DESIGN §4 (`recovery`).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import shamir_mnemonic
from shamir_mnemonic.share import Share

from keys.boxes import BoxKey
from keys.encoding import lp
from keys.errors import KeysError
from keys.kdf import hkdf
from keys.recovery import CHECK_BYTES, check_mark, key_id

MAGIC = "sealgate-recovery-kit-v1"
PUBLIC_MAGIC = "sealgate-recovery-public-v1"
MOST_SHEETS = 16
LONGEST_BYTES = 8192
_FIELDS = ("clinic", "key", "made", "sheet", "needed", "words", "check")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE = {digit: value for value, digit in enumerate(_CROCKFORD)} | {"I": 1, "L": 1, "O": 0}
_CHECK_DIGITS = CHECK_BYTES * 8 // 5
_SHARES = re.compile(r"([1-9][0-9]?)-of-([1-9][0-9]?)", re.ASCII)


class BadKit(KeysError):
    """What was handed in is no kit that opens anything; the text says what to look at, and holds no word of it."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet of a kit. `clinic` and `made` (a day) are for the eye."""

    clinic: str
    key: str
    made: str
    number: int
    sheets: int
    needed: int
    words: str = field(repr=False)

    @property
    def check(self) -> bytes:
        """The check value of this sheet."""
        return check_of(self.words)

    def text(self) -> str:
        """The file."""
        values = (
            self.clinic, self.key, self.made, f"{self.number} of {self.sheets}", str(self.needed), self.words,
            check_words(self.check),
        )  # fmt: skip
        return "\n".join([MAGIC, *(f"{name}: {value}" for name, value in zip(_FIELDS, values, strict=True)), ""])


@dataclass(frozen=True, slots=True)
class Made:
    """A new recovery key: its public half, and the sheets, which are the only place where the private half is."""

    public: bytes
    sheets: tuple[Sheet, ...]

    @property
    def key(self) -> str:
        """Its name."""
        return key_id(self.public)


def parse_shares(text: str) -> tuple[int, int]:
    """``2-of-3`` as (2, 3). ValueError for what cannot be: one of several would make each of them the whole key."""
    found = _SHARES.fullmatch(text.strip().lower())
    needed, sheets = (int(found[1]), int(found[2])) if found else (0, 0)
    if not found or not (needed == sheets == 1 or 2 <= needed <= sheets <= MOST_SHEETS):
        raise ValueError(f"reads 1-of-1, or k-of-n with k at least 2 and n at most {MOST_SHEETS}, such as 2-of-3")
    return needed, sheets


def make(clinic: str, made: str, needed: int = 1, sheets: int = 1) -> Made:
    """A fresh recovery key and its kit. ValueError for numbers that cannot be."""
    parse_shares(f"{needed}-of-{sheets}")
    private = BoxKey.generate()
    (group,) = shamir_mnemonic.generate_mnemonics(1, [(needed, sheets)], private.private_bytes())
    name = key_id(private.public)
    return Made(
        private.public,
        tuple(Sheet(clinic, name, made, number, sheets, needed, words) for number, words in enumerate(group, 1)),
    )


def parse(text: str) -> Sheet:
    """One sheet's file. Raises BadKit naming the line."""
    lines = text.replace("\r\n", "\n").strip().split("\n")
    if len(text) > LONGEST_BYTES or lines[0].strip() != MAGIC:
        raise BadKit(f"is no recovery kit: its first line reads '{MAGIC}'")
    found: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        found[name.strip()] = " ".join(value.split())
    if len(lines) != len(_FIELDS) + 1 or set(found) != set(_FIELDS):
        raise BadKit("is no whole recovery kit: it has the lines " + ", ".join(_FIELDS))
    number = re.fullmatch(r"([0-9]{1,2}) of ([0-9]{1,2})", found["sheet"])
    if number is None or not re.fullmatch(r"[0-9]{1,2}", found["needed"]):
        raise BadKit("line 'sheet' reads '1 of 3', and line 'needed' is a number")
    sheet = Sheet(
        found["clinic"], found["key"], found["made"], int(number[1]), int(number[2]), int(found["needed"]),
        found["words"].lower(),
    )  # fmt: skip
    said = parse_check(found["check"])
    if said is None or not hmac.compare_digest(said, sheet.check):
        raise BadKit("the words do not belong to the check value: a word was changed")
    return sheet


def joined(words: Sequence[str]) -> BoxKey:
    """The private half, from the words of enough sheets. Raises BadKit."""
    plain = [" ".join(one.lower().split()) for one in words]
    try:
        different = {Share.from_mnemonic(one).index: one for one in plain}
        needed = Share.from_mnemonic(plain[0]).member_threshold if plain else 0
        secret = shamir_mnemonic.combine_mnemonics(list(different.values())[:needed])
        return BoxKey.from_private(secret)
    except (shamir_mnemonic.MnemonicError, ValueError) as error:
        raise BadKit(_why(words)) from error


def check_of(words: str) -> bytes:
    """The check value of a sheet with these words."""
    return hkdf(" ".join(words.lower().split()).encode("utf-8"), lp("sealgate/recovery-sheet/v1"), CHECK_BYTES)


def check_words(check: bytes) -> str:
    """A check value for the eye: four groups of four Crockford base32 characters."""
    number = int.from_bytes(check, "big")
    digits = "".join(_CROCKFORD[number >> (5 * place) & 31] for place in range(_CHECK_DIGITS - 1, -1, -1))
    return "-".join(digits[at : at + 4] for at in range(0, _CHECK_DIGITS, 4))


def parse_check(text: str) -> bytes | None:
    """A typed check value; case, blanks and hyphens do not matter, I and L read as 1, O as 0. None for none."""
    digits = [digit for digit in text[:64].upper() if not digit.isspace() and digit != "-"]
    if len(digits) != _CHECK_DIGITS or any(digit not in _VALUE for digit in digits):
        return None
    number = 0
    for digit in digits:
        number = number << 5 | _VALUE[digit]
    return number.to_bytes(CHECK_BYTES, "big")


def _why(words: Sequence[str]) -> str:
    """What is wrong with these sheets, without a word of them."""
    shares = []
    for place, one in enumerate(words, 1):
        try:
            shares.append(Share.from_mnemonic(" ".join(one.lower().split())))
        except (shamir_mnemonic.MnemonicError, ValueError):
            return f"sheet {place} of those given has a wrong or missing word"
    if len({(share.identifier, share.iteration_exponent) for share in shares}) > 1:
        return "the sheets belong to different kits"
    needed, there = (shares[0].member_threshold if shares else 1), len({share.index for share in shares})
    if there != needed:
        return f"{needed} different sheets are needed, and {there} were given"
    return "the sheets do not fit together"


@dataclass(frozen=True, slots=True)
class Public:
    """What goes to the installation of a new recovery key: nothing in it opens anything. `marks` are of its sheets."""

    public: bytes
    needed: int
    marks: tuple[bytes, ...]

    def text(self) -> str:
        """The file."""
        lines = [PUBLIC_MAGIC, f"key: {key_id(self.public)}", f"public: {self.public.hex()}", f"needed: {self.needed}"]
        return "\n".join([*lines, *(f"sheet: {mark.hex()}" for mark in self.marks), ""])


def public_of(made: Made) -> Public:
    """The public half of a new recovery key, with a mark of each sheet's check value."""
    marks = tuple(check_mark(made.key, sheet.check) for sheet in made.sheets)
    return Public(made.public, made.sheets[0].needed, marks)


def parse_public(text: str) -> Public:
    """The file that `public_of` fills. Raises BadKit."""
    lines = [line.strip() for line in text[:LONGEST_BYTES].strip().split("\n")]
    pairs = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
    values = dict(pairs)
    try:
        found = Public(
            bytes.fromhex(values["public"]), int(values["needed"]),
            tuple(bytes.fromhex(value) for name, value in pairs if name == "sheet"),
        )  # fmt: skip
        if lines[0] == PUBLIC_MAGIC and found.text().strip().split("\n") == lines:
            return found
    except (KeyError, ValueError):
        pass
    raise BadKit(f"is not the public half of a recovery key: its first line reads '{PUBLIC_MAGIC}'")
