"""A recipient's inbox: begun after reading, opened without the old mail, its words changed, closed.

The words that open it are proposed, shown once and typed back once; between the two pages they are known by a tag that
only this browser can make, so that they are kept nowhere (gateway/decisions/0043).
"""

from __future__ import annotations

from datetime import datetime

from starlette.responses import Response

from gateway import words
from gateway.audit.event import Action
from gateway.flow.visit import Denial
from gateway.portal import cookies
from gateway.portal.answers import Away
from gateway.portal.call import Call
from gateway.portal.door import slow
from gateway.portal.guards import Rate, Trace, Unlogged, page
from gateway.portal.pages import read
from gateway.share import inbox as phrases

BEGIN = Trace(Action.FACTOR_ENROLLED, Rate(30))
WORDS_SHOWN = Trace(Unlogged("words that are kept nowhere; what comes of them is an event"), Rate(30))
ENTER = Trace(Action.SESSION_STARTED, Rate(60))
INSIDE = Trace(Action.META_OPENED, Rate(60))
HASHES_PER_MINUTE, NETWORK_PER_MINUTE = 6, 30
NOTES = {"closed": "portal.inbox.closed", "out": "portal.inbox.out", "changed": "portal.inbox.changed"}


@page("/m/{token}/inbox", "GET", trace=Trace(Unlogged("words that offer an inbox; nothing is changed"), Rate(60)))
def offer(call: Call) -> Response:
    """What an inbox is, and what it is not."""
    kept = call.deps.inboxes.kept(call.session)
    if isinstance(kept, Denial):
        return read.refused(call, kept)
    return call.page("inbox/offer.html", base=call.plain_base, kept=kept)


@page("/m/{token}/inbox", "POST", trace=WORDS_SHOWN)
def show_words(call: Call) -> Response:
    """Seven words, once."""
    return _words(call, f"{call.plain_base}/inbox", call.plain_base)


@page("/m/{token}/inbox/type", "POST", trace=WORDS_SHOWN)
def type_words(call: Call) -> Response:
    """Now from the paper."""
    return _typing(call, f"{call.plain_base}/inbox", call.plain_base)


@page("/m/{token}/inbox/save", "POST", trace=BEGIN)
def save(call: Call) -> Response:
    """The typed words are those that were shown: the inbox begins."""
    phrase = _typed(call)
    if phrase is None:
        return _typing(call, f"{call.plain_base}/inbox", call.plain_base, words.say("portal.inbox.not_same"))
    if not call.deps.limits.take("inbox words", call.door.person, HASHES_PER_MINUTE):
        return slow(call)
    opens = call.once(
        "inbox", lambda: call.deps.inboxes.enrol(call.origin, call.door, call.session, phrase), call.form.get("tag", "")
    )
    if isinstance(opens, datetime):
        return call.page("inbox/begun.html", base=call.plain_base, opens_at=opens, place=f"{call.face.host}/inbox")
    if opens.reason in ("stale", "no-factor", "proof-too-low"):
        return call.problem("again", 409, reference=call.door.reference)
    return read.refused(call, opens)


@page("/inbox/sign-in", "GET", trace=ENTER)
def sign_in(call: Call) -> Response:
    """Address, code and words."""
    note = NOTES.get(call.query.get("note", ""), "")
    return call.page("inbox/sign_in.html", note=words.say(note) if note else "", address="")


@page("/inbox/sign-in", "POST", trace=ENTER)
def enter(call: Call) -> Response:
    """Into the inbox; whatever was wrong, the page says the same."""
    address, code = call.form.get("address", "").strip()[:254], call.form.get("code", "")[:32]
    phrase = phrases.read(call.form.get("words", ""))
    if phrase is None:
        return _again(call, address, "portal.inbox.count")
    if not call.deps.limits.take("inbox try", call.origin.network, NETWORK_PER_MINUTE):
        return slow(call)
    result = call.once(
        "inbox", lambda: call.deps.inboxes.enter(call.origin, address, code, phrase), address, code, str(phrase)
    )
    if not isinstance(result, Denial):
        call.jar.set(cookies.INBOX, result.handle)
        call.jar.set(cookies.INBOX_KEY, cookies.encode(result.sealed))
        return Away("/inbox")
    if result.reason == "busy":
        return slow(call)
    if result.reason == "too-many":
        return call.problem("too_many", 429)
    return _again(call, address, "portal.inbox.too_new" if result.reason == "too-new" else "portal.inbox.wrong")


