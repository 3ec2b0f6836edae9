"""Places smaller than a state: street addresses, city and state, facilities. Works on folded text.

Promises: a country or a state alone is no identifier; a street needs its number, a city its state or a cue.
Clauses: 45 CFR 164.514(b)(2)(i)(B).
"""

from __future__ import annotations

import re

from gateway.detect.words import word_list

_CAP = r"(?:St\. )?[A-Z][a-zA-Z'-]{1,30}"
_STREET = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Drive|Dr|Lane|Ln|Court|Ct|Boulevard|Blvd|Way|Place|Pl|Circle|"
    r"Cir|Terrace|Ter|Trail|Trl|Parkway|Pkwy|Highway|Hwy|Square|Sq|Loop|Row|Pike"
    r"|Crescent|Close|Alley|Plaza|Walk|Run|Path|Point|Ridge|Hollow|Creek|Mills|Mill|Glen|Grove|Hill|"
    r"Hills|Heights|Meadow|Meadows|Valley|View|Crossing|Canyon|Forest|Garden|Gardens"
    r"|Springs|Station|Junction|Landing|Manor|Island|Isle|Lake|Lodge|Orchard|Park|Pass|Pine|Pines|"
    r"Port|Ports|Rapid|Shoal|Shore|Spur|Summit|Trace|Track|Tunnel|Turnpike|Union|Village"
    r"|Via|Viaduct|Vista|Cove|Corner|Corners|Bridge|Bypass|Bend|Bluff|Brook|Burg|Camp|Cape|Causeway|"
    r"Center|Centers|Club|Common|Course|Dale|Dam|Divide|Estate|Estates|Expressway"
    r"|Extension|Falls|Ferry|Field|Fields|Flat|Flats|Ford|Forge|Fork|Forks|Fort|Freeway|Gateway|Green|"
    r"Harbor|Haven|Inlet|Key|Keys|Knoll|Knolls|Light|Locks|Mission|Motorway|Mount"
    r"|Mountain|Neck|Oval|Overpass|Passage|Plain|Plains|Prairie|Radial|Ramp|Ranch|Rest|River|Roads|"
    r"Route|Skyway|Spring|Squares|Stravenue|Stream|Streets|Throughway|Unions|Ville|Well|Wells)"
)
_STATE = (
    r"(?:A[LKZR]|C[AOT]|DE|DC|FL|GA|HI|I[DLNA]|K[SY]|LA|M[EDAINSOT]|N[EVHJMYCD]|O[HKR]|PA|PR|RI|S[CD]|"
    r"T[NX]|UT|V[TAI]|W[AVIY]|AP|AE|AA"
    r"|Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|"
    r"Hawaii|Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland"
    r"|Massachusetts|Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada|New Hampshire|"
    r"New Jersey|New Mexico|New York|North Carolina|North Dakota|Ohio|Oklahoma|Oregon"
    r"|Pennsylvania|Rhode Island|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|"
    r"Washington|West Virginia|Wisconsin|Wyoming)"
)
_UNIT = r"(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Floor|Fl|Room|Rm)\.? ?#?\w{1,6}|,? #\w{1,6})"
_ADDRESS = re.compile(
    rf"\b\d{{1,6}}[A-Za-z]? (?:(?:[NSEW]|North|South|East|West)\.? )?(?:(?:{_CAP}|\d+(?:st|nd|rd|th)) "
    rf"){{1,4}}?{_STREET}\b\.?(?: (?:NE|NW|SE|SW|[NSEW])\b)?{_UNIT}{{0,2}}"
    rf"(?:,?\s{{1,3}}(?:{_CAP} ){{0,2}}{_CAP},? {_STATE}\b(?: \d{{5}}(?:-\d{{4}})?)?)?"
)
_APARTMENT = re.compile(rf"\b\d{{1,6}} (?:{_CAP} ){{1,4}}(?:\d+ )?(?:Apt|Suite|Unit)\.? ?#?\d\w{{0,5}}")
_CITY_STATE = re.compile(rf"\b(?:{_CAP} ){{0,2}}{_CAP},? {_STATE}\b(?:,? \d{{5}}(?:-\d{{4}})?\b)?")
_CALLE = re.compile(
    r"\b(?:calle|c/|avenida|avda\.?|plaza|paseo|rue|via|viale|carrer|carretera) (?:(?:de|del|la|las|"
    r"los|des|du|el) )*[A-Z][a-z]+(?: (?:(?:de|del|la|las|los) )*[A-Z][a-z]+){0,3},? ?(?:n\.? ?o?\.? "
    r"?)?\d{1,4}\b",
    re.I,
)
_FACILITY = re.compile(
    rf"\b(?:{_CAP} ){{1,4}}(?:Hospital|Medical Center|Medical Centre|Clinic|Health Center|Health "
    rf"Centre|Family Practice|Family Medicine|Nursing Home|Care Center|Surgery Center"
    r"|Cancer Center|Medical Group|Health System|Healthcare|Infirmary|Hospice|Rehabilitation Center|"
    r"Urgent Care|Pediatrics|Dental|Pharmacy|High School|Elementary School|Juvenile Hall)\b"
)
_LIVES = re.compile(
    rf"\b(?:lives? in|living in|moved (?:here )?(?:from|to)|grew up in|born in|resides? (?:in|at)|"
    rf"resident of|home in|house in|travell?ed (?:from|to)|from|seen (?:in|at)|treated (?:in|at)|"
    rf"admitted (?:in|at|to)|transferred (?:from|to)) ({_CAP}(?: {_CAP}){{0,2}})\b"
)


def find(text: str) -> list[tuple[int, int, float]]:
    """(start, end, confidence) of each place, longest first where they overlap."""
    found: list[tuple[int, int, float]] = []
    places = word_list("places.txt")
    common = word_list("common_words.txt")
    for pattern, confidence in ((_ADDRESS, 0.85), (_APARTMENT, 0.8), (_CALLE, 0.75)):
        found += [(match.start(), match.end(), confidence) for match in pattern.finditer(text)]
    for match in _CITY_STATE.finditer(text):
        first = match[0].split()[0].strip(",.").lower()
        comma = "," in match[0] or re.search(r"\d{5}", match[0]) is not None
        if first in ("the", "in", "at", "and", "state", "university", "or") or (
            not comma and (first in common or len(first) < 4)
        ):
            continue
        found.append((match.start(), match.end(), 0.75 if comma else 0.55))
    for match in _FACILITY.finditer(text):
        words = match[0].lower().split()
        if (
            words[0]
            in (
                "the",
                "a",
                "this",
                "our",
                "your",
                "their",
                "university",
                "national",
                "general",
                "childrens",
                "community",
            )
            and len(words) <= 3
        ):
            continue
        named = [word for word in words[:-1] if word not in common and word not in ("medical", "family")]
        found.append((match.start(), match.end(), 0.75 if named else 0.55))
    for match in _LIVES.finditer(text):
        lower = match[1].lower().split()
        if not any(word in common and word not in places for word in lower) or len(lower) > 1:
            country = len(lower) == 1 and lower[0] in places
            found.append((match.start(1), match.end(1), 0.3 if country else 0.6))
    found.sort(key=lambda one: (one[0], -one[1]))
    kept: list[tuple[int, int, float]] = []
    for one in found:
        if kept and one[0] < kept[-1][1]:
            if one[1] - one[0] > kept[-1][1] - kept[-1][0]:
                kept[-1] = one
            continue
        kept.append(one)
    return kept
