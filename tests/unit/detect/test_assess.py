"""A whole message: verdicts by part, what is said of quoted text, what unread means, and the promised figures."""

from __future__ import annotations

import json

import pytest

from gateway.detect import assess
from gateway.detect.assess import assess_texts
from gateway.detect.evaluate import AUC_FLOOR, SENSITIVITY_FLOOR, SPECIFICITY_FLOOR
from gateway.detect.model import Format, Text, Unread
from gateway.detect.scorer import from_json, model
from gateway.detect.training.__main__ import to_json
from gateway.detect.training.data import phi_dev
from gateway.detect.training.evaluate import evaluate
from gateway.detect.training.fit import auc
from gateway.errors import Misconfigured

SUBJECT, BODY = "the subject", "the message text"
NOTE = (
    "The patient is a 54-year-old man with hypertension who presents with chest pain. EKG normal. Started on aspirin."
)


def message(subject: str = "Hello", body: str = "See you soon.", **attachments: str):
    texts = [Text("subject", SUBJECT, subject), Text("body", BODY, body)]
    texts += [Text(name.lstrip("a"), f"attachment {name}", text) for name, text in attachments.items()]
    return {part.part: part for part in assess_texts(texts).parts}, assess_texts(texts)


def test_a_name_with_a_diagnosis_in_the_body_is_phi_of_the_body() -> None:
    parts, found = message(body="Mrs. Okonkwo (DOB 3/4/1961) needs her metformin refilled for diabetes.")
    assert found.phi
    assert parts["body"].status == "phi"
    assert {"NAME", "DATE", "HEALTH"} <= {one.kind for one in parts["body"].findings}
    assert parts["subject"].status == "clean"
    assert found.own_text == "new"


PHI_SUBJECT = "Results of Rosalind Achterberg, DOB 04/17/1957, MRN 4471922, type 2 diabetes"


@pytest.mark.parametrize("body", ["See you soon.\n\nAmy Reyes", "Dear Mr. Smith,\n\nplease call us.\n\nAmy"])
def test_a_subject_that_says_it_all_takes_no_harmless_body_along(body: str) -> None:
    parts = {name: part.status for name, part in message(PHI_SUBJECT, body)[0].items()}
    assert parts == {"subject": "phi", "body": "clean"}


@pytest.mark.parametrize("body", ["Her A1c is 8.1 %.", "MRN 4471922 as asked.", "The biopsy came back malignant."])
def test_a_subject_that_says_it_all_takes_a_body_along_that_goes_on(body: str) -> None:
    parts = {name: part.status for name, part in message(PHI_SUBJECT, body)[0].items()}
    assert parts == {"subject": "phi", "body": "phi"}


def test_the_subject_is_phi_when_it_names_the_patient_of_the_body() -> None:
    parts, _ = message("Results Priya Raman", "Priya Raman has melanoma, biopsy done, surgery is planned.")
    assert parts["subject"].status == "phi"


def test_only_the_attachment_is_phi_when_the_rest_is_small_talk() -> None:
    parts, found = message(a2="Patient: Mary Jones DOB 1/2/1960 diabetes, metformin", a3="Menu: soup, bread, cake")
    assert (parts["body"].status, parts["2"].status, parts["3"].status) == ("clean", "phi", "clean")
    assert found.own_text == ""


def test_a_note_without_a_name_is_sealed_when_the_mail_names_the_patient() -> None:
    alone, _ = message(a2=NOTE)
    assert alone["2"].status == "clean"
    named, found = message("Report", "Attached is the report on Xavier Therrien, born 3/4/1961.", a2=NOTE)
    assert found.phi
    assert named["2"].status == "phi"


def test_phi_only_in_quoted_text_is_said_to_be_quoted() -> None:
    quoted = (
        "Thanks, will do.\n\nOn Monday, Ann wrote:\n> Mrs. Okonkwo (DOB 3/4/1961) has diabetes, MRN 1234567, metformin."
    )
    _, found = message(body=quoted)
    assert found.phi
    assert found.own_text == "quoted"


