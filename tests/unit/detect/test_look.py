"""What one text shows: identifiers with exact offsets, names with roles, formats by nature."""

from __future__ import annotations

import pytest

from gateway.detect.identify import look
from gateway.detect.names import CLINICIAN, PATIENT
from gateway.detect.scorer import model
from gateway.detect.spans import spans_of
from gateway.detect.words import has_ending


def kinds(text: str) -> list[tuple[str, str]]:
    return [(one.kind, text[one.start : one.end]) for one in spans_of(text)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("SSN: 536-22-8726", "SSN", "536-22-8726"),
        ("ssn xxx-xx-1234", "SSN", "xxx-xx-1234"),
        ("MRN # is 00-12-34", "ID", "00-12-34"),
        ("Chart No - H1234567", "ID", "H1234567"),
        ("Member ID: XEH991288123", "ACCOUNT", "XEH991288123"),
        ("card 4111 1111 1111 1111 please", "ACCOUNT", "4111 1111 1111 1111"),
        ("MBI 1EG4-TE5-MK73", "ACCOUNT", "1EG4-TE5-MK73"),
        ("call (212) 555-0123 x45 now", "PHONE", "(212) 555-0123 x45"),
        ("tel. +44 20 7946 0958", "PHONE", "+44 20 7946 0958"),
        ("write to ann.o'neil+x@mail.example.org.", "EMAIL", "ann.o'neil+x@mail.example.org"),
        ("see https://example.org/p?id=1, now", "URL", "https://example.org/p?id=1"),
        ("from 203.0.113.7 yesterday", "IP", "203.0.113.7"),
        ("DOB 25-SEP-1961", "DATE", "25-SEP-1961"),
        ("fecha de nacimiento: 3 de mayo de 1961", "DATE", "3 de mayo de 1961"),
        ("a 97-year-old woman", "AGE90", "97"),
        ("serial number SN-88213-A", "DEVICE", "SN-88213-A"),
        ("lives at 12 Elm Street, Haverton, OH 45402.", "LOCATION", "12 Elm Street, Haverton, OH 45402"),
    ],
)
def test_an_identifier_is_found_with_exact_offsets(text: str, kind: str, value: str) -> None:
    assert (kind, value) in kinds(text)


@pytest.mark.parametrize(
    "text",
    [
        "blood pressure 120/80 and 1/2 tab",
        "version 10.2.3.4000 of the file",
        "he is 89 years old",
        "age of 79",
        "SSN 078-05-1120",
        "the patient's medical record number and social security number are protected",
    ],
)
def test_a_look_alike_is_no_identifier(text: str) -> None:
    assert [one for one in kinds(text) if one[0] in ("SSN", "DATE", "AGE90", "ID", "IP")] == []


@pytest.mark.parametrize(
    "text",
    [
        "Crohn's disease and Hodgkin lymphoma",
        "A Foley catheter and the Jackson-Pratt drain were removed.",
        "Murphy's sign was negative.",
        "She takes Lipitor, Eliquis and Tylenol.",
        "CHIEF COMPLAINT: Chest Pain. PAST MEDICAL HISTORY: None.",
        "The Glasgow Coma Scale was 15.",
    ],
)
def test_eponyms_drugs_and_headings_are_no_names(text: str) -> None:
    assert [one for one in kinds(text) if one[0] == "NAME"] == []


@pytest.mark.parametrize(
    ("text", "name", "role"),
    [
        ("Patient: RIOS, CHARLES F", "RIOS, CHARLES F", PATIENT),
        ("Xiomara Zelaya-Quispe is a 44-year-old woman with asthma.", "Xiomara Zelaya-Quispe", PATIENT),
        ("Dr. Emily Carter will call.", "Emily Carter", CLINICIAN),
        ("Seen by Karen Whitfield, RN.", "Karen Whitfield", CLINICIAN),
        ("so , martha is a 50-year-old female with depression", "martha", PATIENT),
    ],
)
def test_a_name_is_found_with_its_role(text: str, name: str, role: str) -> None:
    found = [(text[one.start : one.end], one.source) for one in look(text, model().words).spans if one.kind == "NAME"]
    assert (name, role) in found


