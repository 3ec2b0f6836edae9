"""Templates with their words filled in: autoescaped, strict about names, no markup from anywhere but the templates.

Promises: a missing word or variable is an error, never an empty place; a value is escaped unless it came through
`safe_html` or segno (`gateway.portal.letters`, `gateway.portal.qr`).
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from gateway import words
from gateway.assets import web_dir
from gateway.portal.face import Face, iso, reference_words
from gateway.portal.kept import Kept


class Renderer:
    """Renders templates for one tenant's face. `demo` puts the banner on every page."""

    def __init__(self, *, demo: bool = False) -> None:
        self._demo = demo
        folder = web_dir() / "templates"
        self._environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.bytecode_cache = self.kept = Kept(folder, self._environment)
        self._environment.filters.update(iso=iso, reference=reference_words)
        self._environment.globals.update(
            say=words.say, say_with_phone=_say_with_phone, say_with_number=_say_with_number, words_of_rule=words_of_rule
        )

    def load_all(self) -> None:
        """Load every template, compiled here or kept, so that a broken one stops start-up and not a patient."""
        for name in self._environment.list_templates(extensions=["html"]):
            self._environment.get_template(name)

    def page(self, face: Face, template: str, csrf: str, **values: Any) -> str:
        """The finished page."""
        given: dict[str, Any] = {
            "clinic": face,
            "lang": face.language,
            "csrf": csrf,
            "demo": self._demo,
            "error": "",
            "note": "",
            "who": None,
            "may_help": False,
            "may_people": False,
            "may_hold": False,
            "audit_page": "",
            "sees_names": False,
            "place": "",
            "words_of_time": face.words_of_time,
            "brief_time": face.brief_time,
        }
        return self._environment.get_template(template).render(given | values)


def _say_with_phone(key: str, face: Face, **values: Any) -> Markup:
    """A sentence in which the clinic's number can be tapped."""
    before, number, after = words.say(key, clinic=face.display_name, phone="\0", **values).partition("\0")
    if not number:
        raise ValueError(f"{key} names no phone")
    link = Markup('<a class="phone" href="tel:{}">{}</a>').format(face.phone_link, face.phone)
    return escape(before) + link + escape(after)


def _say_with_number(key: str, face: Face) -> Markup:
    """The words of a button that calls the clinic; the number stays in one piece where there is room."""
    before, number, after = words.say(key, clinic=face.display_name, phone="\0").partition("\0")
    if not number:
        raise ValueError(f"{key} names no phone")
    return escape(before) + Markup('<span class="phone">{}</span>').format(face.phone) + escape(after)


def words_of_rule(rule: str) -> str:
    """Why a message was treated as it was; a rule of the clinic's own is shown by its name."""
    key = f"rule.{rule}"
    return words.say(key) if key in words.language() else rule.replace("-", " ")


def words_of_state(state: Any, face: Face) -> str:
    """A person's state for staff, in one line; `state` is `gateway.flow.sent.State`."""
    when = face.words_of_time(state.at) if state.at else ""
    proof = words.say(f"staff.proof.{state.proof}") if state.proof else ""
    server = face.server or words.say("staff.common.mail_server")
    return str(words.say(f"staff.state.{state.kind}", when=when, proof=proof, server=server))