@pytest.mark.parametrize(
    "body",
    [
        "What is the recommended treatment for Hodgkin lymphoma in a 45-year-old woman?",
        "Workforce members must not disclose a patient's name, social security number or medical record "
        "number. 45 CFR 164.514.",
        NOTE,
        "Hi team, lunch at noon with Sarah Miller and Tom Green tomorrow. Bring the Q3 figures.",
        "Your order #114-3941689 has shipped to John Smith, 12 Elm Street, Springfield, IL 62704",
    ],
)
def test_health_without_a_person_and_a_person_without_health_are_clean(body: str) -> None:
    _, found = message(body=body)
    assert not found.phi
    assert found.clean


def test_unread_is_never_clean() -> None:
    found = assess_texts([Text("body", BODY, "Hi")], [Unread("2", "attachment 1 (picture)", "a picture")])
    assert not found.clean
    assert found.part("2").status == "unread"


def test_phi_wins_over_unread_in_one_part_and_the_unread_is_still_said() -> None:
    text = Text("2/1", "attachment 1 (ZIP), file 1", "Patient: Mary Jones DOB 1/2/1960 diabetes")
    found = assess_texts([text], [Unread("2/2", "attachment 1 (ZIP), file 2", "an encrypted file")])
    assert found.part("2").status == "phi"
    assert len(found.unread) == 1


def test_a_format_by_nature_is_phi_without_any_word() -> None:
    found = assess_texts([], formats=[Format("2", "attachment 1 (DICOM image)", "DICOM")])
    assert found.phi
    assert found.part("2").findings[0].kind == "FORMAT"


def test_a_detector_that_fails_leaves_the_text_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(assess, "look", broken)
    found = assess_texts([Text("body", BODY, "Hi")])
    assert found.part("body").status == "unread"
    assert not found.clean


def test_too_much_text_is_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assess, "MESSAGE_CHARS", 10)
    assert assess_texts([Text("body", BODY, "Hello world, hello")]).unread[0].reason == "over limits"


