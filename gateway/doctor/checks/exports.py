"""The log's daily way to a place outside this machine. DESIGN §5; 45 CFR 164.316(b)(2)(i)."""

from __future__ import annotations

import json
import time

from gateway.doctor.asking import row
from gateway.doctor.case import Case, Refused
from gateway.doctor.finding import Finding, check, green, red, worst, yellow

DAY = 86_400.0
LATE_DAYS, LOST_DAYS, BY_HAND_DAYS = 2.0, 8.0, 31.0
_WHY = {
    "away": "the place does not answer",
    "misconfigured": "the place refuses us, or [audit] export_url is wrong",
    "tampered": "the log does not go on from what lies there: one of the two was set back or rewritten",
}


@check(
    "export.kept",
    "The log leaves this machine each day, to where nobody here can take it back",
    "without it, who sets back the whole machine, or deletes it, takes the log along",
)
def kept(case: Case) -> Finding:
    settings = case.settings.audit
    try:
        if not settings.export_url:
            return _by_hand(case)
        last, _ = row(case, _SELECT.format("max(ts)", "actor = 'gateway' AND outcome = 'ok'"))
        failed, _ = row(case, _SELECT.format("max(ts)", "actor = 'gateway' AND outcome = 'failed'"))
        said = _said(case, "ok") if last is not None else ""
        why = _said(case, "failed") if failed is not None else ""
    except Refused:
        return yellow("the database cannot be asked", f"see database.sound; as root: {case.command('doctor')}")
    look = f"look at [audit] export_url and its credentials, then: {case.command('audit export')}"
    findings = []
    if failed is not None and (last is None or failed > last):
        make = red if why == "tampered" else yellow
        repair = f"keep both as they are; {case.command('audit verify URL --key KEY')}" if why == "tampered" else look
        findings.append(make(f"the last attempt failed: {_WHY.get(why, why)}", repair))
    days = LOST_DAYS if last is None else (time.time() - last / 1e6) / DAY
    if last is None and failed is None:
        return yellow("nothing has been exported there yet", f"wait for the first export after the start, or: {look}")
    if days >= LATE_DAYS:
        words = "never" if last is None else f"{days:.0f} days ago"
        findings.append((red if days >= LOST_DAYS and last is not None else yellow)(f"last exported {words}", look))
    told = said.split()  # head N size S (unlocked | MODE DATE) hidden H
    if "unlocked" in told and settings.export_lock != "none":
        findings.append(
            yellow(
                "what is exported is not held there: whoever can write to that place can change or remove it",
                "use a bucket that was made with Object Lock (deploy/S3.md), or see to it yourself and set [audit] "
                'export_lock = "none"',
            )
        )
    if told and told[-1] != "0":
        findings.append(
            yellow(
                f"{told[-1]} files there were removed or written over by somebody; what was put first is still there",
                "ask who has keys to that bucket",
            )
        )
    held = "" if "unlocked" in told else ", held until " + " ".join(told[5:6])
    return worst(findings, f"{days * 24:.0f} hours ago{held}")


def _by_hand(case: Case) -> Finding:
    last, _ = row(case, _SELECT.format("max(ts)", "action = 'log:exported'").replace("log:kept", "log:exported"))
    line = "name a place in [audit] export_url (deploy/S3.md), or each month: " + case.command("audit export DIR")
    if last is None:
        return yellow("the log was never exported, and no place is named for it", line)
    days = (time.time() - last / 1e6) / DAY
    words = f"no place is named for it; exported by hand {days:.0f} days ago"
    return green(words) if days <= BY_HAND_DAYS else yellow(words, line)


_SELECT = (
    "SELECT {0}, count(*) FROM log_leaves WHERE action = 'log:kept' AND {1} "
    "AND log IN (SELECT id FROM tenants UNION SELECT 'system')"  # so that the index over both is used
)
_ENTRY = (
    "SELECT entry, 0 FROM log_leaves WHERE action = 'log:kept' AND actor = 'gateway' AND outcome = '{0}' "
    "AND log IN (SELECT id FROM tenants) ORDER BY ts DESC LIMIT 1"
)


def _said(case: Case, outcome: str) -> str:
    """The machine words of our last attempt that ended so."""
    statement = _ENTRY.format(outcome)
    entry, _ = row(case, statement)
    return str(json.loads(bytes(entry))["reason"])
