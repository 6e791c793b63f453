"""Internet mail into our words: what its header says, what a person reads in it (docs/protocol.md, "Messages").

Rules: nothing that takes a mail raises, whatever its octets are, and time is linear in them; delivery looks at the
header block alone; every text that comes out is clean and bounded; what a mail says about itself is never believed
here, the service compares it with what commands and the server said.
"""

import re
from email.utils import getaddresses, parsedate_to_datetime, quote
from itertools import islice
from typing import Final

import msgspec

from immpd.mime.html import READ_LIMIT as HTML_LIMIT
from immpd.mime.html import html_to_text
from immpd.mime.structure import (
    HEADER_LIMIT,
    Node,
    content_type,
    count_from,
    header_end,
    leaves,
    parameter,
    read_fields,
    read_structure,
)
from immpd.mime.text import clean_line, clean_text, decode, decode_words, size_text
from immpd.model.message import Importance
from immpd.model.references import bounded

READ_LIMIT: Final = 8 * 1024 * 1024
"""Octets of a mail that are parsed at most."""
TEXT_LIMIT: Final = 256 * 1024
"""Characters of one message that are shown to a person, before the list of attachments."""
SUBJECT_LIMIT: Final = 2000
MAX_ADDRESSES: Final = 100
ADDRESS_LIMIT: Final = 400
UNREADABLE: Final = "(unreadable)"
_VALUE_LIMIT: Final = 16 * 1024  # characters of one field that are looked at

_MESSAGE_ID: Final = re.compile(r"<([^<>\s]{1,250})>")
_BARE_ID: Final = re.compile(r"[^<>\s,;]{1,250}")
_ADDRESS: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^\s"@<>(),;:\ufffd]+)@[^\s"@<>(),;:\ufffd]+')
_SPECIAL: Final = re.compile(r"[<>@,;:\[\]]")
_DISPLAY_SPECIALS: Final = frozenset('<>@,;:"()[]\\')
_IMPORTANCE: Final[dict[str, Importance]] = {
    "high": "high",
    "urgent": "high",
    "1": "high",
    "2": "high",
    "low": "low",
    "non-urgent": "low",
    "4": "low",
    "5": "low",
}
# Text that is shown where it stands; any other part is an attachment.
_SHOWN: Final = frozenset({"text/plain", "text/html", "text/enriched", "text/markdown"})


class ImportedHeaders(msgspec.Struct, frozen=True, gc=False):
    """What the header of an Internet mail says. Every text is one clean line; an absent field is empty."""

    subject: str = ""
    date: str = ""
    """RFC 3339 with the sender's offset, ``Z`` where it is none; empty if unreadable."""
    author: str = ""
    """The From field for people: ``Carol <carol@c.example>``; ``UNREADABLE`` where there may be one."""
    author_address: str = ""
    """The only address of the only From field. Empty if there are none or several, or it is not certain: nobody can be
    aligned with one author and show another."""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    reply_to: str = ""
    in_reply_to: str = ""
    """A message-id without its angle brackets, like the two below."""
    references: tuple[str, ...] = ()
    """At most 100: the first, which names the thread, and the last ones."""
    message_id: str = ""
    importance: Importance = "normal"


class Address(msgspec.Struct, frozen=True, gc=False):
    """One mailbox of an address list."""

    name: str
    """Display name, decoded and clean; may be empty."""
    address: str
    """``local@domain`` with the domain in lower case; empty where the text holds no certain address."""

    def __str__(self) -> str:
        """As shown to a person: the name is quoted where it could pass for an address."""
        if not self.address:
            return self.name
        if not self.name:
            return self.address
        name = self.name if _DISPLAY_SPECIALS.isdisjoint(self.name) else f'"{quote(self.name)}"'
        return f"{name} <{self.address}>"


class Attachment(msgspec.Struct, frozen=True):
    """One attachment inside an Internet mail."""

    number: int
    """Its place among the mail's parts, from 1: what ``attachment_octets`` takes."""
    name: str
    """Clean, without folders; may be empty."""
    type: str
    size: int
    """Octets, decoded."""


