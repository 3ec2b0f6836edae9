"""A clinic with more in its configuration than the demo's: keys that sign, devices, shared networks.

`more` is TOML behind the demo's own; `swap` replaces lines of it. Clients are told apart by their loopback address,
which `door` binds.
"""

from __future__ import annotations

import smtplib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.demo.clinic import Clinic

OWN = "127.0.0.1"


class Routed(Clinic):
    """See the module's words. `more` and `swap` may be changed before `again`."""

    def __init__(self, data: Path, more: str = "", swap: Mapping[str, str] | None = None, **kw: Any) -> None:
        super().__init__(data, **kw)
        self.more = more
        self.swap = dict(swap or {})

    def again(self) -> None:
        """Stop, and start with the file as it is to be now."""
        self.stop_gateway()
        self.config.write_text(self._toml(self.sink.port))
        self.serve()

    def door(self, address: str = OWN) -> smtplib.SMTP:
        """A connection from that loopback address."""
        return smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=60, source_address=(address, 0))

    def _toml(self, sink_port: int) -> str:
        text = super()._toml(sink_port)
        for old, new in self.swap.items():
            assert old in text
            text = text.replace(old, new)
        return text + self.more
