"""Between steps 4 and 7 of a large message: an attachment is sealed while the detector still looks at the rest of it.

Begun only when what was seen of the attachment would be PHI by itself and somebody's copy would then be without it;
what is sealed is an ordinary object of the message that step 7 will make. Promises: nothing of it has an effect before
step 7 takes it, which waits until it is durable; what nobody took is removed, and after a crash swept up like any blob
without a row; a seal that failed fails step 7 as if it had been made there. DESIGN §4 (order of effects).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from gateway.actions.seal import MessageSeal, Sealed
from gateway.clock import Clock
from gateway.flow.reading import Reading
from gateway.logs import Log
from gateway.vault import Vault

LEAST_BYTES = 1 << 20
"""What is smaller is sealed faster than a thread is begun."""

SLICE_BYTES = 1 << 20

Path = tuple[int, ...]
log = Log("gateway.outbound")


class Beforehand:
    """Of one message and one thread. A context: at its end what was not taken is removed, beside what goes on."""

    def __init__(self, vault: Vault, clock: Clock, tenant: str, wanted: Callable[[Reading, str], bool]) -> None:
        """`wanted`: whether an attachment of that reading would leave somebody's copy if it is PHI."""
        self._vault = vault
        self._clock = clock
        self._tenant = tenant
        self._wanted = wanted
        self._begun: dict[Path, Future[Sealed]] = {}
        self.seal: MessageSeal | None = None
        """What the objects are sealed for; None where nothing was begun. Who takes it says when it expires."""

    @property
    def message(self) -> str:
        """The id of the message that was begun; empty where nothing was."""
        return "" if self.seal is None else self.seal.message

    def likely(self, reading: Reading, part: str) -> None:
        """That part is probably PHI. Never raises: what is not begun here is sealed in step 7."""
        try:
            attachment = next((one for one in reading.attachments if one.id == part), None)
            data = None if attachment is None else reading.contents.get(attachment.part.path)
            if attachment is None or data is None or len(data) < LEAST_BYTES or not self._wanted(reading, part):
                return
            self._begin(attachment.part.path, data)
        except Exception as error:
            log.warning("seal:not-beforehand", error=type(error).__name__)

    def take(self, path: Path) -> Sealed | None:
        """The durable object of the file at that path, once; None when it was not begun. Raises what sealing raised."""
        begun = self._begun.pop(path, None)
        return None if begun is None else begun.result()

    def _begin(self, path: Path, data: bytes) -> None:
        if path in self._begun:
            return
        seal = self.seal = self.seal or MessageSeal(self._vault, self._clock, self._tenant, 0)
        future: Future[Sealed] = Future()

        def work() -> None:
            try:
                future.set_result(seal.sealed("file", slices(data)))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, name="seal-beforehand", daemon=True).start()
        self._begun[path] = future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for future in self._begun.values():
            future.add_done_callback(self._remove)
        self._begun.clear()

    def _remove(self, future: Future[Sealed]) -> None:
        try:
            self._vault.remove(future.result().stored.blob)
        except Exception as error:  # it has no row, so it is swept up
            log.warning("seal:not-removed", error=type(error).__name__)


def slices(data: bytes) -> Iterator[memoryview]:
    """The same bytes in pieces, without a copy."""
    with memoryview(data) as view:
        for at in range(0, len(data), SLICE_BYTES):
            yield view[at : at + SLICE_BYTES]
