"""Every sentence the server says, with its codes. Fixed words: nothing a client sent is ever said back.

Clauses: RFC 5321 4.2, RFC 3463 and RFC 5248 (enhanced codes), RFC 2034 (in every 2xx, 4xx and 5xx after the greeting).
Trouble on our side is 4xx, only the sender's own is 5xx (DESIGN §3).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """`line` goes out as it is; `reason` is the machine word for the log."""

    code: int
    enhanced: str
    text: str
    reason: str = ""

    @property
    def line(self) -> bytes:
        return f"{self.code} {self.enhanced} {self.text}\r\n".encode("ascii")

    @property
    def failed(self) -> bool:
        return self.code >= 400


OK = Reply(250, "2.0.0", "OK")
SENDER_OK = Reply(250, "2.1.0", "Sender OK")
RECIPIENT_OK = Reply(250, "2.1.5", "Recipient OK")
CHUNK_OK = Reply(250, "2.0.0", "Chunk received")
BYE = Reply(221, "2.0.0", "Goodbye")
HELP = Reply(214, "2.0.0", "Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY STARTTLS AUTH")
VRFY = Reply(252, "2.5.2", "We do not say which addresses exist; send the message and see")
SIGNED_IN = Reply(235, "2.7.0", "Signed in")
TLS_READY = b"220 2.0.0 Ready to start TLS\r\n"
GO_AHEAD = b"354 Go ahead; end with a line that holds only a dot\r\n"

TRY_LATER = Reply(451, "4.3.0", "We cannot take mail safely right now; please try again in a few minutes", "try-later")
INTERNAL = Reply(451, "4.3.0", "Something went wrong on our side; please try again in a few minutes", "internal")
TIMED_OUT = Reply(421, "4.4.2", "You were silent for too long; please connect again", "timeout")
CLOSING = Reply(421, "4.3.2", "This server is being restarted; please connect again", "closing")
BROKEN = Reply(421, "4.3.0", "Something went wrong on our side; please connect again", "internal")
CROWDED = Reply(421, "4.7.0", "Too many connections at once; please try again later", "crowded")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors; closing the connection", "errors")

BAD_LINE = Reply(500, "5.5.2", "A command is one line of plain text that ends with CR LF", "syntax")
LONG_LINE = Reply(500, "5.5.2", "This command line is too long", "syntax")
UNKNOWN = Reply(500, "5.5.1", "This command is not known here", "unknown-command")
NOT_HERE = Reply(502, "5.5.1", "This command is not offered here", "unknown-command")
NO_ARGUMENT = Reply(501, "5.5.4", "This command takes no argument", "syntax")
BAD_HELLO = Reply(501, "5.5.4", "EHLO and HELO need your host name or address literal", "syntax")
BAD_ARGUMENT = Reply(501, "5.5.4", "The argument of this command cannot be read", "syntax")
HELLO_FIRST = Reply(503, "5.5.1", "Say EHLO first", "sequence")
MAIL_FIRST = Reply(503, "5.5.1", "Say MAIL FROM first", "sequence")
RCPT_FIRST = Reply(503, "5.5.1", "Name a recipient with RCPT TO first", "sequence")
NESTED_MAIL = Reply(503, "5.5.1", "A message is under way already; say RSET to give it up", "sequence")
NOT_NOW = Reply(503, "5.5.1", "This command cannot come at this point", "sequence")
NO_TLS = Reply(454, "4.7.0", "TLS is not available right now", "no-tls")
TLS_FIRST = Reply(530, "5.7.0", "Say STARTTLS first: we take passwords over TLS only", "no-tls")
UNKNOWN_MECHANISM = Reply(504, "5.5.4", "Sign in with AUTH PLAIN or AUTH LOGIN", "auth")
BAD_LOGIN = Reply(535, "5.7.8", "This user name and app password do not fit together", "auth")
BAD_BASE64 = Reply(501, "5.5.2", "This answer is not valid base64", "auth")
CANCELLED = Reply(501, "5.7.0", "Sign-in given up", "auth")
LOGIN_LIMIT = Reply(421, "4.7.0", "Too many failed sign-ins; please wait a while and try again", "auth-limit")
LOGIN_REQUIRED = Reply(530, "5.7.0", "Please sign in with your user name and app password first", "no-auth")
NOT_AUTHORISED = Reply(
    550, "5.7.1", "This host may not send through this server; sign in, or have your network added", "not-authorised"
)
NOT_YOUR_DOMAIN = Reply(
    550, "5.7.1", "You may not send from this domain here; use an address of your own organisation", "sender-domain"
)
NO_SUCH_ADDRESS = Reply(550, "5.1.1", "There is no such address here", "recipients")
REPORTS_ONLY = Reply(550, "5.7.1", "From here we take a report on one delivery, and nothing else", "not-authorised")
NO_PROOF = Reply(
    550, "5.7.1", "Mail from this network needs your organisation's proof, and this message has none that is right",
    "no-proof",
)  # fmt: skip
NOT_ITS_ADDRESS = Reply(
    550, "5.7.1", "This device may not send from this address here; see what its settings name", "device-sender"
)
AMBIGUOUS = Reply(
    550, "5.7.1", "This network belongs to several organisations; sign in to send without a sender address", "ambiguous"
)
TOO_MANY_RECIPIENTS = Reply(550, "5.5.3", "Too many recipients; please send to fewer at once", "recipients")
TOO_LARGE = Reply(552, "5.3.4", "This message is larger than we take", "too-large")
BARE_NEWLINE = Reply(
    554, "5.6.0", "A line in this message ends without CR LF; that is refused as unsafe", "bare-newline"
)
HIDDEN_END = Reply(
    554, "5.6.0", "A line in this message could be taken for its end; that is refused as unsafe", "hidden-end"
)
LOOP = Reply(554, "5.4.6", "This message has passed too many servers: it is going round in a loop", "loop")


def queued(queue: str) -> bytes:
    """The answer that makes the message ours."""
    return f"250 2.0.0 OK: queued as {queue}\r\n".encode("ascii")
