"""What the README tells a newcomer to type under "Try it" works as it stands there, against a running clinic."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.demo import documents, mails
from gateway.demo.clinic import Clinic

pytestmark = pytest.mark.full
ROOT = Path(__file__).parents[2]
TRY_IT = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Try it")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```\n(.*?)```", TRY_IT, re.DOTALL)


def _typed(block: str, clinic: Clinic, folder: Path) -> str:
    """The block in a shell, in a folder with the files it speaks of; only port and folder are this test's own."""
    block = block.replace(":2525", f":{clinic.smtp_port}").replace("DIR", str(folder / "export"))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", block], cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        env={"PATH": path, "HOME": str(folder), "SEALGATE_CONFIG": str(clinic.config), "LANG": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def test_the_blocks_under_try_it_do_what_they_say(clinic: Clinic, tmp_path: Path) -> None:
    (tmp_path / "any.pdf").write_bytes(documents.lab_report())
    (tmp_path / "letter.pdf").write_bytes(documents.lab_report())
    (tmp_path / "mail.eml").write_bytes(mails.newsletter().as_bytes())
    send, scan, export = BLOCKS
    assert "250" in _typed(send, clinic, tmp_path)
    assert clinic.sink.wait_for("you@example.org", seconds=60)[0].link is not None
    *files, line = _typed(scan, clinic, tmp_path).splitlines()
    assert any("letter.pdf" in one for one in files)
    assert any("mail.eml" in one for one in files)
    assert json.loads(line)["phi"] is True
    assert "holds" in _typed(export, clinic, tmp_path)
