"""Reading: the message, its files as cards, looking at one, downloading it.

What is shown was released and logged before (gateway.flow.download). HEAD releases nothing.
"""

from __future__ import annotations

from markupsafe import Markup
from starlette.responses import Response

from gateway.audit.event import Action
from gateway.clock import from_us
from gateway.flow.bundle import Bundle
from gateway.flow.download import LOOK_BYTES
from gateway.flow.opened import File, Opened
from gateway.flow.sending import whole
from gateway.flow.visit import Denial
from gateway.portal import cookies
from gateway.portal.answers import Away, FileAnswer, disposition, matches, span_of
from gateway.portal.call import Call
from gateway.portal.door import ended, slow
from gateway.portal.face import size_words, type_key
from gateway.portal.guards import Rate, Trace, page
from gateway.portal.headers import FILE_CSP, LOOK_CSP
from gateway.portal.letters import shown, words_of

READER = Trace(Action.OBJECT_OPENED, Rate(60))
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
TEXTS = frozenset({"text/plain", "text/csv"})
LOOK_PICTURE_BYTES = 26_214_400
PLAIN_TYPE = "application/octet-stream"
ZIP_TYPE = "application/zip"
ALL_PER_MINUTE = 12
"""Archives a minute with one link: each leaves two entries for every file, and a part of one opens what is before."""


def letter(call: Call) -> Response:
    """The message page, for a caller whose session was checked."""
    if call.is_head:
        return Response(media_type="text/html")
    found = call.deps.downloads.read(call.origin, call.door, call.session)
    if isinstance(found, Denial):
        return refused(call, found)
    wants_html = found.html is not None and (not found.text or call.query.get("as") == "html")
    if found.html is not None and call.query.get("as") == "original":
        return _original(found.html)
    body_html = shown(found.html or "") if wants_html else Markup("")
    body_text = found.text if not wants_html else None
    if body_html is None:
        body_text = found.text or words_of(found.html or "")
    sender, address = call.deps.visits.faces(call.door)
    in_inbox = call.door.row["kind"] == "inbox"
    return call.page(
        "read.html",
        subject=found.subject,
        sender=found.sender or sender or call.face.display_name,
        address=address,
        sent_at=from_us(found.received_at_us),
        ends_at=call.door.ends_at,
        body_html=body_html or "",
        body_text=body_text,
        plain_only=body_html is None,
        body_large=found.too_large,
        both_forms=bool(found.text) and bool(found.html),
        files=[card(file) for file in found.files],
        all_words=size_words(sum(file.size_bytes for file in found.files)),
        base=call.plain_base,
        in_inbox=in_inbox,
        offer_app=not in_inbox and "totp" not in call.door.doors,
        offer_inbox=not in_inbox and "totp" in call.door.doors,
        offer_passkey=not in_inbox and call.door.may_passkey and "passkey" not in call.door.doors,
        recovered=call.session["method"] == "recovery",
        offer_device=not in_inbox
        and call.door.may_remember
        and not call.jar.get(cookies.DEVICE + cookies.short(call.door.person)),
    )


def _original(html: str) -> Response:
    """The letter as it was sent, as a file; it was released and logged like the page that shows it."""
    headers = {
        "content-security-policy": FILE_CSP,
        "cache-control": "no-store",
        "content-disposition": disposition("message.html"),
    }
    return Response(html.encode("utf-8", "replace"), media_type=PLAIN_TYPE, headers=headers)


