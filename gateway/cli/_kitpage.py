"""One sheet of a recovery kit as a page to print: words in numbered columns, a QR code of them, the check value.

Promises: nothing is fetched and nothing runs; black on white, on one sheet of letter paper or A4; what it says besides
the words is what a person needs who finds it in a safe after years.
"""

from __future__ import annotations

import html

from gateway import words
from keys.kit import Sheet, check_words

_STYLE = """
@page { size: letter; margin: 16mm }
body { font: 11.5pt/1.4 "DejaVu Sans", Arial, sans-serif; color: #000; background: #fff; max-width: 180mm;
  margin: 8mm auto; padding: 0 4mm }
h1 { font-size: 19pt; margin: 0 0 2mm } h2 { font-size: 13pt; margin: 5mm 0 1mm } p { margin: 0 0 2mm }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 1mm 6mm; margin: 3mm 0 }
dt { font-weight: bold } dd { margin: 0 }
ol { columns: 3; column-gap: 8mm; font: 13pt/1.5 "DejaVu Sans Mono", monospace; margin: 2mm 0; padding-left: 12mm }
.check { font: bold 15pt "DejaVu Sans Mono", monospace }
.qr { width: 46mm; height: 46mm; float: right; margin: 0 0 2mm 4mm }
.warn { border: .6mm solid #000; padding: 2mm 3mm }
@media (max-width: 500px) {
  ol { columns: 2; column-gap: 4mm; font-size: 11pt } dl { display: block } .qr { float: none }
}
""".strip()


def page(sheet: Sheet) -> str:
    """The whole page, HTML."""
    import segno

    say = words.say
    needed = say("kit.all") if sheet.sheets == 1 else say("kit.some", needed=sheet.needed, sheets=sheet.sheets)
    title = say("kit.title", clinic=sheet.clinic)
    picture = segno.make(sheet.words, error="m", micro=False).svg_inline(
        scale=1, border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None, title=say("kit.qr")
    )
    drawn = picture.replace("<svg ", '<svg role="img" ', 1)
    facts = [
        (say("kit.clinic"), sheet.clinic), (say("kit.made"), sheet.made), (say("kit.key"), sheet.key),
        (say("kit.sheet"), say("kit.number", number=sheet.number, sheets=sheet.sheets)),
    ]  # fmt: skip
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in facts)
    items = "".join(f"<li>{html.escape(word)}</li>" for word in sheet.words.split())
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{html.escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{drawn}\n<h1>{html.escape(title)}</h1>\n"
        f"<p>{html.escape(say('kit.what'))}</p>\n<p>{html.escape(needed)}</p>\n<dl>{rows}</dl>\n"
        f"<h2>{html.escape(say('kit.words'))}</h2>\n<ol>{items}</ol>\n"
        f"<h2>{html.escape(say('kit.check'))}</h2>\n"
        f'<p class="check">{html.escape(check_words(sheet.check))}</p>\n<p>{html.escape(say("kit.check_how"))}</p>\n'
        f'<p class="warn">{html.escape(say("kit.keep"))}</p>\n</main>\n</body>\n</html>\n'
    )
