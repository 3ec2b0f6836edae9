"""Shapes that real mail has and that readers stumble over: boundaries, depth, ends, sizes, what stands around parts."""

from __future__ import annotations

from tests.support.real.pieces import CRLF, Filling, attached, hyper, kind, page, part, parts, plain


def _mixed(filling: Filling, boundary: str, said: str, *more: str, preamble: str = "", epilogue: str = "") -> str:
    top = filling.headers(
        "Parking on the 10th", *more, "MIME-Version: 1.0", f"Content-Type: multipart/mixed; boundary={said}"
    )
    return top + CRLF + parts(boundary, plain(filling), attached(filling), preamble=preamble, epilogue=epilogue)


@kind()
def boundary_folded(filling: Filling) -> str:
    """The parameter on lines of its own, tabs and blanks."""
    return _mixed(filling, "fold-ed", '\r\n\t\r\n\t"fold-ed"'.replace("\r\n\t\r\n", "\r\n"))


@kind()
def boundary_with_blank(filling: Filling) -> str:
    """A blank in the middle."""
    return _mixed(filling, "a b c", '"a b c"')


@kind()
def boundary_all_signs(filling: Filling) -> str:
    """Every sign that RFC 2046 allows."""
    return _mixed(filling, "'()+_,-./:=? x", '"\'()+_,-./:=? x"')


@kind("secure")
def boundary_quoted_pairs(filling: Filling) -> str:
    """A program that escapes what needs no escape."""
    return _mixed(filling, "a.b_c", '"a\\.b\\_c"')


@kind()
def boundary_semicolon_last(filling: Filling) -> str:
    """A last semicolon, blanks around the sign of equality's neighbours."""
    return _mixed(filling, "last", '"last";')


@kind("secure")
def boundary_nested_prefix(filling: Filling) -> str:
    """The inner boundary begins like the outer one and goes on."""
    both = part(
        'Content-Type: multipart/alternative; boundary="----=_Next_1_alt"',
        parts("----=_Next_1_alt", plain(filling), hyper(page(filling))),
    )
    top = filling.headers(
        "Parking on the 10th", "MIME-Version: 1.0", 'Content-Type: multipart/mixed; boundary="----=_Next_1"'
    )
    return top + CRLF + parts("----=_Next_1", both, attached(filling))


@kind()
def preamble_and_epilogue(filling: Filling) -> str:
    """Words around the parts."""
    return _mixed(
        filling,
        "pe",
        "pe",
        preamble="This is a message in MIME. Your program is old.\r\n\r\n",
        epilogue="\r\nThis is the end.\r\n",
    )


@kind("secure")
def no_closing_boundary(filling: Filling) -> str:
    """The last line was lost."""
    return _mixed(filling, "open", "open").replace("--open--\r\n", "")


@kind()
def closing_boundary_without_line_end(filling: Filling) -> str:
    """The mail ends with the delimiter."""
    return _mixed(filling, "ends", "ends").removesuffix("\r\n")


@kind()
def blanks_behind_boundaries(filling: Filling) -> str:
    """Gateways that pad lines."""
    return _mixed(filling, "pad", "pad").replace("--pad\r\n", "--pad  \t\r\n").replace("--pad--\r\n", "--pad--   \r\n")


@kind()
def deep_twelve(filling: Filling) -> str:
    """Twelve multiparts in each other."""
    inner = part("Content-Type: multipart/mixed; boundary=d0", parts("d0", plain(filling), attached(filling)))
    for level in range(1, 12):
        inner = part(f"Content-Type: multipart/mixed; boundary=d_{level}_x", parts(f"d_{level}_x", inner))
    return filling.headers("Parking on the 10th", "MIME-Version: 1.0") + inner


@kind()
def four_hundred_parts(filling: Filling) -> str:
    """Very many small texts."""
    many = [part("Content-Type: text/plain", f"page {at}\r\n") for at in range(400)]
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=many")
    return top + CRLF + parts("many", plain(filling), *many, attached(filling))


@kind()
def twenty_files(filling: Filling) -> str:
    """Twenty times the file under twenty names."""
    more = [attached(Filling(filling.id, "", f"{at}-{filling.name}", filling.media, filling.data)) for at in range(20)]
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=files")
    return top + CRLF + parts("files", plain(filling), *more)


@kind()
def header_fifty_kilobytes(filling: Filling) -> str:
    """A header as long as a book, in folded lines."""
    return _mixed(filling, "long", "long", *(f"X-MS-Exchange-Organization-{at}: " + "v" * 480 for at in range(100)))


@kind()
def thousand_received(filling: Filling) -> str:
    """A mail that went round and round."""
    one = "Received: from a.riverside.test (a.riverside.test [192.0.2.1])\r\n\tby b.riverside.test (Postfix) with ESMTP id 1A2B\r\n\tfor <reader@outside.test>; Mon, 16 Nov 2026 09:00:00 -0600 (CST)\r\n"
    return one * 1000 + _mixed(filling, "recv", "recv")