def test_an_identifier_across_the_border_of_two_chunks_is_found_whole() -> None:
    line = "word " * 20 + "\n"
    text = line * (assess.CHUNK_CHARS // len(line)) + "Patient: Mary Jones DOB 1/2/1960 has diabetes.\n" + line * 100
    assert "".join(assess.chunks(text)) == text
    assert assess_texts([Text("2", "attachment 1", text)]).phi


PAGE = (
    "Riverside Clinic. Patient: Marguerite Oyelaran DOB: 03/14/1948 MRN: 44719{:02} phone (217) 555-01{:02}.\n"
    "Assessment: type 2 diabetes mellitus, not at goal. Start metformin 500 mg, hemoglobin A1c 8.1 %.\n"
) * 4


def pages(part: str, count: int) -> list[Text]:
    return [Text(part, f"{part}, page {n}", PAGE.format(*[n] * 8)) for n in range(count)]


def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    sound = assess.look

    def look(text: str, *args: object, **more: object) -> object:
        seen.append(text)
        return sound(text, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(assess, "look", look)
    return seen


def test_an_attachment_that_is_surely_phi_is_looked_at_no_further_and_the_same_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts, seen = pages("2", 40), looked_at(monkeypatch)
    short = assess_texts(texts, [Unread("2", "2, page 41", "a scanned page")])
    assert 0 < len(seen) < len(texts)
    monkeypatch.setattr(assess, "SURE", 2.0)
    whole = assess_texts(texts, [Unread("2", "2, page 41", "a scanned page")])
    assert len(seen) > len(texts)
    assert (short.phi, short.unread) == (whole.phi, whole.unread)
    assert short.parts[0].findings == whole.parts[0].findings
    assert len(short.parts[0].findings) == assess.FINDINGS_PER_PART
    assert min(short.score, whole.score) >= 0.98


def test_what_the_other_parts_are_judged_by_is_always_looked_at_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, seen = [*pages("body", 20), *pages("subject", 20)], looked_at(monkeypatch)
    assess_texts(texts)
    assert [one.text for one in texts] == seen[:40]


def test_an_attachment_that_is_not_sure_is_looked_at_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assess, "SURE", 1.1)
    texts, seen = pages("2", 20), looked_at(monkeypatch)
    assess_texts(texts)
    assert [one.text for one in texts] == seen


def test_one_attachment_that_is_sure_spares_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = looked_at(monkeypatch)
    found = assess_texts([*pages("2", 40), Text("3", "the third", "Menu: soup"), *pages("4", 2)])
    assert [one.status for one in found.parts] == ["phi", "clean", "phi"]
    assert {"Menu: soup", *(one.text for one in pages("4", 2))} <= set(seen)


def test_nothing_behind_what_is_sure_makes_an_attachment_less_than_phi() -> None:
    dull = [Text("2", f"2, page {n}", "The committee met and agreed on the budget. " * 40) for n in range(60)]
    found = assess_texts([*pages("2", 20), *dull])
    assert (found.phi, found.parts[0].status) == (True, "phi")


def test_looking_ahead_stops_where_the_assessment_does(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, seen = pages("2", 40), looked_at(monkeypatch)
    plain = assess_texts(texts)
    needed = len(seen)
    ahead = assess.Ahead()
    ahead.attachment()
    for one in texts:
        ahead.look(one.text)
    assert len(seen) == 2 * needed
    assert assess_texts(texts, ahead=ahead) == plain
    assert len(seen) == 2 * needed  # nothing was looked at twice
    ahead.attachment()
    ahead.look("another file")
    assert seen[-1] == "another file"


def test_no_word_of_the_message_is_in_the_assessment() -> None:
    _, found = message(body="Mrs. Okonkwo (DOB 3/4/1961) needs her metformin refilled for diabetes.")
    assert not any(word in repr(found) for word in ("Okonkwo", "1961", "metformin"))


def test_the_shipped_model_keeps_the_floors_on_phi_dev() -> None:
    rows = phi_dev()
    found = [assess_texts([Text("body", BODY, f"{row.subject}\n{row.body}")]) for row in rows]
    phi = [one.phi for one, row in zip(found, rows, strict=True) if row.phi]
    other = [one.phi for one, row in zip(found, rows, strict=True) if not row.phi]
    assert auc([one.score for one in found], [row.phi for row in rows]) >= AUC_FLOOR
    assert sum(phi) / len(phi) >= SENSITIVITY_FLOOR
    assert 1 - sum(other) / len(other) >= SPECIFICITY_FLOOR


@pytest.mark.full
def test_five_fold_figures_on_phi_dev_keep_the_floors_and_training_repeats() -> None:
    figures, made = evaluate()
    assert figures.auc >= AUC_FLOOR
    assert figures.sensitivity >= SENSITIVITY_FLOOR
    assert figures.specificity >= SPECIFICITY_FLOOR
    shipped = json.loads(to_json(model()))
    again = json.loads(to_json(made))
    assert again.keys() == shipped.keys()
    assert again["features"] == shipped["features"]
    assert again["weights"] == pytest.approx(shipped["weights"], abs=2e-3)
    assert again["threshold"] == pytest.approx(shipped["threshold"], abs=2e-3)


def test_the_product_judges_subject_and_body_as_training_does() -> None:
    rows = phi_dev()
    wrong = [
        row
        for row in rows
        if assess_texts([Text("subject", SUBJECT, row.subject), Text("body", BODY, row.body)]).phi != row.phi
    ]
    assert len(wrong) <= 0.05 * len(rows)


def test_a_model_for_other_features_is_refused() -> None:
    data = json.loads(to_json(model()))
    data["features"] = data["features"][1:]
    with pytest.raises(Misconfigured):
        from_json(json.dumps(data))
