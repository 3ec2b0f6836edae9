"""Checks that tell a real identifier from digits that look like one.

Promises: pure functions over a matched string; a check never raises. What has a checksum is checked against it.
Clauses: SSN: SSA rules since 2011 (no 000, 666, 9xx area; no 00 group; no 0000 serial). NPI: 45 CFR 162.406, Luhn over
80840. DEA number: 21 CFR 1301. MBI: CMS format of 11 characters. NANP: ATIS-0300051. ABA routing: 3-7-1.
"""

from __future__ import annotations

import re
from datetime import date

_DUMMY_SSNS = frozenset({"078051120", "219099999", "123456789", "111111111", "987654321", "457555462"})
_MBI = re.compile(
    r"[1-9][AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y][0-9]-?[AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y][0-9]-?[AC-HJK"
    r"MNP-RT-Y]{2}[0-9]{2}\Z"
)
_MONTHS = {name: number for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)} | {
    "ene": 1,
    "abr": 4,
    "ago": 8,
    "set": 9,
    "dic": 12,
}
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def digits(text: str) -> str:
    """Only the digits of it."""
    return "".join(char for char in text if "0" <= char <= "9")


def luhn(number: str) -> bool:
    """ISO/IEC 7812 check digit over a string of digits."""
    total = 0
    for at, char in enumerate(reversed(number)):
        value = ord(char) - 48
        if at % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return bool(number) and total % 10 == 0


def ssn(text: str, *, labelled: bool = False) -> bool:
    """A number that the SSA can have given out. 9xx (an ITIN) and a generator's 8xx pass: they name a person too."""
    number = digits(text)
    if len(number) != 9 or number in _DUMMY_SSNS or len(set(number)) == 1:
        return False
    if labelled:
        return number[:3] != "000"
    return number[:3] not in ("000", "666") and number[3:5] != "00" and number[5:] != "0000"


def npi(text: str) -> bool:
    """A National Provider Identifier: ten digits, Luhn with the prefix 80840. It names a clinician, not a patient."""
    number = digits(text)
    return len(number) == 10 and number[0] in "12" and luhn("80840" + number)


def dea(text: str) -> bool:
    """A DEA registration number: two letters and seven digits with their check digit."""
    number = digits(text)
    if len(number) != 7:
        return False
    values = [int(char) for char in number]
    return (values[0] + values[2] + values[4] + 2 * (values[1] + values[3] + values[5])) % 10 == values[6]


def mbi(text: str) -> bool:
    """A Medicare Beneficiary Identifier by its positions (no S, L, O, I, B, Z)."""
    return _MBI.match(text.upper()) is not None


def card(text: str) -> bool:
    """A payment card number: 13 to 19 digits, a known first digit, Luhn."""
    number = digits(text)
    return 13 <= len(number) <= 19 and number[0] in "3456" + "2" and len(set(number)) > 1 and luhn(number)


def aba(text: str) -> bool:
    """A bank routing number: nine digits, weights 3-7-1, a Federal Reserve prefix."""
    number = digits(text)
    if len(number) != 9:
        return False
    prefix = int(number[:2])
    if not (0 < prefix <= 12 or 21 <= prefix <= 32 or 61 <= prefix <= 72 or prefix == 80):
        return False
    return sum(int(char) * weight for char, weight in zip(number, (3, 7, 1) * 3, strict=True)) % 10 == 0


def nanp(text: str) -> bool:
    """A North American number: ten digits (or eleven with 1), area and exchange not starting with 0 or 1."""
    number = digits(text.split("x")[0].split("ext")[0])
    if len(number) == 11 and number[0] == "1":
        number = number[1:]
    return len(number) == 10 and number[0] not in "01" and len(set(number)) > 2 and number[1:3] != "11"


def numeric_date(first: int, second: int, third: int | None) -> bool:
    """A day that exists in some common order: month/day, day/month, or year first."""
    if third is None:
        return 1 <= first <= 12 and 1 <= second <= _DAYS[first - 1]
    if first > 31:  # year first
        return 1800 <= first <= 2100 and 1 <= second <= 12 and 1 <= third <= _DAYS[second - 1]
    year = third if third > 99 else 2000 + third
    if not 1800 <= year <= 2100:
        return False
    return any(_exists(year, month, day) for month, day in ((first, second), (second, first)))


def _exists(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def month(name: str) -> int:
    """1 to 12 for an English or Spanish month's name or short form, else 0."""
    return _MONTHS.get(name[:3].lower(), 0)


def day_of_month(name: str, day: int) -> bool:
    """Whether that month can have that day."""
    number = month(name)
    return number > 0 and 1 <= day <= _DAYS[number - 1]
