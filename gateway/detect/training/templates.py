"""Our own messages with generated surrogates: many layouts, people of many lands, and look-alikes without a person.

Promises: made from a seed, the same on every machine; no layout or surrogate is taken from phi-dev or any reserved set.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from gateway.detect.words import word_list

_SYLLABLES = (
    "ka ri to mel an dor shi vel ou na bra zo tri fen lu mas ek ho per ul gri sta nov ic ja mun oy "
    "ele ad chi sob wen tak ru ibe yan qua ngo dle pra sad hal ber"
).split()
_CONDITIONS = (
    "type 2 diabetes;rheumatoid arthritis;stage 3 CKD;atrial fibrillation;a torn meniscus;lupus;"
    "postpartum depression;hepatitis C;bipolar disorder;asthma;ulcerative colitis;an ovarian cyst"
    ";HIV;a herniated disc;gestational diabetes;COPD;epilepsy;breast cancer;chronic migraine;alcohol "
    "use disorder;hypothyroidism;iron deficiency anemia;sleep apnea;a hip fracture;shingles"
    ";Crohn's disease;Parkinson's disease;Hodgkin lymphoma;Graves disease;multiple sclerosis;gout;"
    "glaucoma;a UTI;pneumonia;sepsis;a DVT;heart failure;panic attacks;ADHD;low back pain"
).split(";")
_DRUGS = (
    "metformin;lisinopril;Eliquis;prednisone;Humira;sertraline;warfarin;insulin glargine;Ozempic;"
    "levothyroxine;gabapentin;amoxicillin;methotrexate;atorvastatin;albuterol;oxycodone;lithium"
    ";Keppra;Plavix;tamoxifen;Lasix;omeprazole;Xarelto;buprenorphine;Synthroid;Lipitor;hydroxychloroquine"
).split(";")
_TESTS = (
    "MRI of the lumbar spine;mammogram;colonoscopy;HbA1c;echocardiogram;biopsy;chest x-ray;CT of the "
    "abdomen;thyroid ultrasound;lipid panel;sleep study;stress test;Pap smear;CBC;PSA;urine culture"
).split(";")
_CITIES = (
    "Elmsford;Haverton;Brookdale;Cedar Falls;Rivermouth;Northgate;San Telmo;Westbury;Oak Hollow;"
    "Millbrook;Ashby;Port Lorne;Kingsley;Fairmont"
).split(";")
_STATES = "NY;OH;TX;CA;Vermont;Oregon;PA;GA;Michigan;WA".split(";")
_STREETS = "Elm St;Harbor Road;W 14th Street;Maple Avenue;Sunset Blvd;Old Mill Lane;Kingsway Drive;N. Ridge Ct".split(
    ";"
)
_MONTHS = "January February March April May June July August September October November December".split()


@dataclass(frozen=True, slots=True)
class Sample:
    """One message for training: the mail's subject and body, and whether it is PHI."""

    subject: str
    body: str
    phi: bool
    kind: str