@page("/inbox/messages/{grant}/files/{object}", "GET", trace=READER)
@page("/m/{token}/files/{object}", "GET", trace=READER)
def download(call: Call) -> Response:
    """The file itself, with its true name; ranges, so that a download resumes (RFC 9110 14)."""
    identifier = call.path["object"]
    measured = call.deps.downloads.measure(call.origin, call.door, identifier)
    size, etag = measured.size_bytes, measured.etag
    headers = {"etag": etag, "accept-ranges": "bytes", "content-security-policy": FILE_CSP, "cache-control": "no-store"}
    if "if-match" in call.fields and not matches(call.fields["if-match"], etag, weakly=False):
        return Response(status_code=412, headers=headers)
    if "if-none-match" in call.fields and matches(call.fields["if-none-match"], etag, weakly=True):
        return Response(status_code=304, headers=headers)
    if call.is_head:
        return Response(headers=headers | {"content-length": str(size), "content-type": PLAIN_TYPE})
    span = span_of(size, etag, call.fields.get("range", ""), call.fields.get("if-range", ""))
    if span is None:
        return Response(status_code=416, headers=headers | {"content-range": f"bytes */{size}"})
    opened = call.deps.downloads.open(call.origin, call.door, call.session, measured, "download")
    if isinstance(opened, Denial):
        return refused(call, opened)
    headers["content-disposition"] = disposition(opened.name)
    headers["content-type"] = PLAIN_TYPE
    if span.partial:
        headers["content-range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    sending = opened.part(span.start, span.stop)
    return FileAnswer(sending, call.files_pool, status=206 if span.partial else 200, headers=headers)


@page("/inbox/messages/{grant}/files", "GET", trace=READER)
@page("/m/{token}/files", "GET", trace=READER)
def download_all(call: Call) -> Response:
    """All files as one ZIP, made while it is sent; its length is known, and a part resumes it (RFC 9110 14)."""
    if not call.deps.limits.take("all files", call.door.grant, ALL_PER_MINUTE):
        return slow(call)
    found = call.deps.downloads.measure_all(call.origin, call.door)
    headers = {"etag": found.etag, "accept-ranges": "bytes", "content-security-policy": FILE_CSP}
    headers["cache-control"] = "no-store"
    if "if-match" in call.fields and not matches(call.fields["if-match"], found.etag, weakly=False):
        return Response(status_code=412, headers=headers)
    if call.is_head:
        return Response(headers=headers, media_type=ZIP_TYPE)
    opened = call.deps.downloads.open_all(call.origin, call.door, call.session, found)
    if isinstance(opened, Denial):
        return refused(call, opened)
    bundle = Bundle(opened, from_us(found.moment_us))
    size = bundle.size_bytes
    span = span_of(size, found.etag, call.fields.get("range", ""), call.fields.get("if-range", ""))
    if span is None:
        bundle.end(well=False)
        return Response(status_code=416, headers=headers | {"content-range": f"bytes */{size}"})
    headers["content-disposition"] = disposition(f"message-{call.door.reference}.zip")
    headers["content-type"] = ZIP_TYPE
    if span.partial:
        headers["content-range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
        bundle.only(span.start, span.stop)
    return FileAnswer(bundle, call.files_pool, status=206 if span.partial else 200, headers=headers)


@page("/inbox/messages/{grant}/files/{object}/look", "GET", trace=READER)
@page("/m/{token}/files/{object}/look", "GET", trace=READER)
def look(call: Call) -> Response:
    """Text as text, a picture as a picture; everything else is downloaded."""
    if call.is_head:
        return Response(media_type="text/html")
    found = call.deps.downloads.card(call.origin, call.door, call.session, call.path["object"])
    if isinstance(found, Denial):
        return refused(call, found)
    kind = _looks_as(found)
    if kind is None:
        return call.problem("missing", 404)
    text, cut = None, False
    if kind == "text":
        opened = call.deps.downloads.open(call.origin, call.door, call.session, found.id, "look")
        if isinstance(opened, Denial):
            return refused(call, opened)
        text = _text(opened)
        cut = opened.size_bytes > LOOK_BYTES
    response = call.page("look.html", file=card(found), text=text, cut=cut, base=call.plain_base)
    response.headers["content-security-policy"] = LOOK_CSP
    return response


@page("/inbox/messages/{grant}/files/{object}/picture", "GET", trace=READER)
@page("/m/{token}/files/{object}/picture", "GET", trace=READER)
def picture(call: Call) -> Response:
    """The bytes of a picture for the look page; only raster types, never SVG."""
    if call.is_head:
        return Response(media_type=PLAIN_TYPE)
    found = call.deps.downloads.card(call.origin, call.door, call.session, call.path["object"])
    if isinstance(found, Denial):
        return refused(call, found)
    if _looks_as(found) != "picture":
        return call.problem("missing", 404)
    opened = call.deps.downloads.open(call.origin, call.door, call.session, found.id, "look")
    if isinstance(opened, Denial):
        return refused(call, opened)
    headers = {
        "content-security-policy": FILE_CSP,
        "cache-control": "no-store",
        "content-type": _plain(found.media_type),
        "content-disposition": disposition(opened.name, inline=True),
    }
    return FileAnswer(opened.part(0, opened.size_bytes), call.files_pool, status=200, headers=headers)


def card(file: File) -> dict[str, object]:
    """A file as the templates show it."""
    return {
        "id": file.id,
        "name": file.name,
        "type_words": type_key(file.media_type),
        "size_words": size_words(file.size_bytes),
        "can_look": _looks_as(file) is not None,
    }


def refused(call: Call, denial: Denial) -> Response:
    """What the keyholder said no to, as a page."""
    if denial.reason in ("revoked", "expired", "frozen", "destroyed", "unknown"):
        return ended(call, denial.reason)
    if denial.reason in ("person-budget", "tenant-budget"):
        return call.problem("budget", 429, reference=call.door.reference)
    if denial.reason == "busy":
        return slow(call)
    if call.open_inbox is not None:
        return Away("/inbox/sign-in")
    return call.problem("session", 401, reference=call.door.reference)


def _looks_as(file: File) -> str | None:
    kind = _plain(file.media_type)
    if kind in PICTURES and file.size_bytes <= LOOK_PICTURE_BYTES:
        return "picture"
    return "text" if kind in TEXTS else None


def _plain(media_type: str) -> str:
    return media_type.split(";", 1)[0].strip().lower()


def _text(opened: Opened) -> str:
    """The first part of a text file, in the encoding it most likely has."""
    data = whole(opened.part(0, min(opened.size_bytes, LOOK_BYTES)))
    for encoding in ("utf-8-sig", "utf-16") if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig",):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            if len(data) - error.start < 4 and opened.size_bytes > LOOK_BYTES:  # a character cut at the end
                return data[: error.start].decode(encoding, "replace")
    return data.decode("cp1252", "replace")