def read_headers(octets: bytes) -> ImportedHeaders:
    """What the header of the mail ``octets`` says (RFC 5322). Never raises.

    Only the first ``HEADER_LIMIT`` octets are looked at, never the body; a caller may pass no more than these.
    """
    fields = read_fields(octets)

    def first(name: str) -> str:
        return fields[name][0][:_VALUE_LIMIT].strip() if name in fields else ""

    end = min(header_end(octets, HEADER_LIMIT), len(octets))
    authors = _addresses(fields.get("from"))
    # Who is not certain to be the only one whom anybody sees is nobody that a sender can be aligned with.
    said = fields.get("from", [])
    certain = end < HEADER_LIMIT and count_from(octets[:end]) == len(said)
    silent = certain and not "".join(said).strip(" \t,;")
    references = bounded(_message_ids(first("references")))
    return ImportedHeaders(
        subject=clean_line(decode_words(first("subject"))).strip()[:SUBJECT_LIMIT],
        date=_date(first("date")),
        author=", ".join(map(str, authors[:10])) or ("" if silent else UNREADABLE),
        author_address=authors[0].address if certain and len(authors) == 1 and len(said) == 1 else "",
        to=tuple(map(str, _addresses(fields.get("to")))),
        cc=tuple(map(str, _addresses(fields.get("cc")))),
        reply_to=", ".join(map(str, _addresses(fields.get("reply-to"))[:10])),
        in_reply_to=next(iter(_message_ids(first("in-reply-to"))), ""),
        references=references,
        message_id=next(iter(_message_ids(first("message-id"))), ""),
        importance=_importance(first("importance") or first("x-priority") or first("priority")),
    )


class Room:
    """What may still be shown of one message, shared by all its parts; ``cut`` says that it did not suffice.

    HTML is bounded by what is looked at, for it costs: a mail of 8 MiB can hold 30 parts that take 0.2 s each.
    """

    __slots__ = ("cut", "html", "text")

    def __init__(self) -> None:
        self.text = TEXT_LIMIT
        self.html = HTML_LIMIT
        self.cut = False

    def show(self, kind: str, charset: str, octets: bytes) -> str:
        """The octets of a text part as far as there is room: decoded, HTML stripped, clean."""
        html = kind == "text/html"
        piece = _whole_characters(octets, min(self.html, self.text) if html else self.text)
        self.cut = self.cut or len(piece) < len(octets)
        text = decode(piece, charset)
        if html:
            self.html -= len(piece)
            text = html_to_text(text)
        text = clean_text(text)[: self.text]
        self.text -= len(text)
        return text


def _whole_characters(octets: bytes, limit: int) -> bytes:
    """At most ``limit`` octets, which end no UTF-8 character in its middle."""
    if len(octets) <= limit:
        return octets
    end = limit
    while end > max(0, limit - 3) and octets[end] & 0xC0 == 0x80:
        end -= 1
    return octets[:end]


def read_text(octets: bytes, room: Room | None = None) -> str:
    """What a person reads in the mail ``octets``: its text, then a list of its attachments. Never raises.

    Plain text is preferred to HTML, which is stripped. Lines end in LF. At most ``READ_LIMIT`` octets are parsed; of
    the text as much is returned as ``room`` has.
    """
    room = room or Room()
    room.cut = room.cut or len(octets) > READ_LIMIT
    root = read_structure(octets[:READ_LIMIT])
    text = _text(root, room)
    listed = [f"  {a.number}  {a.name or '(no name)'}  {a.type}  {size_text(a.size)}" for a in _attachments(root)]
    return "\n\n".join(filter(None, (text, "\n".join(["Attachments:", *listed]) if listed else "")))


def shown_text(octets: bytes) -> str:
    """The text alone that a person reads in the mail ``octets``, without a list of attachments. Never raises."""
    return _text(read_structure(octets[:READ_LIMIT]), Room())


def _text(root: Node, room: Room) -> str:
    pieces: list[str] = []
    _collect(root, pieces, room)
    return "\n\n".join(pieces)


def attachments(octets: bytes, *, limit: int = READ_LIMIT) -> tuple[Attachment, ...]:
    """The attachments of the mail ``octets``, of which the first ``limit`` are parsed. Never raises."""
    return tuple(_attachments(read_structure(octets[:limit])))


