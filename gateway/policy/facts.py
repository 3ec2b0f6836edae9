"""The closed list of facts that a rule may name, and how each follows from a mail and a recipient. Pure."""

from __future__ import annotations

from gateway.policy.model import MailFacts, RecipientFacts

SECURE_SENSITIVITIES = frozenset({"private", "personal", "company-confidential", "confidential"})
"""Values of the Sensitivity header that ask for protection (RFC 2156 5.3.4, RFC 4021 2.1.55)."""

FACTS = {
    "internal": "the recipient is of the tenant itself",
    "partner": "the recipient's domain is on the tenant's partner list",
    "null_sender": "the reverse-path is empty (a DSN)",
    "auto_submitted": "made by a machine (RFC 3834)",
    "secure_word": "the sender asked for protection: [secure], or a Sensitivity header",
    "plain_word": "the sender wrote [plain], and may",
    "signed": "S/MIME or PGP signed",
    "encrypted": "S/MIME or PGP encrypted by the sender",
    "malformed": "broken MIME",
    "phi": "PHI somewhere",
    "phi_subject": "PHI in the subject",
    "phi_body": "PHI in the body",
    "phi_attachments": "PHI in an attachment",
    "unread": "something could not be read",
    "unread_body": "the body or the subject could not be read",
    "unread_attachments": "an attachment could not be read",
    "unscanned": "something was not looked through for malware, although a scanner is set; it counts as unread too",
    "assumed": "sent by a device whose mail counts as PHI, whatever is found in it",
    "has_attachments": "there are attachments other than decorations",
    "clean": "all was read, none of it is PHI",
}


def of(mail: MailFacts, recipient: RecipientFacts) -> dict[str, bool]:
    """Every fact of `FACTS` for this mail and recipient."""
    phi = phi_parts(mail)
    unread = unread_parts(mail)
    listed = frozenset(mail.attachments)
    whole = mail.assessment.phi and not phi  # cannot be said of one part: then it is the body's
    facts = {
        "internal": recipient.internal,
        "partner": recipient.partner,
        "null_sender": mail.null_sender,
        "auto_submitted": mail.auto_submitted,
        "secure_word": "secure" in mail.subject_tags or mail.sensitivity.strip().lower() in SECURE_SENSITIVITIES,
        "plain_word": "plain" in mail.subject_tags and mail.may_be_plain,
        "signed": mail.signed,
        "encrypted": mail.encrypted,
        "malformed": mail.malformed,
        "phi": mail.assessment.phi or bool(phi),
        "phi_subject": "subject" in phi,
        "phi_body": bool(phi - listed - {"subject"}) or whole,
        "phi_attachments": bool(phi & listed),
        "unread": bool(unread),
        "unread_body": bool(unread - listed),
        "unread_attachments": bool(unread & listed),
        "unscanned": bool(mail.unscanned),
        "assumed": mail.assumed,
        "has_attachments": bool(listed - mail.decorations),
        "clean": False,
    }
    facts["clean"] = not facts["phi"] and not facts["unread"] and not facts["malformed"]
    return facts


def phi_parts(mail: MailFacts) -> frozenset[str]:
    """Parts that are PHI."""
    return frozenset(part.part for part in mail.assessment.parts if part.status == "phi")


def unread_parts(mail: MailFacts) -> frozenset[str]:
    """Parts of which something was not read, decorations apart, and parts that were not scanned, decorations too."""
    named = {one.owner for one in mail.assessment.unread} | {
        part.part for part in mail.assessment.parts if part.status == "unread"
    }
    return (frozenset(named) - mail.decorations) | mail.unscanned