@page("/inbox", "GET", trace=INSIDE)
def inbox(call: Call) -> Response:
    """The list."""
    if call.is_head:
        return Response(media_type="text/html")
    found = call.deps.inboxes.listed(call.origin, call.inbox)
    if isinstance(found, Denial):
        return Away("/inbox/sign-in")
    messages, more = found
    note = NOTES.get(call.query.get("note", ""), "")
    shown = [{"short": cookies.short(one.grant), "row": one} for one in messages]
    return call.page("inbox/list.html", messages=shown, more=more, note=words.say(note) if note else "")


@page("/inbox/messages/{grant}", "GET", trace=read.READER)
def message(call: Call) -> Response:
    """One message, read as behind its link."""
    return read.letter(call)


@page("/inbox/words", "GET", trace=WORDS_SHOWN)
def other_words(call: Call) -> Response:
    """What other words are for."""
    return call.page("inbox/words.html", step="why", words=(), tag="", to="/inbox/words", back="/inbox", code=True)


@page("/inbox/words", "POST", trace=WORDS_SHOWN)
def show_other_words(call: Call) -> Response:
    """Seven new words, once."""
    return _words(call, "/inbox/words", "/inbox")


@page("/inbox/words/type", "POST", trace=WORDS_SHOWN)
def type_other_words(call: Call) -> Response:
    """The new words from the paper, and a code."""
    return _typing(call, "/inbox/words", "/inbox", code=True)


@page("/inbox/words/save", "POST", trace=BEGIN)
def save_other_words(call: Call) -> Response:
    """From now on the new words open it, and the old ones nothing."""
    phrase = _typed(call)
    if phrase is None:
        return _typing(call, "/inbox/words", "/inbox", words.say("portal.inbox.not_same"), code=True)
    if not call.deps.limits.take("inbox words", call.inbox.session["inbox"], HASHES_PER_MINUTE):
        return slow(call)
    code = call.form.get("code", "")[:32]
    denial = call.once(
        "inbox words", lambda: call.deps.inboxes.change(call.origin, call.inbox, code, phrase), code, str(phrase)
    )
    if denial is None:
        return Away("/inbox?note=changed")
    if denial.reason == "busy":
        return slow(call)
    if denial.reason == "too-many":
        return call.problem("too_many", 429)
    return _typing(call, "/inbox/words", "/inbox", words.say("portal.app.wrong"), code=True)


@page("/inbox/close", "GET", trace=Trace(Unlogged("asks whether; nothing is changed"), Rate(60)))
def ask_close(call: Call) -> Response:
    """What is lost and what stays."""
    return call.page("inbox/close.html")


@page("/inbox/close", "POST", trace=Trace(Action.FACTOR_REMOVED, Rate(30)))
def close(call: Call) -> Response:
    """For good."""
    call.deps.inboxes.close(call.origin, call.inbox)
    return _left(call, "closed")


@page("/inbox/sign-out", "POST", trace=Trace(Action.SESSION_ENDED, Rate(30)))
def sign_out(call: Call) -> Response:
    """Out of this browser."""
    call.deps.inboxes.sign_out(call.origin, call.inbox)
    return _left(call, "out")


def _left(call: Call, note: str) -> Response:
    call.jar.drop(cookies.INBOX)
    call.jar.drop(cookies.INBOX_KEY)
    return Away(f"/inbox/sign-in?note={note}")


def _words(call: Call, to: str, back: str) -> Response:
    proposed = phrases.propose()
    tag = cookies.form_token(call.jar.visitor(), f"{call.handle} {' '.join(proposed)}")
    return call.page("inbox/words.html", step="shown", words=proposed, tag=tag, to=to, back=back, code=False)


def _typing(call: Call, to: str, back: str, error: str = "", *, code: bool = False) -> Response:
    tag = call.form.get("tag", "")[:64]
    return call.page(
        "inbox/words.html", 422 if error else 200, step="type", words=(), tag=tag, to=to, back=back, code=code,
        error=error,
    )  # fmt: skip


def _typed(call: Call) -> bytes | None:
    """The words, when they are those that this browser was shown in this session."""
    phrase = phrases.read(call.form.get("words", ""))
    if phrase is None:
        return None
    said = f"{call.handle} {phrase.decode()}"
    return phrase if cookies.form_token_holds(call.form.get("tag", ""), call.jar.visitor(), said) else None


def _again(call: Call, address: str, key: str) -> Response:
    return call.page("inbox/sign_in.html", 422, address=address, error=words.say(key, clinic=call.face.display_name))
