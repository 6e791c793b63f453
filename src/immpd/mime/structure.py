"""The MIME tree of a mail (RFC 2045, 2046): which parts there are, and their octets on demand.

Rules: nothing raises; depth, number of parts, size of header blocks and parameters are bounded, so time is linear in
the octets; a part is a pair of positions until somebody asks for its content; an embedded mail is one part, its inside
is its own affair.

Why not a library: fast-mail-parser needs 343 s for 8 MiB of encoded words in one header, and refuses a mail for one
broken base64 part; it is the tests' second opinion instead.
"""

import binascii
import re
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from immpd.mime.text import clean_line, decode, decode_base64, decode_words, unfold

MAX_DEPTH: Final = 16
MAX_PARTS: Final = 500
MAX_MULTIPARTS: Final = 50
PART_HEADER_LIMIT: Final = 64 * 1024
_VALUE_LIMIT: Final = 8 * 1024

_FIELD: Final = re.compile(
    rb"\n(content-(?:type|disposition|transfer-encoding))[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.IGNORECASE
)
_PARAMETER: Final = re.compile(r'(?<=[;\s])([^\s=;"]{1,60})[ \t]*+=[ \t]*+("(?:[^"\\]|\\.)*+"?|[^;\s]*+)', re.DOTALL)
_LOOKS_LIKE_FIELD: Final = re.compile(rb"[!-9;-~]{1,100}[ \t]{0,8}:")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
_SECTION: Final = re.compile(r"([^*]+)(?:\*([0-9]{1,3}))?(\*?)")


class Node(msgspec.Struct, frozen=True):
    """One part: a leaf with content, or a multipart with children."""

    type: str
    """``type/subtype`` in lower case; what is unreadable counts as ``application/octet-stream``."""
    charset: str
    name: str
    """File name: clean, without folders; may be empty."""
    attached: bool
    """Whether its Content-Disposition is ``attachment``."""
    encoding: str
    """Content-Transfer-Encoding in lower case."""
    start: int
    end: int
    children: tuple["Node", ...] = ()

    def content(self, octets: bytes) -> bytes:
        """The decoded content, out of the mail ``octets`` that this node was read from. Never raises."""
        raw = octets[self.start : self.end]
        if self.encoding == "base64":
            return decode_base64(raw)
        if self.encoding == "quoted-printable":
            return binascii.a2b_qp(raw)
        return raw

    def text(self, octets: bytes) -> str:
        """The content as text, not yet cleaned."""
        return decode(self.content(octets), self.charset)