@kind()
def lines_of_ten_thousand(filling: Filling) -> str:
    """HTML in one line."""
    shown = page(filling).replace(CRLF, "") + "<p>" + "word " * 2000 + "</p>"
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=wide")
    return top + CRLF + parts("wide", part("Content-Type: text/html; charset=utf-8", shown), attached(filling))


@kind()
def text_behind_the_file(filling: Filling) -> str:
    """The file first, then what the person wrote."""
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=bf")
    return top + CRLF + parts("bf", attached(filling), plain(filling))


@kind()
def html_behind_text_in_mixed(filling: Filling) -> str:
    """Text and HTML side by side, no alternative: some programs show one, some both."""
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=tm")
    return top + CRLF + parts("tm", plain(filling), hyper(page(filling)), attached(filling))


@kind()
def html_before_text_in_alternative(filling: Filling) -> str:
    """The order the wrong way round."""
    both = part("Content-Type: multipart/alternative; boundary=wr", parts("wr", hyper(page(filling)), plain(filling)))
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=wm")
    return top + CRLF + parts("wm", both, attached(filling))


@kind()
def file_in_alternative(filling: Filling) -> str:
    """The file as if it were another form of the text."""
    top = filling.headers(
        "Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/alternative; boundary=fa"
    )
    return top + CRLF + parts("fa", plain(filling), hyper(page(filling)), attached(filling))


@kind()
def file_in_related(filling: Filling) -> str:
    """The file among the pictures."""
    top = filling.headers(
        "Parking on the 10th", "MIME-Version: 1.0", 'Content-Type: multipart/related; type="text/html"; boundary=fr'
    )
    return top + CRLF + parts("fr", hyper(page(filling)), attached(filling, "Content-ID: <f1@riverside.test>"))


@kind()
def related_start(filling: Filling) -> str:
    """The text is the second part, and `start` says so (RFC 2387)."""
    top = filling.headers(
        "Parking on the 10th",
        "MIME-Version: 1.0",
        'Content-Type: multipart/related; type="text/html"; start="<root@riverside.test>"; boundary=rs',
    )
    return (
        top
        + CRLF
        + parts(
            "rs",
            attached(filling, "Content-ID: <f1@riverside.test>"),
            part("Content-Type: text/html; charset=utf-8\nContent-ID: <root@riverside.test>", page(filling)),
        )
    )


@kind()
def empty_text_part(filling: Filling) -> str:
    """A text part of nothing, then HTML with the words."""
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=em")
    both = part(
        "Content-Type: multipart/alternative; boundary=ea",
        parts("ea", part("Content-Type: text/plain; charset=utf-8", ""), hyper(page(filling))),
    )
    return top + CRLF + parts("em", both, attached(filling))


@kind()
def part_without_header(filling: Filling) -> str:
    """A blank line and words: plain text by RFC 2046 5.1."""
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=nh")
    return top + CRLF + parts("nh", CRLF + filling.words, attached(filling))


@kind()
def no_mime_version(filling: Filling) -> str:
    """Everything but the field that says so."""
    return _mixed(filling, "nv", "nv").replace("MIME-Version: 1.0\r\n", "")


@kind()
def file_in_quoted_printable(filling: Filling) -> str:
    """A binary file in quoted-printable."""
    coded = CRLF.join(
        "=".join(["", *(f"{one:02X}" for one in filling.data[at : at + 24])]) + "="
        for at in range(0, len(filling.data), 24)
    )
    report = part(
        f'Content-Type: {filling.media}; name="{filling.name}"\nContent-Transfer-Encoding: quoted-printable\nContent-Disposition: attachment; filename="{filling.name}"',
        coded + CRLF,
    )
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=fq")
    return top + CRLF + parts("fq", plain(filling), report)


@kind()
def file_without_name(filling: Filling) -> str:
    """A type, an encoding, and nothing else."""
    report = part(
        f"Content-Type: {filling.media}\nContent-Transfer-Encoding: base64", attached(filling).partition("\r\n\r\n")[2]
    )
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=fn")
    return top + CRLF + parts("fn", plain(filling), report)


@kind()
def mixed_in_alternative_in_related(filling: Filling) -> str:
    """The three kinds of multipart the wrong way round."""
    inner = part("Content-Type: multipart/mixed; boundary=w3", parts("w3", hyper(page(filling)), attached(filling)))
    both = part("Content-Type: multipart/alternative; boundary=w2", parts("w2", plain(filling), inner))
    top = filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/related; boundary=w1")
    return top + CRLF + parts("w1", both)


@kind()
def parallel(filling: Filling) -> str:
    """multipart/parallel, and multiparts with names of their own, are mixed (RFC 2046 5.1.7)."""
    both = part("Content-Type: multipart/x-riverside; boundary=px", parts("px", plain(filling), attached(filling)))
    return (
        filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/parallel; boundary=pa")
        + CRLF
        + parts("pa", both)
    )


@kind()
def form_data(filling: Filling) -> str:
    """A form of a website, sent as it was filled in."""
    top = filling.headers("Form", "MIME-Version: 1.0", "Content-Type: multipart/form-data; boundary=fd")
    said = part('Content-Disposition: form-data; name="message"', filling.words)
    return top + CRLF + parts("fd", said, attached(filling, disposition='form-data; name="file"'))