def test_a_patients_name_is_found_again_elsewhere_in_the_text() -> None:
    text = "Patient: Noël Labonté. Later Labonté was seen, and Noël L. took amoxicillin."
    assert [value for kind, value in kinds(text) if kind == "NAME"] == ["Noël Labonté", "Labonté", "Noël L."]


def test_cells_of_a_table_with_known_columns_are_identifiers() -> None:
    text = "NAME | DOB | MRN\nAlma Popa | 11/2/88 | 05589000\n"
    assert kinds(text) == [("NAME", "Alma Popa"), ("DATE", "11/2/88"), ("ID", "05589000")]


FORMATS = {
    "HL7 v2": "MSH|^~\\&|A|B|C|D|2024||ORU^R01|1|P|2.5.1\rPID|1||77123^^^A||Doe^Jane||19610304|F|||1 Elm "
    "St^^X^OH^45402\r",
    "C-CDA": "<ClinicalDocument xmlns='urn:hl7-org:v3'><recordTarget><patientRole><id "
    "extension='77123'/><patient><name><given>Jane</given>"
    "<family>Doe</family></name><birthTime "
    "value='19610304'/></patient></patientRole></recordTarget></ClinicalDocument>",
    "FHIR": '{"resourceType": "Patient", "name": [{"family": "Doe", "given": ["Jane"]}], "birthDate": "1961-03-04"}',
    "X12": "ISA*00*          *00*          *ZZ*S              *ZZ*R              "
    "*240101*1200*^*00501*1*0*P*:~GS*HC*S*R*20240101*1200*1*X*005010X222A1~"
    "ST*837*1~NM1*IL*1*DOE*JANE****MI*W12345~DMG*D8*19610304*F~CLM*77123*100~SE*5*1~",
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_with_a_patient_is_recognised_with_the_fields_of_the_person(name: str) -> None:
    text = FORMATS[name]
    found = look(text, model().words)
    assert found.format is not None
    assert (found.format.name, found.format.patient) == (name, True)
    values = {text[one.start : one.end] for one in found.spans}
    assert values & {"Doe", "Doe^Jane", "DOE"}
    assert values & {"19610304", "1961-03-04"}


@pytest.mark.parametrize(
    "text",
    [
        '{"resourceType": "ValueSet", "name": "codes"}',
        '{"resourceType": "Organization", "name": "Clinic"}',
        "ISA*00*          *00*          *ZZ*S              *ZZ*R              "
        "*240101*1200*^*00501*1*0*P*:~GS*PO*S*R*20240101*1*1*X*005010~ST*850*1~BEG*00*NE~SE*2*1~",
        "MSH|^~\\&|A|B|C|D|2024||ACK|1|P|2.5.1\rMSA|AA|1\r",
    ],
)
def test_a_format_without_a_patient_is_not_phi_by_nature(text: str) -> None:
    found = look(text, model().words).format
    assert found is None or not found.patient


@pytest.mark.parametrize("word", ["glomerulonephritis", "thyroidectomy", "perindopril", "bevacizumab"])
def test_words_built_like_medicine_count_although_they_are_on_no_list(word: str) -> None:
    assert has_ending(word)


@pytest.mark.parametrize("word", ["program", "photography", "reservoir", "atrophy", "instagram"])
def test_words_that_only_sound_so_do_not_count(word: str) -> None:
    assert not has_ending(word)


@pytest.mark.parametrize(
    "unit",
    [
        "Aa Bb ",
        "John Smith, ",
        "12 Elm Elm Elm Elm ",
        "Aaaaaaaaa-",
        "mrn: ",
        "a@b.c ",
        "Mr. ",
        "Aa Bb Cc, ",
        "A'a-",
        '{"resourceType":"Patient","identifier":[',
        "ABCD EFGH ",
    ],
)
def test_hostile_text_costs_linear_time(unit: str) -> None:
    import time

    def cost(size: int) -> float:
        text = ("diabetes asthma prednisone biopsy " + unit * size)[:size]
        start = time.process_time()
        look(text, model().words)
        return time.process_time() - start

    cost(2_000)
    small = min(cost(10_000) for _ in range(2))
    assert cost(80_000) < max(0.4, 8 * 5 * small)
