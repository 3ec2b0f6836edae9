"""Mail from a network that strangers share: whose it is, is known only when its header has come.

Promises: nothing of such a message is kept before exactly one clinic's proof was found in it, once and right; proof,
organisation and loop field are taken out before the spool, so that they never travel on; a message without proof is
read to its end and answered 550, and that is noted for the clinic whose domain it named. DESIGN §7.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from gateway.errors import TryLater
from gateway.logs import Log
from gateway.senders import LOOP, ORIGINATOR
from gateway.smtp import replies
from gateway.smtp.data import Newlines
from gateway.smtp.receiver import Receiver
from gateway.smtp.replies import Reply
from gateway.spool.known import SharedEntry
from gateway.spool.snapshot import TenantEntry

_log = Log("gateway.smtp")
HEADER_BYTES = 256 * 1024
"""Longest header that is waited for; providers allow less."""
Octets = bytes  # inside Vestibule the word means what was read
Candidate = tuple[TenantEntry, SharedEntry]
_FIELD = re.compile(rb"^([^\r\n:]*):([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)\r\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Proved:
    """Whose mail it is, and its header without what proved it."""

    tenant: TenantEntry
    shared: SharedEntry
    header: Octets


def judge(header: Octets, candidates: Sequence[Candidate]) -> Proved | Reply:
    """Whose proof a header holds. `header` is whole lines; the blank line after them may be there or not."""
    names = {ORIGINATOR.lower(), LOOP.lower(), *(shared.header for _, shared in candidates)}
    kept, found = without(header, names)
    # All of them are asked, whoever is right: how long it takes tells nothing.
    right = [one for one in candidates if one[1].proved(found[one[1].header], found[ORIGINATOR.lower()])]
    if len(right) != 1:
        return replies.NO_PROOF
    tenant, shared = right[0]
    if shared.loop in found[LOOP.lower()]:
        return replies.LOOP
    return Proved(tenant, shared, kept)


def without(header: Octets, names: Collection[str]) -> tuple[Octets, dict[str, list[str]]]:
    """A header without the fields of these names (lower case), and the values that they had, unfolded."""
    found: dict[str, list[str]] = {name: [] for name in names}
    kept: list[Octets] = []
    at = 0
    for match in _FIELD.finditer(header):
        name = match[1].decode("latin-1").strip(" \t").lower()
        if name in found:
            value = match[2].replace(b"\r\n", b"").strip(b" \t")
            found[name].append(value.decode("latin-1"))
            kept.append(header[at : match.start()])
            at = match.end()
    kept.append(header[at:])
    return b"".join(kept), found


class Vestibule:
    """Stands where a `Receiver` does until the header has come, and hands on to one then."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        begin: Callable[[TenantEntry, SharedEntry], Receiver],
        refused: Callable[[Reply], None],
    ) -> None:
        """`begin` opens an item for the clinic that proved itself and may raise TryLater; `refused` notes a refusal."""
        self._candidates = candidates
        self._begin = begin
        self._refused = refused
        self._held = bytearray()
        self._inner: Receiver | None = None
        self._bytes = 0
        self._verdict: Reply | None = None
        self._too_long = replies.NO_PROOF

    @property
    def bytes(self) -> int:
        """What was read up to now."""
        return self._inner.bytes if self._inner is not None else self._bytes

    @property
    def verdict(self) -> Reply | None:
        """The refusal, once there is one."""
        return self._inner.verdict if self._inner is not None else self._verdict

    @property
    def queue(self) -> str:
        """The spool id; none before the proof."""
        return self._inner.queue if self._inner is not None else ""

    async def take(self, data: Octets, *, paired: bool = False) -> None:
        """The next bytes, as a `Receiver` takes them."""
        if self._inner is not None:
            await self._inner.take(data, paired=paired)
            return
        self._bytes += len(data)
        if self._verdict is not None:
            return
        look = max(0, len(self._held) - 3)
        self._held += data
        end = 0 if self._held.startswith(b"\r\n") else self._held.find(b"\r\n\r\n", look)
        if 0 <= end <= HEADER_BYTES:
            await self._decide(end + 2 if end else 0)
        elif len(self._held) > HEADER_BYTES:
            self._refuse(self._too_long)

    async def finish(self) -> Reply | None:
        """The message is complete: None when it is durable, else why it was not taken."""
        if self._inner is None and self._verdict is None:
            await self._decide(len(self._held))
        return await self._inner.finish() if self._inner is not None else self._verdict

    async def refuse(self, verdict: Reply) -> None:
        """Keep nothing of it."""
        if self._inner is not None:
            await self._inner.refuse(verdict)
        else:
            self._verdict = verdict
            self._held.clear()

    def abandon(self) -> None:
        """The connection is gone."""
        if self._inner is not None:
            self._inner.abandon()
        self._held.clear()

    async def _decide(self, end: int) -> None:
        header, rest = Octets(self._held[:end]), Octets(self._held[end:])
        self._held.clear()
        newlines = Newlines(normalize=False)
        newlines.feed(header)
        # Bare line ends are mended, if at all, when the fields are known; here they would only hide one.
        answer = replies.BARE_NEWLINE if newlines.bare else judge(header, self._candidates)
        if isinstance(answer, Reply):
            self._refuse(answer)
            return
        try:
            self._inner = self._begin(answer.tenant, answer.shared)
        except TryLater:
            self._verdict = replies.TRY_LATER
            return
        await self._inner.take(answer.header + rest)

    def _refuse(self, verdict: Reply) -> None:
        self._verdict = verdict
        self._held.clear()
        self._refused(verdict)


class Cloakroom(Vestibule):
    """For mail that needs no proof, of a clinic that has one: whoever brings it leaves it here all the same.

    A provider's rule may put the secret into mail that comes by another way (a connector with a certificate, a network
    of the clinic's own); passed on, it would reach every recipient. A header too long to look through is refused.
    `normalize`: bare line ends are mended here, before the header's end is looked for.
    """

    def __init__(self, tenant: TenantEntry, begin: Callable[[], Receiver], *, normalize: bool) -> None:
        super().__init__((), lambda tenant, shared: begin(), lambda reply: None)
        self._names = {one.header for one in tenant.shared}
        self._take_in = begin
        self._mending = Newlines(normalize=True) if normalize else None
        self._too_long = replies.TOO_LARGE

    async def take(self, data: Octets, *, paired: bool = False) -> None:
        """As a `Receiver` takes them."""
        await super().take(data if self._mending is None else self._mending.feed(data, paired=paired))

    async def finish(self) -> Reply | None:
        """As a `Receiver` ends."""
        if self._mending is not None:
            await super().take(self._mending.finish())
            if self._mending.bare:
                _log.info("message:newlines-mended", queue=self.queue)
        return await super().finish()

    async def _decide(self, end: int) -> None:
        header, rest = Octets(self._held[:end]), Octets(self._held[end:])
        self._held.clear()
        try:
            self._inner = self._take_in()
        except TryLater:
            self._verdict = replies.TRY_LATER
            return
        # A bare line end that is not mended ends no field here, and has the message refused where it goes now.
        await self._inner.take(without(header, self._names)[0] + rest)