def attachment_octets(octets: bytes, number: int, *, limit: int = READ_LIMIT) -> bytes | None:
    """The decoded content of part ``number`` of the mail ``octets`` (first ``limit`` parsed), None if there is none."""
    parts = leaves(read_structure(octets[:limit]))
    return parts[number - 1].content if 0 < number <= len(parts) else None


def part_text(kind: str, octets: bytes, room: Room | None = None) -> str:
    """A text part of media type ``kind`` (with its parameters) for people, as far as ``room`` allows."""
    return (room or Room()).show(media_type(kind), parameter(content_type(kind), "charset"), octets)


def media_type(kind: str) -> str:
    """``text/plain`` of ``Text/Plain; charset=utf-8``."""
    return kind.partition(";")[0].strip().lower()


def is_shown(kind: str) -> bool:
    """Whether a part of this media type is read where it stands instead of being listed as an attachment."""
    return media_type(kind) in _SHOWN


def _collect(node: Node, pieces: list[str], room: Room) -> None:
    """Append the texts that a person reads in ``node``."""
    if not node.children:
        if node.type in _SHOWN and not node.attached:
            text = room.show(node.type, node.charset, node.content).strip("\n")
            if text.strip():
                pieces.append(text)
    elif node.type == "multipart/alternative":
        # The first that is plain, else the last that says anything (RFC 2046 section 5.1.4).
        plain = [child for child in node.children if child.type == "text/plain"]
        for child in (*plain, *reversed(node.children)):
            before = len(pieces)
            _collect(child, pieces, room)
            if len(pieces) > before:
                return
    elif node.type == "multipart/related":
        _collect(node.children[0], pieces, room)
    else:
        for child in node.children:
            _collect(child, pieces, room)


def _attachments(root: Node) -> list[Attachment]:
    """Every leaf that is not read where it stands."""
    return [
        Attachment(number, leaf.name, leaf.type, len(leaf.content))
        for number, leaf in enumerate(leaves(root), 1)
        if leaf.attached or leaf.type not in _SHOWN
    ]


def _addresses(values: list[str] | None) -> list[Address]:
    """The addresses of all fields of one name, bounded; groups are flattened.

    Structure is found before encoded words are decoded, so that no encoded comma or angle bracket makes an address.
    """
    found: list[Address] = []
    if not values:
        return found
    text = ", ".join(values[:MAX_ADDRESSES])[:_VALUE_LIMIT].strip()
    for special in islice(_SPECIAL.finditer(text), 5 * MAX_ADDRESSES, None):
        text = text[: special.start()]  # each costs the library 4 µs
        break
    try:
        pairs = getaddresses([text])[:MAX_ADDRESSES]
    except (RecursionError, ValueError, IndexError):  # nested brackets
        pairs = []
    for raw, address in pairs:
        name = _name(raw)
        if len(address) <= ADDRESS_LIMIT and _ADDRESS.fullmatch(clean_line(address)):
            local, _, domain = address.rpartition("@")
            found.append(Address(name, f"{local}@{domain.lower()}"))
        elif name or address:
            found.append(Address(f"{name} <{_name(address)}>" if name and address else name or _name(address), ""))
    if not found and "@" in text:
        found.append(Address(_name(text), ""))
    return found


def _name(raw: str) -> str:
    return " ".join(clean_line(decode_words(raw)).split())[:ADDRESS_LIMIT]


def _message_ids(text: str) -> tuple[str, ...]:
    """The message-ids in a field; a single bare word counts too."""
    found = _MESSAGE_ID.findall(text)
    if not found and _BARE_ID.fullmatch(text):
        found = [text]
    return tuple(map(clean_line, found))


def _importance(text: str) -> Importance:
    words = text[:40].lower().split(None, 1)
    return _IMPORTANCE.get(words[0], "normal") if words else "normal"


def _date(text: str) -> str:
    """RFC 5322 section 3.3 and 4.3 as RFC 3339; empty if it is no date."""
    try:
        when = parsedate_to_datetime(text[:200])
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
    return when.isoformat().replace("+00:00", "") + ("" if when.utcoffset() else "Z")
