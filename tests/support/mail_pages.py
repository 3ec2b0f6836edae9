"""HTML of mails as programs and newsletters write it: each begins in another way, and each must show the link."""

from __future__ import annotations

WORDS = "<p>Hello,</p><p>the parking lot behind the building will be closed on the 10th.</p><p>Amy</p>"
_TABLE = '<table role="presentation" width="600" align="center" cellpadding="0" cellspacing="0" border="0">'

PAGES: dict[str, str] = {
    "plain": f"<html><head><title>Letter</title></head><body>{WORDS}</body></html>",
    "no-body-tag": WORDS,
    "head-without-body": f"<!DOCTYPE html><html><head><title>x</title></head>{WORDS}</html>",
    "style-first": f"<style>p {{ color: #333 }} .a {{ color: red }}</style>{WORDS}",
    "upper-case": f"<HTML><HEAD><TITLE>x</TITLE></HEAD><BODY BGCOLOR=#FFFFFF TEXT=#000000>{WORDS}</BODY></HTML>",
    "table-layout": (
        f'<html><body style="margin:0;padding:0;background:#eee">{_TABLE}<tr><td style="background:#fff;padding:24px">'
        f"{WORDS}</td></tr></table></body></html>"
    ),
    "nested-tables": f"<html><body>{f'{_TABLE}<tr><td>' * 6}{WORDS}{'</td></tr></table>' * 6}</body></html>",
    "hidden-preheader": (
        '<html><body style="margin:0"><div style="display:none;max-height:0;overflow:hidden;mso-hide:all">See you!'
        f'</div><span style="font-size:0;color:#fff">&zwnj;&nbsp;</span>{_TABLE}<tr><td>{WORDS}</td></tr></table>'
        "</body></html>"
    ),
    "dark-mode-css": (
        '<html><head><meta name="color-scheme" content="light dark"><style>@media (prefers-color-scheme: dark) {'
        "body, .card { background: #000 !important; color: #fff !important } p { color: #eee !important } "
        f"a {{ color: #7fd }} }}</style></head><body><div class=card>{WORDS}</div></body></html>"
    ),
    "right-to-left": (
        '<html dir="rtl" lang="he"><body><p>שלום,</p><p>החניה מאחורי הבניין תהיה סגורה.</p></body></html>'
    ),
    "font-size-nought": (
        f'<html><body style="font-size:0;line-height:0"><div style="font-size:14px">{WORDS}</div></body></html>'
    ),
    "white-on-blue": f'<html><body style="background:#003366;color:#ffffff"><div>{WORDS}</div></body></html>',
    "outlook-comments": (
        '<html xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office"><head>'
        "<!--[if gte mso 9]><xml><o:OfficeDocumentSettings></o:OfficeDocumentSettings></xml><![endif]-->"
        '<style><!-- p.MsoNormal { margin: 0cm } --></style></head><body lang=EN-US link="#0563C1">'
        f'<div class=WordSection1><p class=MsoNormal><o:p>&nbsp;</o:p></p>{WORDS}</div></body></html>'
    ),
    "outlook-ghost-table": (
        f"<html><body><!--[if mso]>{_TABLE}<tr><td><![endif]--><div style='max-width:600px'>{WORDS}</div>"
        "<!--[if mso]></td></tr></table><![endif]--></body></html>"
    ),
    "two-bodies-by-comment": (
        '<html><head></head><!--[if mso]><body class="mso"><![endif]--><!--[if !mso]><!--><body><!--<![endif]-->'
        f"{WORDS}</body></html>"
    ),
    "newsletter-css": (
        "<html><head><style>table { border-collapse: collapse !important } td { padding: 0 } a { color: inherit; "
        "text-decoration: none } p { margin: 0; font-size: 1px } img { display: block } @media (max-width: 480px) { "
        "table { width: 100% !important } td { display: block !important; width: 100% !important } }</style></head>"
        f'<body style="width:100%;min-width:600px">{_TABLE}<tr><td>{WORDS}</td></tr></table></body></html>'
    ),
    "flex-body": (
        f'<html><body style="display:flex;justify-content:center"><div style="width:300px">{WORDS}</div></body></html>'
    ),
    "flex-by-style": (
        "<html><head><style>html, body { display : flex; margin: 0 } .other { display: grid }</style></head>"
        f'<body><div style="width:300px">{WORDS}</div></body></html>'
    ),
    "grid-body": (
        '<html><body style="display:grid;grid-template-columns:1fr 1fr"><div style="width:300px">'
        f"{WORDS}</div><div>{WORDS}</div></body></html>"
    ),
    "floating": (
        f'<html><body><div style="float:left;width:50%">{WORDS}</div><div style="float:right">{WORDS}</div>'
        "</body></html>"
    ),
    "comment-with-a-tag": f"<!-- <body> is below --><html><head><!-- <body> --></head><body>{WORDS}</body></html>",
    "tag-in-an-attribute": f'<html><head><meta content="a > b <body>"></head><body title="x > y">{WORDS}</body></html>',
    "unclosed": f"<html><body><div><table><tr><td>{WORDS}",
    "quoted-reply": (
        '<html><body><div dir="ltr">Thanks!</div><br><div class="gmail_quote"><blockquote style="border-left:1px '
        f'solid #ccc;padding-left:1ex">{WORDS}</blockquote></div></body></html>'
    ),
}  # fmt: skip
