"""Mail that carries other mail, and signed mail: journals, forwards, digests, S/MIME, PGP."""

from __future__ import annotations

from tests.support import mail_keys
from tests.support.real.pieces import CRLF, Filling, attached, b64, kind, part, parts, plain


@kind()
def journal(filling: Filling) -> str:
    """Exchange's journal: an envelope in words, and the mail as a part."""
    inner = (
        filling.headers("Parking on the 10th", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=jin")
        + CRLF
        + parts("jin", plain(filling), attached(filling))
    )
    said = "Sender: amy@riverside.test\r\nSubject: Parking on the 10th\r\nMessage-Id: <1@riverside.test>\r\nTo: reader@outside.test\r\n"
    top = filling.headers(
        "Parking on the 10th",
        "X-MS-Journal-Report:",
        "MIME-Version: 1.0",
        'Content-Type: multipart/mixed; boundary="_jr_"',
    )
    return (
        top
        + CRLF
        + parts(
            "_jr_",
            part('Content-Type: text/plain; charset="us-ascii"\nContent-Transfer-Encoding: 7bit', said),
            part("Content-Type: message/rfc822", inner),
        )
    )


@kind()
def forwarded_as_attachment(filling: Filling) -> str:
    """One mail forwarded in another, its own file inside."""
    inner = (
        filling.headers("Fwd inner", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=fin")
        + CRLF
        + parts("fin", plain(filling), attached(filling))
    )
    top = filling.headers("Fwd: Parking", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=fout")
    return (
        top
        + CRLF
        + parts(
            "fout",
            part("Content-Type: text/plain", "See below.\r\n"),
            part(
                'Content-Type: message/rfc822; name="Parking.eml"\nContent-Disposition: attachment; filename="Parking.eml"',
                inner,
            ),
        )
    )


@kind()
def digest(filling: Filling) -> str:
    """A list's digest: a contents page, then mails without a type of their own."""
    one = filling.headers("First") + CRLF + filling.words
    two = (
        filling.headers("Second", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=indg")
        + CRLF
        + parts("indg", plain(filling), attached(filling))
    )
    top = filling.headers(
        "Staff Digest, Vol 1, Issue 1", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=outdg"
    )
    return (
        top
        + CRLF
        + parts(
            "outdg",
            part("Content-Type: text/plain", "Today's Topics:\r\n\r\n   1. Parking\r\n"),
            part("Content-Type: multipart/digest; boundary=dg", parts("dg", CRLF + one, CRLF + two)),
            part("Content-Type: text/plain", "End of Digest\r\n"),
        )
    )


def _signed(filling: Filling, kind_: str, signature: str) -> str:
    inner = part("Content-Type: multipart/mixed; boundary=insg", parts("insg", plain(filling), attached(filling)))
    top = filling.headers(
        "Parking on the 10th", "MIME-Version: 1.0", f"Content-Type: multipart/signed; {kind_}; boundary=sg"
    )
    return top + CRLF + parts("sg", inner, signature)


@kind()
def smime_signed(filling: Filling) -> str:
    """A clear signature of S/MIME."""
    made = mail_keys.smime_signature(b"made", detached=True)
    return _signed(
        filling,
        'protocol="application/pkcs7-signature"; micalg="sha-256"',
        part(
            "Content-Type: application/pkcs7-signature; name=smime.p7s\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=smime.p7s",
            b64(made),
        ),
    )


@kind()
def pgp_signed(filling: Filling) -> str:
    """A clear signature of PGP/MIME."""
    made = mail_keys.pgp_signature(b"made")
    return _signed(
        filling,
        'protocol="application/pgp-signature"; micalg=pgp-sha512',
        part(
            "Content-Type: application/pgp-signature; name=signature.asc\nContent-Description: OpenPGP digital signature",
            made,
        ),
    )


@kind(file=False)
def pgp_in_the_text(filling: Filling) -> str:
    """Signed in the text itself."""
    armour = mail_keys.pgp_signature(b"made").strip()
    return (
        filling.headers("Parking on the 10th")
        + CRLF
        + f"-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\n{filling.words}{armour}\r\n"
    )