def header_end(octets: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the header block that begins at ``start`` ends and where the body begins, both at most ``end``."""
    if octets.startswith((b"\n", b"\r\n"), start, end):
        return start, min(end, octets.index(b"\n", start) + 1)
    bare = octets.find(b"\n\n", start, end)
    crlf = octets.find(b"\n\r\n", start, bare if bare >= 0 else end)
    if crlf >= 0:
        return crlf + 1, crlf + 3
    if bare >= 0:
        return bare + 1, bare + 2
    return end, end


def read_structure(octets: bytes) -> Node:
    """The tree of the mail ``octets``. Never raises; what is past the bounds is left out or stays in its parent."""
    return _Reader(octets).node(0, len(octets), 0, "text/plain")


def leaves(node: Node) -> list[Node]:
    """Every part with content, in the order of the mail; their place (from 1) is the number people use."""
    if not node.children:
        return [node]
    return [leaf for child in node.children for leaf in leaves(child)]


class _Reader:
    """One pass over one mail, with what is left of its bounds."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._parts = MAX_PARTS
        self._multiparts = MAX_MULTIPARTS

    def node(self, start: int, end: int, depth: int, default: str) -> Node:
        head, body = header_end(self._octets, start, end)
        if head >= end and not _LOOKS_LIKE_FIELD.match(self._octets, start, end):
            head = body = start  # no header at all: everything is text
        fields: dict[str, str] = {}
        block = b"\n" + self._octets[start : min(head, start + PART_HEADER_LIMIT)]
        for match in _FIELD.finditer(block):
            fields.setdefault(match[1].decode("ascii").lower(), unfold(decode(match[2][:_VALUE_LIMIT])))
        kind, parameters = _value(fields.get("content-type", ""))
        disposition, more = _value(fields.get("content-disposition", ""))
        if not kind:
            kind = default
        elif not _MEDIA_TYPE.fullmatch(kind):
            kind = "text/plain" if kind == "text" else "application/octet-stream"
        encoding = fields.get("content-transfer-encoding", "").partition(";")[0].strip().lower()[:40]
        children: tuple[Node, ...] = ()
        if kind.startswith("multipart/"):
            boundary = parameters.get("boundary", "")
            if boundary and depth < MAX_DEPTH and self._multiparts > 0:
                self._multiparts -= 1
                inner = "message/rfc822" if kind == "multipart/digest" else "text/plain"
                children = self._children(body, end, depth + 1, boundary[:200], inner)
            if not children:  # nothing marks its parts: shown as the text it is
                kind, encoding = "text/plain", ""
        return Node(
            type=kind,
            charset=parameters.get("charset", "")[:60],
            name=_file_name(more.get("filename") or parameters.get("name", "")),
            attached=disposition == "attachment",
            encoding=encoding,
            start=body,
            end=end,
            children=children,
        )

    def _children(self, start: int, end: int, depth: int, boundary: str, default: str) -> tuple[Node, ...]:
        # The line feed before the delimiter belongs to it (RFC 2046 section 5.1.1); for the first one that is the
        # line feed which ended the header.
        line = re.compile(rb"\n--" + re.escape(boundary.encode("utf-8")) + rb"(--)?[ \t]*+\r?(?=\n|\Z)")
        spans: list[tuple[int, int]] = []
        opened = -1
        closed = False
        for match in line.finditer(self._octets, max(start - 1, 0), end):
            if opened >= 0:
                close = match.start()
                if self._octets[close - 1 : close] == b"\r":
                    close -= 1
                spans.append((opened, max(close, opened)))
            opened = min(match.end() + 1, end)
            closed = match[1] is not None
            if closed or len(spans) >= self._parts:
                closed = True
                break
        if opened >= 0 and not closed:
            spans.append((opened, end))
        children = []
        for first, last in spans:
            if self._parts <= 0:
                break
            self._parts -= 1
            children.append(self.node(first, last, depth, default))
        return tuple(children)


def _value(text: str) -> tuple[str, dict[str, str]]:
    """``text/plain; charset=x`` as the value in lower case and its parameters (RFC 2045 5.1, RFC 2231)."""
    value = next(iter(text[:300].partition(";")[0].lower().split(None, 1)), "")
    found: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[bool, str]]] = {}
    for match in _PARAMETER.finditer(text):
        name, raw = match[1].lower(), match[2]
        if raw.startswith('"'):
            raw = _ESCAPED.sub(r"\1", raw[1:].removesuffix('"'))
        section = _SECTION.fullmatch(name)
        if section is None or (section[2] is None and not section[3]):
            found.setdefault(name, raw)
        else:
            pieces.setdefault(section[1], {}).setdefault(int(section[2] or 0), (bool(section[3]), raw))
    for name, numbered in pieces.items():
        found[name] = _joined(numbered)
    return value, found


def _joined(numbered: dict[int, tuple[bool, str]]) -> str:
    """RFC 2231: the pieces ``name*0*``, ``name*1`` … joined, percent-decoded where they say so."""
    charset, octets = "", bytearray()
    for n in sorted(numbered):
        encoded, raw = numbered[n]
        if encoded and n == min(numbered) and raw.count("'") >= 2:
            charset, _, raw = raw.split("'", 2)
        octets += unquote_to_bytes(raw) if encoded else raw.encode("utf-8", "replace")
    return decode(bytes(octets), charset)


def _file_name(text: str) -> str:
    """A file name that names no folder and hides nothing."""
    name = clean_line(decode_words(text)).strip()
    return name.replace("\\", "/").rpartition("/")[2].strip(". ")[:200]
