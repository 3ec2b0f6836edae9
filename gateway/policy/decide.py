"""The decision: first rule that matches, default hold. Pure and total: it never raises for what a mail holds."""

from __future__ import annotations

from gateway.policy import facts as factual
from gateway.policy.model import Decision, MailFacts, Policy, RecipientFacts, Rule

DEFAULT = Rule(name="default", when=(), then="hold", say="no rule matched")
WORDS = {
    "NAME": "a person's name",
    "DATE": "a date",
    "LOCATION": "an address or place",
    "PHONE": "a phone number",
    "EMAIL": "an e-mail address",
    "SSN": "a social security number",
    "ID": "a record or licence number",
    "ACCOUNT": "an account or member number",
    "DEVICE": "a device number",
    "AGE90": "an age over 89",
    "URL": "a web address",
    "IP": "a network address",
    "HEALTH": "health details",
    "FORMAT": "a medical record format",
    "MALWARE": "malware",
}
REASONS = 12


def decide(policy: Policy, mail: MailFacts, recipient: RecipientFacts) -> Decision:
    """What happens to this mail for this recipient."""
    facts = factual.of(mail, recipient)
    rule = next((one for one in policy.rules if _matches(one, facts, recipient)), DEFAULT)
    neutral = facts["phi_subject"] or "subject" in factual.unread_parts(mail)
    sealed: frozenset[str] = frozenset()
    then = rule.then
    if then == "attachments":
        sealed = _sealed(rule, mail)
        if not sealed and not neutral:
            then = "as-is"  # nothing to seal and nothing to say
        else:
            # Whoever saw such a form would not see the link, so it goes where the files go.
            sealed |= mail.other_forms & frozenset(mail.attachments)
    changes = then not in ("as-is", "return")
    note = recipient.proof if "partner" in rule.when else mail.plain_reason if "plain_word" in rule.when else ""
    return Decision(then, sealed, neutral and changes, rule.name, policy.label, _reasons(rule, mail), note)


def _matches(rule: Rule, facts: dict[str, bool], recipient: RecipientFacts) -> bool:
    if rule.domains and recipient.domain.lower() not in rule.domains:
        return False
    return all(not facts[word[4:]] if word.startswith("not ") else facts[word] for word in rule.when)


def _sealed(rule: Rule, mail: MailFacts) -> frozenset[str]:
    listed = frozenset(mail.attachments)
    if rule.seal == "all":
        return listed - mail.decorations
    if rule.seal == "none":
        return frozenset()
    return (factual.phi_parts(mail) | factual.unread_parts(mail)) & listed


def _reasons(rule: Rule, mail: MailFacts) -> tuple[str, ...]:
    """Kinds and places for people: what was found, what was not read, then what the rule says."""
    said: list[str] = []
    for part in mail.assessment.parts:
        if part.status != "phi":
            continue
        by_place: dict[str, list[str]] = {}
        for finding in part.findings:
            kinds = by_place.setdefault(finding.place, [])
            if finding.kind not in kinds:
                kinds.append(finding.kind)
        for place, kinds in by_place.items():
            words = [WORDS.get(kind, "an identifier") for kind in sorted(kinds, key=_weight)[:4]]
            quoted = ", in quoted text" if part.part == "body" and mail.assessment.own_text == "quoted" else ""
            said.append(f"{_listed(words)} in {place}{quoted}")
    said += [
        f"{one.place} could not be read: {one.reason}"
        for one in mail.assessment.unread
        if one.owner not in mail.decorations or one.owner in mail.unscanned
    ]
    if rule.say:
        said = [*said[: REASONS - 1], rule.say]
    return tuple(dict.fromkeys(said))[:REASONS]


def _weight(kind: str) -> int:
    order = (
        "FORMAT",
        "SSN",
        "ID",
        "ACCOUNT",
        "NAME",
        "HEALTH",
        "DATE",
        "PHONE",
        "EMAIL",
        "LOCATION",
        "AGE90",
        "DEVICE",
        "URL",
        "IP",
    )
    return order.index(kind) if kind in order else len(order)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
