"""Policy: facts about a mail and a recipient in, a decision out. First match, default hold. DESIGN §3."""

from gateway.policy.decide import decide
from gateway.policy.files import load, parse, shipped, source
from gateway.policy.model import Decision, MailFacts, Policy, RecipientFacts, Rule

__all__ = ["Decision", "MailFacts", "Policy", "RecipientFacts", "Rule", "decide", "load", "parse", "shipped", "source"]
