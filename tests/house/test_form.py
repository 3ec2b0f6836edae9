"""Lengths, unfinished words, and what must never lie in the tree."""

from __future__ import annotations

import re

import pytest

from tests.house.tree import ROOT, product, text_of, tracked

CEILING_LINES = 400
_UNFINISHED = re.compile(
    r"raise NotImplemented" + r"Error|TO" + r"DO|FIX" + r"ME|\bXX" + r"X\b|\bHA" + r"CK\b|\bfor n" + r"ow\b"
)
_KEY_MATERIAL = re.compile(
    r"-----BEGIN [A-Z ]*PRIV" + r"ATE KEY-----[\r\n]+[A-Za-z0-9+/=]{20}|AGE-SECRET" + r"-KEY-1|\bAKIA[0-9A-Z]{16}\b"
)
_MACHINE = re.compile(
    r"(?<![A-Za-z0-9_.<$}-])/(?:ro" + r"ot|ho" + r"me|wo" + r"rk|Us" + r"ers)/[A-Za-z0-9._-]+|/tm" + r"p/[a-z0-9]+/"
)
_REGISTRY = re.compile(
    r"--(?:extra-)?index" + r"-url|/simp" + r"le/[a-z0-9]|files\.python" + r"hosted|registry\.np" + r"mjs|"
    r"/packag" + r"es/[0-9a-f]{2}/[0-9a-f]{2}/|pypi\." + r"org"
)


def _names(found: list[str]) -> str:
    return "\n".join(found[:20])


def test_no_file_is_longer_than_the_ceiling() -> None:
    kinds = (".py", ".js", ".css", ".sh")
    sizes = {path: text_of(path).count("\n") for path in tracked() if path.suffix in kinds}
    long = [f"{path.relative_to(ROOT)}: {lines}" for path, lines in sizes.items() if lines > CEILING_LINES]
    assert not long, _names(long)


def test_every_module_opens_with_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in product()
        if (body := text_of(path).strip()) and not body.startswith(('"""', 'r"""', "#!"))
    ]
    assert not silent, _names(silent)


def test_nothing_unfinished_is_shipped() -> None:
    files = [path for path in tracked() if path.relative_to(ROOT).parts[0] in ("gateway", "keys", "web")]
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in files
        if path.suffix in (".py", ".js", ".css", ".html")
        for match in _UNFINISHED.finditer(text_of(path))
    ]
    assert not found, _names(found)


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("key material", _KEY_MATERIAL),
        ("a path of somebody's machine", _MACHINE),
        ("a package registry", _REGISTRY),
    ],
)
def test_tree_holds_none_of(what: str, pattern: re.Pattern[str]) -> None:
    found = []
    for path in tracked():
        if path.relative_to(ROOT).parts[:2] == ("tests", "data"):
            continue  # texts of others, kept as they came; no file of ours is made from there
        found += [f"{path.relative_to(ROOT)}: {match[0][:60]}" for match in pattern.finditer(text_of(path))]
    assert not found, f"{what}:\n{_names(found)}"


def test_no_file_is_named_like_a_key() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix in (".pem", ".key", ".p12", ".kek") or path.name == "kek"
    ]
    assert not found, _names(found)


def test_patterns_would_find_what_they_look_for() -> None:
    begin = "-----BEGIN EC PRIV" + "ATE KEY-----\n" + "A" * 40
    for pattern, sample in (
        (_KEY_MATERIAL, begin),
        (_MACHINE, "see /ro" + "ot/secret and more"),
        (_MACHINE, "open('/ho" + "me/jane/x')"),
        (_REGISTRY, "--index" + "-url https://x"),
        (_REGISTRY, "https://mirror/simp" + "le/requests"),
        (_UNFINISHED, "# TO" + "DO later"),
    ):
        assert pattern.search(sample), sample
