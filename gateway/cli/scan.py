"""`sealgate scan`: the detector alone, on files, on mails (`.eml`), on standard input.

Promises: `--jsonl` keeps the contract of DESIGN §8 (one object a line in, one out, offsets in characters of `text`, or
of `subject + "\\n" + body`); what could not be read is said. Output never holds a word of the input except its `id` and
the paths that were given. Exit codes: 0, 65 when some input was not what it should be, 66 for a file that is not there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from gateway.detect.model import Assessment
    from gateway.flow.isolate import Isolated

NAME = "scan"
HELP = "look for PHI in files, mails or lines of JSON, without sending anything"
EX_DATAERR, EX_NOINPUT = 65, 66


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--jsonl", action="store_true", help='one object a line: {"id", "text"} or {"id", "subject", "body"}'
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs, one object a file")
    parser.add_argument("paths", metavar="PATH", nargs="*", help="file or .eml; standard input when there is none")


def run(args: argparse.Namespace) -> int:
    return _lines(args) if args.jsonl else _files(args)


def scan_object(item: Any) -> dict[str, Any]:
    """One object of the JSON Lines contract. Raises ValueError for one without text."""
    from gateway.detect.assess import assess_texts
    from gateway.detect.model import Text
    from gateway.detect.spans import spans_of

    if not isinstance(item, dict):
        raise ValueError("not an object")
    if isinstance(item.get("text"), str):
        text = item["text"]
    elif isinstance(item.get("body"), str) and isinstance(item.get("subject") or "", str):
        text = f"{item.get('subject') or ''}\n{item['body']}"
    else:
        raise ValueError("neither text nor subject and body")
    found = assess_texts([Text("body", "the text", text)])
    return {
        "id": item.get("id"),
        "phi": found.phi,
        "score": found.score,
        "spans": [
            {"start": one.start, "end": one.end, "type": one.kind, "confidence": round(one.confidence, 3)}
            for one in spans_of(text)
        ],
        "unread": [f"{one.place}: {one.reason}" for one in found.unread],
    }


def _sources(paths: list[str]) -> Iterator[TextIO]:
    if not paths:
        yield sys.stdin
    for path in paths:
        with open(path, encoding="utf-8") as stream:
            yield stream


def _lines(args: argparse.Namespace) -> int:
    code = 0
    try:
        for source in _sources(args.paths):
            for number, line in enumerate(source, 1):
                if not line.strip():
                    continue
                try:
                    answer = scan_object(json.loads(line))
                except ValueError:
                    code = EX_DATAERR
                    print(
                        f"sealgate scan: line {number} is not an object with text, or with subject and body",
                        file=sys.stderr,
                    )
                    answer = {
                        "id": None,
                        "phi": False,
                        "score": 0.0,
                        "spans": [],
                        "unread": [f"line {number}: not readable"],
                    }
                print(json.dumps(answer, ensure_ascii=False), flush=True)
    except OSError as error:
        print(f"sealgate scan: {error.filename}: {error.strerror}", file=sys.stderr)
        return EX_NOINPUT
    except UnicodeDecodeError:
        print("sealgate scan: the input is not UTF-8", file=sys.stderr)
        return EX_DATAERR
    return code


def _files(args: argparse.Namespace) -> int:
    from gateway.flow.isolate import Isolated

    code = 0
    with Isolated(children=1) as isolated:
        for path in args.paths or ["-"]:
            try:
                data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
            except OSError as error:
                print(f"sealgate scan: {path}: {error.strerror}", file=sys.stderr)
                code = EX_NOINPUT
                continue
            _print(path, _assess(isolated, path, data), as_json=args.json)
    return code


def _assess(isolated: Isolated, path: str, data: bytes) -> Assessment:
    from gateway.detect.model import PartInput

    if not path.lower().endswith(".eml"):
        return isolated.assess([PartInput("1", "the file", "", Path(path).name if path != "-" else None, None, data)])
    from gateway import words
    from gateway.flow.reading import read
    from gateway.mail.scan import Scanner
    from gateway.mail.source import BytesSource

    scanner = Scanner()
    scanner.feed(data)
    reading = read(scanner.close(), BytesSource(data), words.language("en"))
    return isolated.assess(reading.inputs, reading.unread)


def _print(path: str, found: Assessment, *, as_json: bool) -> None:
    if as_json:
        print(
            json.dumps(
                {
                    "path": path,
                    "phi": found.phi,
                    "score": found.score,
                    "detector": found.detector,
                    "parts": [
                        {
                            "part": part.part,
                            "place": part.place,
                            "status": part.status,
                            "score": part.score,
                            "findings": [
                                {"kind": one.kind, "place": one.place, "confidence": round(one.confidence, 3)}
                                for one in part.findings
                            ],
                        }
                        for part in found.parts
                    ],
                    "unread": [{"part": one.part, "place": one.place, "reason": one.reason} for one in found.unread],
                },
                ensure_ascii=False,
            )
        )
        return
    verdict = "PHI" if found.phi else "not all read" if found.unread else "clean"
    print(f"{path}: {verdict}, score {found.score:.3f}")
    for part in found.parts:
        kinds = sorted({one.kind for one in part.findings})
        if part.status != "clean":
            print(f"  {part.place}: {part.status}{' (' + ', '.join(kinds) + ')' if kinds else ''}")
    for one in found.unread:
        print(f"  not read: {one.place}: {one.reason}")
