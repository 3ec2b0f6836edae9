"""Formats that are PHI by nature, recognised by content: HL7 v2, C-CDA, FHIR, X12; and where their identifiers stand.

Promises: a format counts only when it carries a patient or a member: a ValueSet, an Organization or an interchange
without one is judged like other text. Spans are exact offsets of fields. DICOM is bytes and read in `extract/dicom.py`.
Clauses: HL7 v2.x PID, NK1, IN1, GT1, MRG; HL7 CDA R2 recordTarget; FHIR R4/R5 patient compartment; ASC X12N 005010
(270, 271, 276, 277, 278, 834, 835, 837: NM1 with IL, QC, 74, 70, 03).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recognised:
    """`patient` says whether a person's record is in it; spans are (start, end, kind)."""

    name: str
    patient: bool
    spans: tuple[tuple[int, int, str], ...]


_HL7 = re.compile(r"^(?:MSH|FHS|BHS)\|\^~\\&", re.M)
_HL7_FIELDS = {
    ("PID", 2): "ID",
    ("PID", 3): "ID",
    ("PID", 4): "ID",
    ("PID", 5): "NAME",
    ("PID", 6): "NAME",
    ("PID", 7): "DATE",
    ("PID", 9): "NAME",
    ("PID", 11): "LOCATION",
    ("PID", 13): "PHONE",
    ("PID", 14): "PHONE",
    ("PID", 18): "ACCOUNT",
    ("PID", 19): "SSN",
    ("PID", 20): "ID",
    ("NK1", 2): "NAME",
    ("NK1", 4): "LOCATION",
    ("NK1", 5): "PHONE",
    ("GT1", 3): "NAME",
    ("GT1", 5): "LOCATION",
    ("GT1", 6): "PHONE",
    ("IN1", 16): "NAME",
    ("IN1", 18): "DATE",
    ("IN1", 19): "LOCATION",
    ("IN1", 36): "ACCOUNT",
    ("MRG", 1): "ID",
    ("MRG", 7): "NAME",
    ("PV1", 19): "ID",
    ("QPD", 3): "ID",
    ("QRD", 8): "ID",
}
_HL7_PERSON = frozenset(
    {("PID", 3), ("PID", 5), ("PID", 2), ("PID", 19), ("NK1", 2), ("MRG", 1), ("IN1", 16), ("QRD", 8), ("QPD", 3)}
)


def _hl7(text: str) -> Recognised | None:
    if "^~\\&" not in text or not _HL7.search(text):
        return None
    spans: list[tuple[int, int, str]] = []
    patient = False
    for line in re.finditer(r"[^\n\r]+", text):
        row = line[0].strip()
        name = row[:3]
        if len(row) < 4 or row[3] != "|" or not name.isalnum():
            continue
        at = line.start() + line[0].index(row)
        for number, field in enumerate(row.split("|")):
            kind = _HL7_FIELDS.get((name, number))
            if kind and field and field != '""':
                first = re.split(r"[~]", field)[0]
                value = first.split("^")[0] if kind in ("ID", "ACCOUNT", "PHONE", "DATE", "SSN") else first.rstrip("^")
                start = at
                if kind == "PHONE" and not value:
                    value = first
                if value:
                    spans.append((start, start + len(value), kind))
                    patient = patient or (name, number) in _HL7_PERSON
            at += len(field) + 1
    return Recognised("HL7 v2", patient, tuple(spans))


_CDA_SPANS = (
    (re.compile(r"<(?:\w+:)?(?:given|family)\b[^>]{0,80}>([^<]{1,80})<"), "NAME"),
    (re.compile(r"<(?:\w+:)?(?:birthTime|deceasedTime)\b[^>]{0,80}?value=[\"']([^\"']{4,30})[\"']"), "DATE"),
    (
        re.compile(r"<(?:\w+:)?(?:effectiveTime|low|high|time)\b[^>]{0,80}?value=[\"'](\d{8,14}[^\"']{0,10})[\"']"),
        "DATE",
    ),
    (re.compile(r"<(?:\w+:)?(?:streetAddressLine|city|postalCode)\b[^>]{0,80}>([^<]{1,120})<"), "LOCATION"),
    (re.compile(r"<(?:\w+:)?telecom\b[^>]{0,120}?value=[\"']tel:([^\"']{3,40})[\"']"), "PHONE"),
    (re.compile(r"<(?:\w+:)?telecom\b[^>]{0,120}?value=[\"']mailto:([^\"']{3,80})[\"']"), "EMAIL"),
)
_CDA_ID = re.compile(r"<(?:\w+:)?id\b[^>]{0,160}?extension=[\"']([^\"']{1,80})[\"']")


