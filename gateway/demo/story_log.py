"""The check, last part: the log shows it all, holds, and names what was changed in it."""

from __future__ import annotations

import json
import shutil

from gateway.demo.story import Story, expect

WANTED: dict[str, set[tuple[str, int | None]]] = {
    "lab": {
        ("message:accepted", None), ("message:secured", None), ("link:created", None), ("message:delivered", None),
        ("link:visited", 0), ("code:asked", 0), ("code:refused", 0), ("link:refused", 0), ("session:started", 2),
        ("meta:opened", 2), ("object:opened", 2), ("object:completed", 2), ("link:revoked", 2), ("message:recalled", 2),
    },
    "form": {
        ("session:started", 2), ("code:shown", 2), ("link:frozen", None), ("link:unfrozen", 2), ("object:opened", 2),
    },
    "second": {("session:started", 2), ("meta:opened", 2), ("object:opened", 2)},
    "image": {("code:asked", 0), ("code:refused", 0)},
    "result": {("message:secured", None), ("link:created", None)},
}  # fmt: skip
"""For each message what happened to it, with the proof level that the log gives it."""


def searched(story: Story) -> str:
    """Every event of the story with its proof level."""
    counts = []
    for name, wanted in WANTED.items():
        entries = story.log(f"object:{story.sealed[name].message}")
        missing = wanted - {(one["action"], one["proof"]) for one in entries}
        expect(not missing, f"{name}: the log lacks {sorted(missing, key=str)}")
        opened = [one for one in entries if one["action"] == "object:opened"]
        expect({one["proof"] for one in opened} <= {2}, f"{name}: something was opened without proof 2")
        expect(bool(opened) == (("object:opened", 2) in wanted), f"{name}: {len(opened)} openings are in the log")
        counts.append(len(entries))
    asked = f"object:{story.sealed['lab'].message}"
    printed = {(one["action"], one["proof"]) for one in story.clinic.search(asked)}
    expect(not WANTED["lab"] - printed, f"the command does not print {sorted(WANTED['lab'] - printed, key=str)}")
    lines = story.clinic.command("audit", "search", asked, "action:object:opened")
    expect(lines.count("object:opened") == lines.count("proof 2 text") > 0, "people are not shown the proof in words")
    return (
        f"{sum(counts)} entries of 5 messages: visited 0, asked 0, session 2, opened 2, recalled 2; no opening below 2"
    )


def verified(story: Story) -> str:
    """The export holds, by itself and against the checkpoint that an old notice carries."""
    clinic = story.clinic
    target = clinic.data / "export"
    done = json.loads(clinic.command("audit", "export", str(target), "--json"))
    key = story.marks["key"] = clinic.command("audit", "key").strip()
    notice = clinic.data / "notice.eml"
    notice.write_bytes(story.sealed["result"].mail.data)
    told = json.loads(
        clinic.command("audit", "verify", str(target), "--key", key, "--checkpoint", str(notice), "--json")
    )
    expect(told["holds"], f"the export does not hold: {told['problems'][:3]}")
    expect(not told["disclosures"], f"{len(told['disclosures'])} releases have no opening")
    expect(told["sizes"]["log"] == done["entries"], "the export has another size than it says")
    sizes = ", ".join(f"{name} {size}" for name, size in told["sizes"].items())
    return f"holds ({sizes} entries); agrees with the checkpoint in a notice sent before"


def changed(story: Story) -> str:
    """One changed byte in a copy of the export is found and named with its entry."""
    clinic = story.clinic
    copy = clinic.data / "export-changed"
    shutil.copytree(clinic.data / "export", copy)
    entries = (copy / "entries.jsonl").read_bytes().splitlines()
    number = next(at for at, line in enumerate(entries) if b'"action":"object:opened"' in line)
    (bundle,) = [path for path in (copy / "tile" / "entries").rglob("*") if path.is_file()][:1]
    content = bytearray(bundle.read_bytes())
    place = content.index(entries[number]) + entries[number].index(b'"proof":2') + len(b'"proof":')
    content[place] ^= 1  # proof 2 becomes proof 3
    bundle.write_bytes(bytes(content))
    key = story.marks["key"]
    told = clinic.command("audit", "verify", str(copy), "--key", key, status=1)
    named = [line for line in told.splitlines() if line.startswith("TAMPERED") and f"entry {number}" in line]
    expect(len(named) >= 1, f"verify exits 1 but does not name entry {number}")
    others = [line for line in told.splitlines() if line.startswith("TAMPERED") and f"entry {number}:" not in line]
    content[place] ^= 1
    bundle.write_bytes(bytes(content))
    clinic.command("audit", "verify", str(copy), "--key", key)
    more = f"; {len(others)} more lines" if others else ""
    return f"one bit of one byte: exit 1, 'entry {number}' named{more}; put back: holds again"
