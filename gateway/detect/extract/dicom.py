"""DICOM: PHI by nature. The header's identifiers become text; pixels are never read.

Promises: an object with a patient module, or with pixels at all, is PHI whatever its fields say (faces and burned-in
text); a damaged one is unread. Clauses: DICOM PS3.10 (file format), PS3.15 E (identifying attributes).
"""

from __future__ import annotations

import io

from gateway.detect.extract import Limits, Unreadable, take_text
from gateway.detect.model import Extracted, Format, PartInput, Text

_FIELDS = (
    "PatientName PatientID PatientBirthDate PatientAddress PatientTelephoneNumbers OtherPatientIDs "
    "OtherPatientNames AccessionNumber StudyDate StudyID"
    " InstitutionName StudyDescription SeriesDescription PatientComments DeviceSerialNumber PatientAge"
).split()


def read(part: PartInput, limits: Limits) -> Extracted:
    """The format as PHI by nature, and the header's words. Raises Unreadable for what pydicom cannot read."""
    import pydicom

    try:
        dataset = pydicom.dcmread(
            io.BytesIO(part.data), stop_before_pixels=True, defer_size=1024, force=part.data[128:132] != b"DICM"
        )
        values = [f"{name}: {dataset.get(name)}" for name in _FIELDS if dataset.get(name)]
    except Exception:  # pydicom raises what its readers raise
        raise Unreadable("a damaged DICOM file") from None
    if not values and len(dataset) == 0:
        raise Unreadable("a damaged DICOM file")
    text = take_text("\n".join(values), limits)
    return Extracted(
        (Text(part.part, part.place, text),) if text else (), formats=(Format(part.part, part.place, "DICOM"),)
    )
