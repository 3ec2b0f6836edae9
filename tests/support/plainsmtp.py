"""What a connection must come to: a slow, plain reading of RFC 5321, RFC 3030 and our own limits, a line at a time.

Nothing of `gateway.smtp` is used. It shares with the door the grammar of paths (`gateway.mail.address`), which is not
about where something ends. A clinic's network, no TLS, five recipients at most, no sign-in.
"""

from __future__ import annotations

import re

from gateway.mail.address import GrammarError, parse_mail, parse_rcpt

MAIL_PARAMETERS = frozenset({"SIZE", "DSN", "AUTH", "8BITMIME", "SMTPUTF8"})
WEB = ("GET POST HEAD PUT DELETE OPTIONS CONNECT TRACE PATCH PRI HOST: USER-AGENT:").split()
NAME = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?|\[[A-Za-z0-9:.]+\])\Z")


class Reading:
    """One connection's bytes, all of them at once; `codes` and `messages` are what must come of them.

    `cut_off`: it was a web request, to which also the answers are dropped that had not been sent.
    """

    def __init__(self, stream: bytes, *, normalize: bool = False, max_bytes: int = 1 << 20) -> None:
        self.stream, self.at = stream, 0
        self.normalize, self.max_bytes = normalize, max_bytes
        self.codes: list[int] = [220]
        self.messages: list[bytes] = []
        self.hello = self.extended = False
        self.bad = 0
        self.over = self.cut_off = False
        self.forget()
        while not self.over:
            self.command()

    def forget(self) -> None:
        self.sender = False
        self.smtputf8 = False
        self.recipients: set[str] = set()
        self.chunks: bytes | None = None
        self.verdict = 0

    def say(self, code: int) -> None:
        self.codes.append(code)
        if code >= 500:
            self.bad += 1
            if self.bad == 20:
                self.codes.append(421)
                self.over = True

    def command(self) -> None:
        end = self.stream.find(b"\n", self.at)
        if end < 0:
            self.over = True
            if len(self.stream) - self.at > 131_072:
                self.codes.append(500)
            return
        line, self.at = self.stream[self.at : end + 1], end + 1
        if len(line) > 131_072:
            self.codes.append(500)
            self.over = True
            return
        if len(line) > 2048:
            self.say(500)
            return
        if not line.endswith(b"\r\n"):  # what comes behind a bare LF might be meant as its own command, or not
            self.say(500)
            self.over = True
            return
        try:
            text = line[:-2].decode("utf-8")
        except UnicodeDecodeError:
            text = "\0"
        word, _, argument = text.partition(" ")
        if not text.isprintable() or not word or not word.isascii():
            self.say(500)
            return
        if word.upper() in WEB:
            self.over = self.cut_off = True
            return
        deed = getattr(self, f"do_{word.lower()}", None) if word.isalpha() else None
        if deed is None and re.search(r"(?:\A| )HTTP/[0-9]", argument.strip(" ")):
            self.over = self.cut_off = True
            return
        if deed is None:
            self.say(500)
        else:
            code = deed(argument.strip(" "))
            if code:
                self.say(code)

    def do_ehlo(self, argument: str, extended: bool = True) -> int:
        if not NAME.match(argument) or len(argument) > 255:
            return 501
        self.forget()
        self.hello, self.extended = True, extended
        return 250

    def do_helo(self, argument: str) -> int:
        return self.do_ehlo(argument, extended=False)

    def do_mail(self, argument: str) -> int:
        if not self.hello or self.sender:
            return 503
        read = parse_mail(argument, MAIL_PARAMETERS if self.extended else frozenset())
        if isinstance(read, GrammarError):
            return read.code
        domain = read.address.rpartition("@")[2].lower()
        if read.address and domain != "clinic.test":
            return 550
        if (read.size or 0) > self.max_bytes:
            return 552
        self.sender, self.smtputf8 = True, read.smtputf8
        return 250

    def do_rcpt(self, argument: str) -> int:
        if not self.sender or self.chunks is not None:
            return 503
        read = parse_rcpt(argument, frozenset({"DSN"} if self.extended else ()), smtputf8=self.smtputf8)
        if isinstance(read, GrammarError):
            return read.code
        local, _, domain = read.address.rpartition("@")
        self.recipients.add(local + "@" + domain.lower())
        if len(self.recipients) > 5:
            self.recipients.discard(local + "@" + domain.lower())
            self.codes.append(550)  # a list of addresses is one mistake, not one for each
            return 0
        return 250

    def do_data(self, argument: str) -> int:
        if argument:
            return 501
        if not self.sender or self.chunks is not None or not self.recipients:
            return 503
        self.codes.append(354)
        lines: list[bytes] = []
        while True:
            end = self.stream.find(b"\r\n", self.at)
            if end < 0:
                self.over = True
                return 0
            line, self.at = self.stream[self.at : end + 2], end + 2
            if line == b".\r\n":
                break
            lines.append(line[1:] if line[:1] == b"." else line)
        return self.complete(b"".join(lines))

    def do_bdat(self, argument: str) -> int:
        match = re.fullmatch(r"([0-9]{1,18})(?: +(last))?", argument, re.IGNORECASE)
        if match is None:
            self.over = True
            return 501
        size = int(match[1])
        known = self.sender and self.recipients
        if known and self.chunks is None:
            self.chunks = b""
        if size > 4 * self.max_bytes:
            self.over = True
            return 552
        chunk, self.at = self.stream[self.at : self.at + size], self.at + size
        if len(chunk) < size:
            self.over = True
            return 0
        if not known or self.chunks is None:
            return 503
        self.chunks += chunk
        if match[2]:
            return self.complete(self.chunks)
        self.verdict = self.verdict or self.judge(self.chunks, ended=False)
        return self.verdict or 250

    def judge(self, data: bytes, *, ended: bool = True) -> int:
        """The refusal that this message, or its beginning, has earned; 0 for none."""
        if len(data) > self.max_bytes:
            return 552
        if not ended and data.endswith(b"\r"):
            data = data[:-1]  # its LF may come
        if not self.normalize and re.search(rb"\r(?!\n)|(?<!\r)\n", data):
            return 554
        whole = re.sub(rb"\r\n|\r|\n", b"\r\n", data)
        lines = whole.split(b"\r\n")
        for line in lines if ended else lines[:-1]:
            if line[:1] == b"\0" and line.replace(b"\0", b"") == b".":
                return 554  # to a server that drops NULs it is the end
        head = b"" if whole.startswith(b"\r\n") else whole.partition(b"\r\n\r\n")[0]
        if not ended and head == whole:
            return 0
        fields = head.lower().split(b"\r\n")
        received, ours = (
            sum(line.startswith((name + b":", name + b" ", name + b"\t")) for line in fields)
            for name in (b"received", b"sealgate-trace")
        )
        return 554 if received > 100 or ours >= 10 else 0

    def complete(self, data: bytes) -> int:
        verdict = self.verdict or self.judge(data)
        self.forget()
        if verdict:
            return verdict
        self.messages.append(re.sub(rb"\r\n|\r|\n", b"\r\n", data) if self.normalize else data)
        return 250

    def do_rset(self, argument: str) -> int:
        if argument:
            return 501
        self.forget()
        return 250

    def do_noop(self, argument: str) -> int:
        return 250

    def do_help(self, argument: str) -> int:
        return 214

    def do_vrfy(self, argument: str) -> int:
        self.codes.append(252 if argument else 501)  # said, not counted as a refusal
        return 0

    def do_expn(self, argument: str) -> int:
        return 502

    def do_quit(self, argument: str) -> int:
        self.over = True
        return 221

    def do_starttls(self, argument: str) -> int:
        if argument:
            return 501
        return 503 if self.sender else 454

    def do_auth(self, argument: str) -> int:
        return 530 if self.extended else 503
