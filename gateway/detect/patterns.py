"""The identifier patterns: what Hyperscan looks for, how Python confirms it, what a hit is worth.

Promises: an `anchor` is a cheap expression for the start of a candidate, the `confirm` expression is matched once, at
that offset, and names the value in group "v"; a validator has the last word. Everything works on folded ASCII text.
A number without checksum and without label is never strong alone.
Clauses: 45 CFR 164.514(b)(2)(i)(A)-(R).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from gateway.detect import validators

Check = Callable[[re.Match[str]], bool]

MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
MES = r"(?:enero|febrero|marzo|abril|mayo|junio|julio|agosto|sep?tiembre|octubre|noviembre|diciembre)"
DATE = (
    rf"(?:\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}|\d{{1,2}}[-/.]\d{{1,2}}[-/.](?:\d{{4}}|\d{{2}})\b|\d{{1,2}}/\d{{1,2}}\b"
    rf"|{MONTH}\.?[ -]\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?[ -]+\d{{4}}\b)?"
    rf"|\d{{1,2}}(?:st|nd|rd|th)?[ -](?:of )?{MONTH}\b\.?(?:,?[ -]+(?:\d{{4}}|\d{{2}})\b)?"
    rf"|\d{{1,2}} de {MES}(?: de(?:l)? \d{{4}})?|{MONTH}\.?,? \d{{4}}\b|(?:19|20)\d{{6}}\b)"
)
PHONE = r"(?:\+?1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ ./-]?)\d{3}[ .-]?\d{4}(?: ?(?:x|ext\.?|extension) ?\d{1,6})?"
# Between a label and its value: "MRN: ", "MRN # is", "Med Rec No - ", "DOB=", "Claim/Member #: ", or a table bar.
GAP = (
    r"(?:[ \t]{0,8}(?:number|num|no\.?|nr\.?|id|code)\b)?[ \t]{0,8}(?:#|\(s\))?[ \t]{0,8}(?:is|was|"
    r"of)?[ \t]{0,8}[:=#|>-]{0,2}[ \t]{0,8}(?:#[ \t]{0,4})?"
)
CODE = r"(?=[\w-]{0,24}\d[\w-]{0,24}\d[\w-]{0,24}\d)[A-Za-z0-9](?:[\w]|[-/](?=\w)){3,24}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of identifier. `labelled` means that words beside it say what it is."""

    name: str
    kind: str
    anchor: str
    confirm: re.Pattern[str]
    confidence: float
    check: Check | None = None
    labelled: bool = False


def _numeric_date(match: re.Match[str]) -> bool:
    parts = [int(one) for one in re.split(r"[-/.]", match["v"])]
    return validators.numeric_date(parts[0], parts[1], parts[2] if len(parts) > 2 else None)


def _day_of_year(match: re.Match[str]) -> bool:
    return match["v"] not in ("1/2", "1/3", "2/3", "1/4", "3/4", "4/5", "5/5") and _numeric_date(match)


def _named_date(match: re.Match[str]) -> bool:
    name = re.search(r"[A-Za-z]{3,}", match["v"])
    day = re.search(r"\b\d{1,2}(?!\d)", match["v"])
    return name is not None and (day is None or validators.day_of_month(name[0], int(day[0])))


def _any_date(match: re.Match[str]) -> bool:
    value = match["v"]
    if re.fullmatch(r"\d{8}", value):
        return validators.numeric_date(int(value[:4]), int(value[4:6]), int(value[6:]))
    if re.fullmatch(r"[\d./-]+", value):
        return _numeric_date(match)
    return " de " in value or _named_date(match)


def _ip(match: re.Match[str]) -> bool:
    octets = [int(one) for one in match["v"].split(".")]
    return all(one < 256 for one in octets) and octets[0] not in (0, 127) and octets != [255] * 4 and octets[0] > 3


def _p(
    name: str,
    kind: str,
    anchor: str,
    confirm: str,
    confidence: float,
    check: Check | None = None,
    *,
    cased: bool = False,
) -> Pattern:
    flags = re.ASCII if cased else re.ASCII | re.IGNORECASE
    return Pattern(name, kind, anchor, re.compile(confirm, flags), confidence, check)


