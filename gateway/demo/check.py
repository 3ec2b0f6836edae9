"""`sealgate demo --check`: the whole story without a person. Each step prints its proof; the first that fails ends it.

Promises: ports are the system's choice, so that it runs beside anything; every success and refusal is looked up in the
log; everything started has ended before it returns; 0 only when every proof holds.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from gateway.demo import browser as chromium
from gateway.demo import story_log, story_mail, story_reading, story_staff
from gateway.demo.clinic import Clinic
from gateway.demo.ports import choose
from gateway.demo.run import Wanted, ending, folder, refuse_production
from gateway.demo.story import Broken, Story, expect
from gateway.errors import GatewayError

EX_BROKEN, EX_UNAVAILABLE = 1, 69
Step = Callable[[Story], str]
STEPS: tuple[tuple[str, Step], ...] = (
    ("mail in", story_mail.mail_in),
    ("harmless mail", story_mail.passed),
    ("protected mail", story_mail.sealed),
    ("robots", story_mail.robots),
    ("browser robot", story_mail.headless),
    ("code asked for", story_reading.code_asked),
    ("wrong code", story_reading.code_wrong),
    ("code typed", story_reading.read),
    ("downloaded", story_reading.downloaded),
    ("replayed code", story_reading.replayed),
    ("forwarded link", story_reading.forwarded),
    ("code app", story_reading.enrolled),
    ("staff sign-in", story_staff.signed_in),
    ("sent", story_staff.sent_list),
    ("staff code", story_staff.by_phone),
    ("expired code", story_reading.expired),
    ("recall", story_staff.recalled),
    ("audit search", story_log.searched),
    ("audit verify", story_log.verified),
    ("changed byte", story_log.changed),
)
LIMITS = {"text_code_seconds": story_reading.CODE_SECONDS, "young_factor_seconds": 0}


def check(
    wanted: Wanted, environ: Mapping[str, str], *, browser: bool, steps: tuple[tuple[str, Step], ...] = STEPS
) -> int:
    """Walk the story; the exit status. Raises Misconfigured beside a production configuration."""
    refuse_production(environ)
    began = time.monotonic()
    path = None
    if browser:
        path, missing = chromium.find()
        if path is None:
            print(f"sealgate demo: {missing}; add --no-browser to leave that step out", file=sys.stderr)
            return EX_UNAVAILABLE
    asked = replace(
        wanted, smtp_port=_asked(wanted.smtp_port, "--smtp-port"), web_port=_asked(wanted.web_port, "--web-port")
    )
    number = 0
    with folder(wanted) as data, ending():
        clinic = Clinic(data, asked.smtp_port or 0, asked.web_port or 0, dict(LIMITS))
        story = Story(clinic, path)
        try:
            number, name = 1, "start"
            clinic.start()
            _tell(number, name, f"keyholder, gateway and smtp on loopback, {time.monotonic() - began:.0f} s")
            for number, (name, step) in enumerate(steps, 2):
                _tell(number, name, step(story))
            number, name = number + 1, "stop"
            story.close()
            clinic.stop()
            expect(not clinic.left_behind(), "processes of the demo still run")
            if wanted.data is None and not wanted.keep:
                shutil.rmtree(data)
                expect(not data.exists(), "the data folder is still there")
            _tell(number, name, "every process ended" + ("" if data.exists() else ", data removed"))
        except KeyboardInterrupt:
            print("sealgate demo: interrupted", file=sys.stderr)
            return 130
        except Broken as broken:
            return _failed(number, name, str(broken), data)
        except GatewayError as error:
            return _failed(number, name, error.detail or error.public, data)
        except (OSError, KeyError, ValueError) as error:  # a port that does not answer, a form that is not there
            return _failed(number, name, f"{type(error).__name__}: {error}", data)
        finally:
            story.close()
            clinic.stop()
    print(f"The whole story holds: {number} steps in {time.monotonic() - began:.0f} s.")
    return 0


def _asked(port: int | None, option: str) -> int | None:
    return None if port is None else choose(port, port, "", option)[0]


def _tell(number: int, name: str, proof: str) -> None:
    print(f"ok  {number:2d} {name}: {proof}", flush=True)


def _failed(number: int, name: str, why: str, data: Path) -> int:
    print(f"FAILED at {number} {name}: {why}", flush=True)
    log = data / "gateway.log"
    if log.exists():
        errors = [line for line in log.read_text(errors="replace").splitlines() if '"level":"error"' in line]
        print("\n".join(errors[-5:]), file=sys.stderr)
    return EX_BROKEN
