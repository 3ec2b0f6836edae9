"""Values of policy: facts about a mail and a recipient in, a decision out.

Promises: facts hold no words of the message; a decision names its rule, its policy with version, and reasons made of
kinds and places ("a record number in attachment 2 (PDF), page 2"), never values. DESIGN §3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from gateway.detect.model import Assessment

TREATMENTS = ("as-is", "attachments", "secure", "hold", "return")
SEALS = ("found", "all", "none")


@dataclass(frozen=True, slots=True)
class MailFacts:
    """What policy knows of a mail. `attachments` are part ids in order; `decorations` those that are unread but stay.

    `subject_tags` are the sender's words in the subject ("secure", "plain", "urgent"); `may_be_plain` says that the
    sender's role allows "[plain]", `plain_reason` why it was asked for, in a word of the policy. `unscanned` are the
    parts in which nobody looked for malware although a scanner is set: they count as unread, decorations too.
    `assumed`: a scanner or the like sent it, whose mail counts as PHI.
    """

    assessment: Assessment
    null_sender: bool = False
    auto_submitted: bool = False
    subject_tags: frozenset[str] = frozenset()
    sensitivity: str = ""
    signed: bool = False
    encrypted: bool = False
    malformed: bool = False
    attachments: tuple[str, ...] = ()
    decorations: frozenset[str] = frozenset()
    other_forms: frozenset[str] = frozenset()
    """Attachments that a mail program may show in place of the text: no link can be put into them."""

    may_be_plain: bool = False
    plain_reason: str = ""
    unscanned: frozenset[str] = frozenset()
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class RecipientFacts:
    """What policy knows of one recipient: of the tenant itself, on its partner list, the domain, and how it is known
    that mail to this partner goes over verified TLS ("declared").
    """

    internal: bool = False
    partner: bool = False
    domain: str = ""
    proof: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to a mail for one recipient."""

    treatment: str
    sealed_parts: frozenset[str]
    neutral_subject: bool
    rule: str
    policy: str
    reasons: tuple[str, ...] = ()
    note: str = ""
    """A machine word that the log shows with the rule: a partner's proof, the sender's reason for "[plain]"."""


@dataclass(frozen=True, slots=True)
class Partner:
    """A domain to which mail goes as it is: who they are, why, until which day (its last), and by which proof."""

    domain: str
    who: str
    why: str
    until: date
    proof: str = "declared"


@dataclass(frozen=True, slots=True)
class Rule:
    """The first rule whose every condition holds decides. A condition is a fact's name, or "not " and its name."""

    name: str
    when: tuple[str, ...]
    then: str
    seal: str = "found"
    say: str = ""
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules in order. `version` is the beginning of the file's SHA-256; `second_person`: two officers release.
    `staff_grant`: staff may send delivered mail again without its sender.

    `plain_roles` may ask for "[plain: reason]" with one of `plain_reasons`.
    """

    name: str
    version: str
    rules: tuple[Rule, ...] = field(repr=False)
    second_person: bool = False
    partners: tuple[Partner, ...] = field(default=(), repr=False)
    plain_roles: frozenset[str] = frozenset()
    plain_reasons: frozenset[str] = frozenset()
    staff_grant: bool = False

    @property
    def label(self) -> str:
        """As it stands in decisions and log entries: "clinic@ab12cd34"."""
        return f"{self.name}@{self.version}"