def _cda(text: str) -> Recognised | None:
    if "ClinicalDocument" not in text and "recordTarget" not in text and "patientRole" not in text:
        return None
    if not re.search(r"<(?:\w+:)?(?:ClinicalDocument|recordTarget|patientRole)\b", text):
        return None
    spans = [(match.start(1), match.end(1), kind) for pattern, kind in _CDA_SPANS for match in pattern.finditer(text)]
    role = re.search(r"<(?:\w+:)?patientRole\b", text)
    if role:
        spans += [
            (match.start(1), match.end(1), "ID") for match in _CDA_ID.finditer(text, role.start(), role.start() + 1200)
        ]
    patient = bool(re.search(r"<(?:\w+:)?(?:patientRole|recordTarget|subject|patient)\b", text))
    return Recognised("C-CDA", patient, tuple(sorted(spans)))


_FHIR_TYPE = re.compile(r"\"resourceType\"\s*:\s*\"([A-Z][A-Za-z]{2,40})\"")
_FHIR_PERSONS = frozenset({"Patient", "RelatedPerson", "Person"})
_FHIR_COMPARTMENT = frozenset(
    "Account AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic "
    "BiologicallyDerivedProduct BodyStructure CarePlan CareTeam"
    " ChargeItem Claim ClaimResponse ClinicalImpression Communication CommunicationRequest "
    "Composition Condition Consent Contract Coverage"
    " CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue Device DeviceRequest "
    "DeviceUseStatement DiagnosticReport DocumentManifest"
    " DocumentReference Encounter EnrollmentRequest EpisodeOfCare ExplanationOfBenefit "
    "FamilyMemberHistory Flag Goal Group GuidanceResponse ImagingStudy"
    " Immunization ImmunizationEvaluation ImmunizationRecommendation Invoice List MeasureReport "
    "Media MedicationAdministration MedicationDispense"
    " MedicationRequest MedicationStatement MolecularSequence NutritionOrder Observation Procedure "
    "Provenance QuestionnaireResponse RequestGroup"
    " ResearchSubject RiskAssessment Schedule ServiceRequest Specimen SupplyDelivery SupplyRequest "
    "Task VisionPrescription".split()
)
_FHIR_PATIENT = re.compile(
    r"\"(?:reference|fullUrl)\"\s*:\s*\"[^\"]{0,200}\bPatient/|\"urn:uuid:[^\"]{30,40}\"|"
    r"\"subject\"\s*:\s*\{|\"(?:patient|beneficiary)\"\s*:\s*\{"
)
_FHIR_SPANS = (
    (re.compile(r"\"(?:family|birthName)\"\s*:\s*\"([^\"]{1,80})\""), "NAME"),
    (
        re.compile(
            r"\"(?:birthDate|deceasedDateTime|effectiveDateTime|authoredOn|recordedDate|onsetDateTime|issued|"
            r"performedDateTime|start|end)\"\s*:\s*\"([^\"]{4,40})\""
        ),
        "DATE",
    ),
    (re.compile(r"\"(?:city|postalCode)\"\s*:\s*\"([^\"]{1,80})\""), "LOCATION"),
    (re.compile(r"\"value\"\s*:\s*\"(\+?[\d() .-]{7,24})\""), "PHONE"),
    (re.compile(r"\"value\"\s*:\s*\"([^\"\s@]{1,64}@[^\"\s]{3,80})\""), "EMAIL"),
)
_FHIR_LISTS = (
    (re.compile(r"\"given\"\s*:\s*\[([^\]]{1,200})\]"), "NAME"),
    (re.compile(r"\"line\"\s*:\s*\[([^\]]{1,300})\]"), "LOCATION"),
)
_FHIR_ID = re.compile(r"\"identifier\"\s*:\s*\[[^\]]{0,1500}?\"value\"\s*:\s*\"([^\"]{2,80})\"")
_FHIR_XML = re.compile(r"<([A-Z][A-Za-z]{2,40})\b[^>]{0,200}xmlns=[\"']http://hl7\.org/fhir[\"']")
_FHIR_XML_SPANS = (
    (re.compile(r"<(?:family|given)\b[^>]{0,20}?value=[\"']([^\"']{1,80})[\"']"), "NAME"),
    (re.compile(r"<birthDate\b[^>]{0,20}?value=[\"']([^\"']{4,20})[\"']"), "DATE"),
    (re.compile(r"<(?:line|city|postalCode)\b[^>]{0,20}?value=[\"']([^\"']{1,80})[\"']"), "LOCATION"),
)