def _l(name: str, kind: str, label: str, value: str, confidence: float, check: Check | None = None) -> Pattern:
    """A label with a value behind it: the anchor is the label alone."""
    confirm = re.compile(rf"(?:{label}){GAP}(?P<v>{value})", re.ASCII | re.IGNORECASE)
    return Pattern(name, kind, rf"\b(?:{label})", confirm, confidence, check, labelled=True)


_MRN = (
    r"mrn|mr ?#|mr no|med(?:ical)?\.? ?rec(?:ord)?s?|chart|patient (?:id|#|num|no|record)|pt\.? "
    r"?(?:id|#|no)|hospital (?:no|num|#)"
    r"|unit (?:no|num|#)|accession|specimen (?:id|no|num|#)|encounter (?:id|#|no|num)|visit (?:id|#|"
    r"num)|case (?:#|no\b|num|id)"
    r"|record (?:#|no\b|num|id|loc)|case ?id|fin(?: ?#| no)|nhs (?:no|num|#)|nhc|historia(?: "
    r"clinica)?|study id|csn|epic id|emr ?#"
    r"|order (?:#|no\b|num|id)|referral (?:#|no\b|num|id)|rx ?(?:#|no\b|num)|prescription (?:#|no\b|num)|patient"
)
_LICENCE = (
    r"licen[cs]e|driver'?s licen[cs]e|dl ?#|passport|dea(?: ?#| no| num)?|npi|certificate (?:#|no|"
    r"num)|badge (?:#|no|num|id)"
    r"|employee (?:id|#|no|num)|student (?:id|#|no|num)|dni|nie|license plate|plate|tax id|ein|tin"
)
_ACCOUNT = (
    r"acc(?:oun)?t|member(?:ship)?|claim(?:/member)?|policy|group (?:#|no|num|id)|subscriber|"
    r"beneficiary|insurance|insured"
    r"|medicare|medicaid|mbi|hicn?|plan|health plan|guarantor (?:id|#|no)|iban|routing|card|cc|credit "
    r"card|debit card|nass"
    r"|(?:aetna|cigna|uhc|bcbs|humana|anthem|kaiser|united ?healthcare|blue cross(?: blue shield)?|"
    r"tricare)(?: id| #)?|invoice|billing"
    r"|payer id|authorization (?:#|no\b|num)|auth(?: ?#| no\b| num)|pre-?auth(?:orization)?(?: ?#| no\b| num)"
)
_DEVICE = (
    r"serial|s/n|sn|udi|imei|vin|device (?:id|#|identifier)|lot (?:#|no|num)|ref ?#|implant (?:id|#|"
    r"no)|pacemaker (?:id|#|no)"
    r"|asset (?:id|#|tag)|model (?:#|no|num)|mac(?: address)?"
)
_PHONE = (
    r"phone|ph|tel(?:ephone|\.)?|telefono|cell(?:phone)?|mobile|mob|fax|call(?: (?:me|him|her|them|us|"
    r"back|her back|him back))?|pager|contact|reach|contacted|at"
)
_DOB = (
    r"dob|d\.o\.b\.?|d/o/b|(?:date of )?birth(?:[ -]?da(?:te|y))?|birth date|born(?: on| in)?|"
    r"b\.?d\.?|fecha de nacimiento|f\.? ?nac\w*|nacid[oa] el|geboren"
)

