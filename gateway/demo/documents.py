"""Made documents of made patients: a lab report as PDF, a DICOM image, an HL7 message in a ZIP, a photographed form.

All names, numbers and dates are invented; the numbers are of ranges that are never issued.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

PATIENT = "Marguerite Oyelaran"
BORN = "03/14/1948"
MRN = "MRN 4471920"

LAB_LINES = (
    "Riverside Clinic - Laboratory report",
    f"Patient: {PATIENT}    DOB: {BORN}    {MRN}",
    "Ordering physician: Dr. Amy Reyes",
    "Collected: 11/16/2026 08:10",
    "Hemoglobin A1c        8.1 %      (4.0 - 5.6)   HIGH",
    "Glucose, fasting      162 mg/dL  (70 - 99)     HIGH",
    "Creatinine            0.9 mg/dL  (0.5 - 1.1)",
    "Assessment: type 2 diabetes mellitus, not at goal. Start metformin 500 mg twice daily.",
)


def lab_report() -> bytes:
    """A one-page PDF with a text layer (ISO 32000-1)."""
    escaped = [line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for line in LAB_LINES]
    content = "BT /F1 11 Tf 56 760 Td 16 TL\n" + "\n".join(f"({line}) Tj T*" for line in escaped) + "\nET"
    packed = zlib.compress(content.encode("latin-1"))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    for place in places:
        out.write(b"%010d 00000 n \n" % place)
    out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    return out.getvalue()


def dicom() -> bytes:
    """A small computed-radiography object with a patient's name (DICOM PS3.10)."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["sealgate demo image"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = Dataset()
    image.file_meta = meta
    image.PatientName = "OYELARAN^MARGUERITE"
    image.PatientID = "4471920"
    image.PatientBirthDate = "19480314"
    image.Modality = "CR"
    image.StudyDate = "20261116"
    image.SOPClassUID = meta.MediaStorageSOPClassUID
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    image.Rows = image.Columns = 64
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.SamplesPerPixel, image.PixelRepresentation = 7, 1, 0
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelData = bytes((x * y) % 251 for x in range(64) for y in range(64))
    out = io.BytesIO()
    image.save_as(out, enforce_file_format=True)
    return out.getvalue()


def hl7_in_zip() -> bytes:
    """An ORU^R01 result message (HL7 v2.5.1) in a ZIP archive."""
    segments = (
        "MSH|^~\\&|LAB|RIVERSIDE|EHR|PARTNER|20261116081500||ORU^R01|00042|P|2.5.1",
        "PID|1||4471920^^^RIVERSIDE^MR||Oyelaran^Marguerite||19480314|F|||12 Elm St^^Springfield^IL^62701||5550100143",
        "OBR|1||00042|4548-4^Hemoglobin A1c^LN|||20261116081000",
        "OBX|1|NM|4548-4^Hemoglobin A1c^LN||8.1|%|4.0-5.6|H|||F",
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo("result.hl7", (2026, 11, 16, 8, 15, 0))
        archive.writestr(entry, "\r".join(segments) + "\r")
    return out.getvalue()


def photographed_form() -> bytes:
    """A grey PNG of 900 × 640 px with dark lines, as a photographed form looks to a program without OCR (RFC 2083)."""
    width, height = 900, 640
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        dark = y % 40 < 3
        for x in range(width):
            word = dark and (x // 23 + y // 40) % 5 != 0 and 60 < x < 840
            rows.append(70 if word else 205 + (x * 7 + y * 13) % 21)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b"")
    )