def _fhir(text: str) -> Recognised | None:
    if '"resourceType"' in text:
        kinds = set(_FHIR_TYPE.findall(text))
        if not kinds:
            return None
        patient = bool(kinds & _FHIR_PERSONS) or (
            bool(kinds & _FHIR_COMPARTMENT) and _FHIR_PATIENT.search(text) is not None
        )
        spans = [
            (match.start(1), match.end(1), kind) for pattern, kind in _FHIR_SPANS for match in pattern.finditer(text)
        ]
        for pattern, kind in _FHIR_LISTS:
            for match in pattern.finditer(text):
                spans += [
                    (match.start(1) + one.start(1), match.start(1) + one.end(1), kind)
                    for one in re.finditer(r"\"([^\"]+)\"", match[1])
                ]
        spans += [(match.start(1), match.end(1), "ID") for match in _FHIR_ID.finditer(text)]
        return Recognised("FHIR", patient, tuple(sorted(set(spans))))
    root = _FHIR_XML.search(text) if "http://hl7.org/fhir" in text else None
    if root is None:
        return None
    inside = re.search(r"<(?:Patient|RelatedPerson|Person)\b|reference value=[\"'][^\"']{0,200}Patient/", text)
    patient = inside is not None and (root[1] == "Bundle" or root[1] in _FHIR_PERSONS | _FHIR_COMPARTMENT)
    spans = [
        (match.start(1), match.end(1), kind) for pattern, kind in _FHIR_XML_SPANS for match in pattern.finditer(text)
    ]
    return Recognised("FHIR", patient, tuple(sorted(spans)))


_X12_END = re.compile(r"ISA(?:\*[^*]{0,16}){15}\*.(.)", re.S)
_X12_ST = re.compile(r"\bST\*(\d{3})\*")
_X12_HEALTH = frozenset({"270", "271", "275", "276", "277", "278", "834", "835", "837", "269", "274", "820"})
_X12_PERSONS = frozenset({"IL", "QC", "74", "70", "03", "S1", "GD", "LR", "EXS", "QD"})


def _x12(text: str) -> Recognised | None:
    start = text.find("ISA*") if "ISA*" in text else -1
    sets = set(_X12_ST.findall(text)) if "ST*" in text else set()
    if start < 0 and not (sets and "NM1*" in text):
        return None
    if not sets & _X12_HEALTH and "005010X" not in text and "004010X" not in text:
        return None
    end = "~"
    head = _X12_END.match(text, start) if start >= 0 else None
    if head is not None and not head[1].isalnum():
        end = head[1]
    spans: list[tuple[int, int, str]] = []
    patient = False
    at = 0
    for segment in text.split(end):
        fields = segment.lstrip().split("*")
        offset = at + len(segment) - len(segment.lstrip())
        starts = []
        for field in fields:
            starts.append(offset)
            offset += len(field) + 1
        name = fields[0]
        if name == "NM1" and len(fields) > 3 and fields[1] in _X12_PERSONS:
            patient = True
            spans += [
                (starts[n], starts[n] + len(fields[n]), "NAME") for n in (3, 4, 5) if n < len(fields) and fields[n]
            ]
            if len(fields) > 9 and fields[9]:
                spans.append((starts[9], starts[9] + len(fields[9].rstrip()), "ACCOUNT"))
        elif name == "DMG" and len(fields) > 2 and fields[2]:
            patient = True
            spans.append((starts[2], starts[2] + len(fields[2]), "DATE"))
        elif name in ("N3", "N4") and len(fields) > 1 and fields[1]:
            spans.append((starts[1], starts[1] + len(fields[1].rstrip()), "LOCATION"))
        elif name in ("CLM", "CLP", "INS", "SBR", "HD") and len(fields) > 1:
            patient = patient or name in ("CLM", "CLP", "INS")
            if name in ("CLM", "CLP") and fields[1]:
                spans.append((starts[1], starts[1] + len(fields[1]), "ID"))
        elif (
            name == "REF"
            and len(fields) > 2
            and fields[1] in ("SY", "0F", "1L", "EJ", "1W", "IG")
            and fields[2].strip()
        ):
            spans.append((starts[2], starts[2] + len(fields[2].rstrip()), "SSN" if fields[1] == "SY" else "ACCOUNT"))
        at += len(segment) + len(end)
    return Recognised("X12", patient, tuple(spans))


def recognise(text: str) -> Recognised | None:
    """The format of a text, or None for prose. Cheap for prose: four substring tests."""
    for reader in (_hl7, _fhir, _cda, _x12):
        found = reader(text)
        if found is not None:
            return found
    return None