IDENTIFIERS: tuple[Pattern, ...] = (
    _p(
        "ssn",
        "SSN",
        r"\b\d{3}-\d{2}-\d{4}\b",
        r"(?P<v>\d{3}-\d{2}-\d{4})(?![-\d])",
        0.9,
        lambda m: validators.ssn(m["v"]),
    ),
    _l(
        "ssn-labelled",
        "SSN",
        r"ssn|ss ?#|ss no|s\.s\.n\.?|soc(?:ial)?\.? ?sec(?:urity)?\.?",
        r"(?:\d{3}|[x*]{3})[- .]?(?:\d{2}|[x*]{2})[- .]?\d{4}\b",
        0.98,
        lambda m: "x" in m["v"].lower() or "*" in m["v"] or validators.ssn(m["v"], labelled=True),
    ),
    _p(
        "phone",
        "PHONE",
        r"(?:\(\d{3}\) ?|\b\d{3}[ ./-])\d{3}[ .-]\d{4}\b",
        rf"(?P<v>{PHONE})(?![\d-])",
        0.8,
        lambda m: validators.nanp(m["v"]),
    ),
    _p(
        "phone-plus",
        "PHONE",
        r"\+\d{1,3}[ .(-]{0,2}\d",
        r"(?P<v>\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}(?: ?(?:x|ext\.?) ?\d{1,5})?)(?!\d)",
        0.85,
        lambda m: 9 <= len(validators.digits(m["v"])) <= 16,
    ),
    _p(
        "phone-plain",
        "PHONE",
        r"(?:^|\|)[ \t]*\d{10}\b",
        r"\|?[ \t]*(?P<v>\d{10})[ \t]*(?=\||\n|\Z)",
        0.55,
        lambda m: validators.nanp(m["v"]),
    ),
    _l(
        "phone-labelled",
        "PHONE",
        _PHONE,
        rf"{PHONE}(?!\d)|\d{{3}}[ -]\d{{3}}[ -]\d{{3}}\b|\d{{3}}[ -]\d{{4}}\b",
        0.9,
        lambda m: len(validators.digits(m["v"])) < 10 or len(set(validators.digits(m["v"]))) > 2,
    ),
    _p("url", "URL", r"\bhttps?://\w", r"(?P<v>https?://[^\s<>\"'\]\[(){}|]{1,2000}[\w/=#&-])", 0.95),
    _p("url-www", "URL", r"\bwww\.\w", r"(?P<v>www\.[^\s<>\"'\]\[(){}|]{1,2000}[\w/=#&-])", 0.9),
    _p("ip", "IP", r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", r"(?P<v>\d{1,3}(?:\.\d{1,3}){3})(?![.\d])", 0.85, _ip),
    _p(
        "date",
        "DATE",
        r"\b\d{1,2}[-/]\d{1,2}[-/](?:\d{4}|\d{2})\b",
        r"(?P<v>(\d{1,2})([-/])\d{1,2}\3(?:\d{4}|\d{2}))(?![\d/-])",
        0.85,
        _numeric_date,
    ),
    _p(
        "date-dots",
        "DATE",
        r"\b\d{1,2}\.\d{1,2}\.(?:19|20)\d{2}\b",
        r"(?P<v>\d{1,2}\.\d{1,2}\.\d{4})\b",
        0.8,
        _numeric_date,
    ),
    _p(
        "date-iso",
        "DATE",
        r"\b(?:18|19|20)\d{2}[-/.]\d{1,2}[-/.]\d{1,2}\b",
        r"(?P<v>\d{4}[-/.]\d{1,2}[-/.]\d{1,2})(?!\d)(?:[T ]\d{2}:\d{2}(?::\d{2})?)?",
        0.85,
        _numeric_date,
    ),
    _p(
        "date-words",
        "DATE",
        rf"\b{MONTH}\.?[ -]\d{{1,2}}\b",
        rf"(?P<v>{MONTH}\.?[ -]\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?[ -]+\d{{4}}\b)?)",
        0.75,
        _named_date,
    ),
    _p(
        "date-ordinal",
        "DATE",
        rf"\b{MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)\b",
        rf"(?P<v>{MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)\b(?:,? \d{{4}}\b)?)",
        0.75,
        _named_date,
    ),
    _p(
        "date-day-first",
        "DATE",
        rf"\b\d{{1,2}}(?:st|nd|rd|th)?[- ](?:of )?{MONTH}\b",
        rf"(?P<v>\d{{1,2}}(?:st|nd|rd|th)?[- ](?:of )?{MONTH}\b\.?(?:,?[ -]+(?:\d{{4}}|\d{{2}})\b)?)",
        0.75,
        _named_date,
    ),
    _p("date-mes", "DATE", rf"\b\d{{1,2}} de {MES}\b", rf"(?P<v>\d{{1,2}} de {MES}(?: (?:de|del) \d{{4}})?)", 0.8),
    _p(
        "date-month-year",
        "DATE",
        rf"\b{MONTH}\.?,? (?:of )?(?:19|20)\d{{2}}\b",
        rf"(?P<v>{MONTH}\.?,? (?:of )?(?:19|20)\d{{2}})\b",
        0.55,
    ),
    _l("dob", "DATE", _DOB, DATE, 0.97, _any_date),
    _p(
        "date-part",
        "DATE",
        r"[a-z:,]\s\(?\d{1,2}/\d{1,2}\b",
        r"[a-z:,]\s\(?(?P<v>\d{1,2}/\d{1,2})"
        r"(?![\d/%-]|\.\d| ?(?:mm|cm|mg|ml|pain|scale|in\b|on a|of|tab|pill|cup|tsp|pack))",
        0.5,
        _day_of_year,
    ),
    _l("mrn", "ID", _MRN, CODE, 0.93),
    _l("licence", "ID", _LICENCE, CODE, 0.85),
    _l(
        "account",
        "ACCOUNT",
        _ACCOUNT,
        r"\d{4}(?:[ -]\d{4}){2,3}\b|(?:[a-z]{2,12} )?(?:id|#)?[:# ]{0,2}" + CODE,
        0.88,
    ),
    _l("device", "DEVICE", _DEVICE, CODE, 0.85),
    _p(
        "card",
        "ACCOUNT",
        r"\b[2-6]\d{3}[ -]?\d{4}[ -]?\d{4}[ -]?\d{1,7}\b",
        r"(?P<v>\d(?:[ -]?\d){12,18})(?!\d)",
        0.9,
        lambda m: validators.card(m["v"]),
    ),
    _p(
        "mbi",
        "ACCOUNT",
        r"\b[1-9][A-Z][A-Z0-9]\d-?[A-Z][A-Z0-9]\d-?[A-Z]{2}\d{2}\b",
        r"(?P<v>\w{4}-?\w{3}-?\w{4})\b",
        0.9,
        lambda m: validators.mbi(m["v"]),
    ),
    _p("member-letters", "ACCOUNT", r"\b[A-Z]{3}\d{9}\b", r"(?P<v>[A-Z]{3}\d{9})\b", 0.55, cased=True),
    _p(
        "vin",
        "DEVICE",
        r"\b[A-HJ-NPR-Z0-9]{17}\b",
        r"(?P<v>(?=\w*\d\w*\d\w*\d)(?=\w*[A-Z]\w*[A-Z])[A-HJ-NPR-Z0-9]{17})\b",
        0.6,
        cased=True,
    ),
    _p("mac", "DEVICE", r"\b[0-9A-F]{2}(?::[0-9A-F]{2}){5}\b", r"(?P<v>[0-9A-F]{2}(?::[0-9A-F]{2}){5})\b", 0.8),
    _p(
        "age90",
        "AGE90",
        r"\b(?:9\d|1[01]\d)[ -]?(?:years?|yrs?|y\.?/?o\b)",
        r"(?P<v>9\d|1[01]\d)[ -]?(?:years?[ -]?old|years? of age|yrs?\.?[ -]?old|y\.?/?o\b|-year)",
        0.9,
    ),
    _p(
        "age90-age",
        "AGE90",
        r"\bage[ds]?(?: of| at)?:? (?:9\d|1[01]\d)\b",
        r"age[ds]?(?: of| at)?:? (?P<v>9\d|1[01]\d)\b(?! (?:to|-|and) )(?![-%/])",
        0.8,
    ),
    _p("age90-anos", "AGE90", r"\b(?:9\d|1[01]\d) an[no]s\b", r"(?P<v>9\d|1[01]\d) an[no]s", 0.8),
    _l("zip", "LOCATION", r"zip(?: code)?|postal code|postcode|codigo postal|cp", r"\d{3,5}(?:-\d{4})?\b", 0.8),
    _p("po-box", "LOCATION", r"\bp\.? ?o\.? box \d", r"(?P<v>p\.? ?o\.? box \d+)", 0.8),
)

EMAIL_TAIL = r"[\w.+%-]@[\w-]+\.[a-z]"
EMAIL = re.compile(r"[\w.+%'-]{1,64}@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,24}\b", re.ASCII)