class Maker:
    """Draws surrogates and fills layouts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - reproducible data, not secrets
        self._first = sorted(word_list("first_names.txt"))
        self._last = sorted(word_list("surnames.txt"))

    def pick(self, items: list[str]) -> str:
        return self.random.choice(items)

    def word(self) -> str:
        return "".join(self.pick(_SYLLABLES) for _ in range(self.random.choice((2, 2, 3)))).capitalize()

    def first(self) -> str:
        return self.pick(self._first).capitalize() if self.random.random() < 0.65 else self.word()

    def last(self) -> str:
        name = self.pick(self._last).capitalize() if self.random.random() < 0.6 else self.word()
        return f"{name}-{self.word()}" if self.random.random() < 0.06 else name

    def name(self) -> str:
        first, last, draw = self.first(), self.last(), self.random.random()
        if draw < 0.5:
            return f"{first} {last}"
        if draw < 0.6:
            return f"{first} {self.pick(list('ABCDEJKLMRST'))}. {last}"
        if draw < 0.72:
            return f"{last}, {first}"
        if draw < 0.8:
            return f"{last.upper()}, {first.upper()}"
        return f"{self.pick(['Mr.', 'Mrs.', 'Ms.', 'Mr', 'Ms'])} {last}"

    def doctor(self) -> str:
        last = self.last()
        return self.pick(
            [
                f"Dr. {last}",
                f"Dr. {self.first()} {last}",
                f"{self.first()} {last}, MD",
                f"{self.first()} {last}, NP",
                f"{self.first()} {last} RN",
            ]
        )

    def number(self, count: int) -> str:
        return "".join(str(self.random.randint(0, 9)) for _ in range(count))

    def phone(self) -> str:
        area, exchange, line = (
            self.random.randint(201, 989),
            self.random.randint(200, 999),
            self.random.randint(0, 9999),
        )
        return self.pick(["({}) {}-{:04d}", "{}-{}-{:04d}", "{}.{}.{:04d}", "+1 {} {} {:04d}"]).format(
            area, exchange, line
        )

    def date(self, low: int = 2019, high: int = 2026) -> str:
        year, month, day = self.random.randint(low, high), self.random.randint(1, 12), self.random.randint(1, 28)
        return self.pick(
            [
                f"{month}/{day}/{year}",
                f"{month:02d}/{day:02d}/{year % 100:02d}",
                f"{year}-{month:02d}-{day:02d}",
                f"{_MONTHS[month - 1]} {day}, {year}",
                f"{day} {_MONTHS[month - 1][:3]} {year}",
                f"{_MONTHS[month - 1][:3]} {day}",
            ]
        )

    def record(self) -> str:
        return self.pick(
            [
                self.number(7),
                self.number(8),
                "H" + self.number(6),
                f"{self.number(3)}-{self.number(4)}",
                "PX" + self.number(7),
            ]
        )

    def email(self) -> str:
        return f"{self.first()}.{self.last()}{self.number(2)}@{self.pick(['gmail.com', 'example.net', 'mail.example.org'])}".lower()

    def address(self) -> str:
        return (
            f"{self.random.randint(2, 9800)} {self.pick(_STREETS)}, {self.pick(_CITIES)}, "
            f"{self.pick(_STATES)} {self.number(5)}"
        )

    def fill(self, layout: str) -> str:
        """Replace `{word}` by a draw; the same word in one layout is drawn once ("{name}" twice is one person)."""
        made = {
            "name": self.name(),
            "name2": self.name(),
            "first": self.first(),
            "last": self.last(),
            "doctor": self.doctor(),
            "doctor2": self.doctor(),
            "phone": self.phone(),
            "phone2": self.phone(),
            "date": self.date(),
            "date2": self.date(),
            "dob": self.date(1930, 2018),
            "record": self.record(),
            "email": self.email(),
            "address": self.address(),
            "ssn": f"{self.random.randint(100, 660)}-{self.random.randint(10, 99)}-{self.random.randint(1000, 9999)}",
            "age": str(self.random.randint(1, 88)),
            "old": str(self.random.randint(90, 103)),
            "condition": self.pick(_CONDITIONS),
            "condition2": self.pick(_CONDITIONS),
            "drug": self.pick(_DRUGS),
            "drug2": self.pick(_DRUGS),
            "test": self.pick(_TESTS),
            "city": self.pick(_CITIES),
            "state": self.pick(_STATES),
            "sex": self.pick(["man", "woman", "male", "female"]),
            "clinic": f"{self.word()} {self.pick(['Clinic', 'Medical Center', 'Family Health', 'Hospital'])}",
            "amount": f"${self.random.randint(20, 4000)}.{self.random.randint(10, 99)}",
            "company": f"{self.word()} {self.pick(['Systems', 'Inc', 'Partners', 'LLC'])}",
            "time": f"{self.random.randint(8, 17)}:{self.pick(['00', '15', '30'])}",
            "member": self.pick(["W", "XH", ""]) + self.number(9),
            "n": str(self.random.randint(12, 4000)),
            "url": f"https://{self.word().lower()}.example.com/{self.number(3)}",
            "weekday": self.pick("Monday Tuesday Wednesday Thursday Friday".split()),
        }
        return layout.format_map(made)

    def samples(self, layouts: tuple[str, ...], phi: bool, each: int, kind: str) -> list[Sample]:
        """`each` messages of every layout; a layout is "subject | body"."""
        made = []
        for layout in layouts:
            for _ in range(each):
                subject, _, body = self.fill(layout).partition(" | ")
                made.append(Sample(subject, body, phi, kind))
        return made
