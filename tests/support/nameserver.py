"""A name server for tests: UDP on loopback, answers from a table of records, NXDOMAIN for all else.

    with NameServer({("mail.clinic.example", "A"): ["192.0.2.7"]}) as server: … f"127.0.0.1:{server.port}"

The table may be changed while it runs. A name above a known one exists without records (RFC 8020).
"""

from __future__ import annotations

import socket
import threading

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Table = dict[tuple[str, str], list[str]]


class NameServer:
    """See the module's words."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="nameserver", daemon=True)

    def __enter__(self) -> NameServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, peer = self._socket.recvfrom(4096)
            if not data:
                return
            try:
                self._socket.sendto(self._answer(dns.message.from_wire(data)).to_wire(), peer)
            except dns.exception.DNSException:
                continue

    def _answer(self, question: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        one = question.question[0]
        name = one.name.to_text(omit_final_dot=True).lower()
        values = self.table.get((name, dns.rdatatype.to_text(one.rdtype)))
        if values:
            answer.answer.append(dns.rrset.from_text(one.name, 60, "IN", one.rdtype, *values))
        elif not any(known == name or known.endswith("." + name) for known, _ in self.table):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer
