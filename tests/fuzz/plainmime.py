"""A slow, plain reader of MIME structure: the message as a list of lines, each looked at once, nothing streamed.

It shares with `gateway.mail` what a header block says (`Entity.read`: the kind of a part, its boundary), not where
anything begins or ends. RFC 2046 5.1.1; `gateway.mail.scan` says the same of a stream.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.mail.entity import Entity

_DEPTH = 20
_BLANKS_MOST = 1000


@dataclass
class Node:
    """One part: where it lies, as `gateway.mail.model.Part` counts."""

    path: tuple[int, ...]
    delimiter_start: int
    start: int
    header_stop: int = 0
    body_start: int = 0
    body_stop: int = 0
    kind: str = ""
    boundary: bytes = b""
    flags: set[str] = field(default_factory=set)
    children: list[Node] = field(default_factory=list)
    first_delimiter: int = -1
    close: tuple[int, int] | None = None
    entity: Entity | None = None


class Reader:
    """`root` is the tree of one message."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.starts = [0] + [at + 1 for at, byte in enumerate(data) if byte == 10]
        self.root = Node((), 0, 0)
        self.stack = [self.root]
        self.header: Node | None = self.root  # whose header the next line belongs to
        for start, stop in zip(self.starts, [*self.starts[1:], len(data)], strict=True):
            if start < stop:
                self.line(start, stop)
        while self.header is not None:
            node = self.header
            self.header = None
            if node.path:
                node.flags.add("headers-cut")
            self.read(node, len(data), len(data))
        while self.stack:
            self.stack.pop().body_stop = len(data)
        self.finish(self.root)

    def line(self, start: int, stop: int) -> None:
        node, data = self.header, self.data
        text = data[start:stop]
        blank = node is not None and text in (b"\r\n", b"\n")
        hit = None if blank or start == 0 else self.delimiter(start, stop)
        if hit is not None:
            owner, closing = hit
            before = start - (2 if data[start - 2 : start] == b"\r\n" else 1)
            if node is not None:
                self.header = None
                node.flags.add("headers-cut")
                self.read(node, max(node.start, before), max(node.start, before), cut=True)
            self.split(owner, closing, before, start, stop)
        elif blank and node is not None:
            self.header = None
            self.read(node, start, stop)

    def delimiter(self, start: int, stop: int) -> tuple[Node, bool] | None:
        """Whose delimiter line this is, the innermost first, and whether it is the closing one."""
        owners = [node for node in reversed(self.stack) if node.kind == "multipart"]
        text = self.data[start:stop]
        if not text.startswith(b"--") or not owners:
            return None
        longest = max(len(node.boundary) for node in owners)
        whole = (
            len(text) - 2 <= longest + _BLANKS_MOST if text.endswith(b"\n") else len(text) - 2 < longest + _BLANKS_MOST
        )
        near = None
        for node in owners:
            if text.startswith(node.boundary, 2):
                rest = text[2 + len(node.boundary) :].rstrip(b" \t\r\n")
                if whole and rest in (b"", b"--"):
                    return node, rest == b"--"
                near = near or node
        if near is not None:
            near.flags.add("boundary-prefix")
        return None

    def read(self, node: Node, header_stop: int, body_start: int, *, cut: bool = False) -> None:
        """The header of that part has ended there."""
        node.header_stop, node.body_start = header_stop, body_start
        above = self.stack[-2].entity if len(self.stack) > 1 else None
        node.entity = entity = Entity(node.path, node.delimiter_start, node.start)
        entity.read(self.data[node.start : header_stop], above)
        node.kind, node.boundary = entity.kind, entity.boundary
        if cut or (node.kind in ("multipart", "message") and len(self.stack) > _DEPTH):
            if node.kind in ("multipart", "message"):
                node.kind = "opaque"
                node.flags |= set() if cut else {"limit"}
            entity.kind = node.kind
        elif node.kind == "message":
            child = Node((*node.path, 1), body_start, body_start)
            node.children.append(child)
            self.stack.append(child)
            self.header = child

    def split(self, owner: Node, closing: bool, before: int, start: int, stop: int) -> None:
        """A delimiter line of `owner` from `start` to `stop`; the line end before it begins at `before`."""
        if owner.close is not None:
            owner.flags.add("delimiter-after-close")
            return
        while self.stack[-1] is not owner:
            self.stack.pop().body_stop = before
        if owner.first_delimiter < 0:
            owner.first_delimiter = before
        if closing:
            owner.close = (start, stop)
            return
        child = Node((*owner.path, len(owner.children) + 1), start, stop)
        owner.children.append(child)
        self.stack.append(child)
        self.header = child

    def finish(self, node: Node) -> None:
        """What is only known at the end."""
        if node.body_stop < node.body_start:  # a delimiter follows at once
            node.body_start = max(node.header_stop, node.body_stop)
        node.body_stop = max(node.body_start, node.body_stop)
        if node.kind == "multipart":
            if node.close is None:
                node.flags.add("unclosed")
            if not node.children:
                node.kind = "opaque"
        for child in node.children:
            self.finish(child)
