"""Internet mail into our words: what its header says, what a person reads in it (docs/protocol.md, "Messages").

Rules: nothing that takes a mail raises, whatever its octets are, and time is linear in them; delivery looks at the
header block alone; every text that comes out is clean and bounded; what a mail says about itself is never believed
here, the service compares it with what commands and the server said.
"""

import re
from datetime import datetime, timedelta, timezone
from typing import Final

import msgspec

from immpd.mime.addresses import Address, read_addresses
from immpd.mime.html import html_to_text
from immpd.mime.structure import Node, header_end, leaves, read_structure
from immpd.mime.text import clean_line, clean_text, decode, header_text, size_text, unfold
from immpd.model.message import Importance

HEADER_LIMIT: Final = 256 * 1024
"""Octets of the header block that are looked at."""
READ_LIMIT: Final = 8 * 1024 * 1024
"""Octets of a mail that are parsed at most."""
TEXT_LIMIT: Final = 1024 * 1024
"""Characters that ``read_text`` returns at most, before its list of attachments."""
SUBJECT_LIMIT: Final = 2000
MAX_ADDRESSES: Final = 100
MAX_REFERENCES: Final = 100
_VALUE_LIMIT: Final = 16 * 1024

# A line feed is put before the block, so that each field begins with one: the pattern's literal first character is
# what makes the scan fast.
_FIELD: Final = re.compile(
    rb"\n(subject|date|from|to|cc|reply-to|in-reply-to|references|message-id|importance|x-priority|priority)"
    rb"[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)",
    re.IGNORECASE,
)
_MESSAGE_ID: Final = re.compile(r"<([^<>\s]{1,250})>")
_BARE_ID: Final = re.compile(r"[^<>\s,;]{1,250}")
_DATE: Final = re.compile(
    r"(?:[a-z]{2,9}\.?,?\s*+)?([0-9]{1,2})[\s-]+([a-z]{3})[a-z]{0,6}[\s,-]+([0-9]{2,4})\s+"
    r"([0-9]{1,2})[:.]([0-9]{2})(?:[:.]([0-9]{2}))?(?:[.][0-9]{1,9})?\s*+([+-][0-9]{4}|[a-z]{1,5})?",
    re.IGNORECASE | re.ASCII,
)
_MONTH_NAMES: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS: Final = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_ZONES: Final = {"est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420, "mdt": -360, "pst": -480, "pdt": -420}
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
    """The From field for people: ``Carol <carol@c.example>``."""
    author_address: str = ""
    """The only address of the only From field. Empty if there are none or several, or it is not certain: nobody can be
    aligned with one author and show another."""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    reply_to: str = ""
    in_reply_to: str = ""
    """A message-id without its angle brackets, like the two below."""
    references: tuple[str, ...] = ()
    """At most ``MAX_REFERENCES``: the first, which names the thread, and the last ones."""
    message_id: str = ""
    importance: Importance = "normal"


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
    head, _ = header_end(octets, 0, min(len(octets), HEADER_LIMIT))
    fields: dict[str, list[bytes]] = {}
    for match in _FIELD.finditer(b"\n" + octets[:head]):
        fields.setdefault(match[1].decode("ascii").lower(), []).append(match[2][:_VALUE_LIMIT].strip(b" \t\r"))

    def first(name: str) -> bytes:
        return fields[name][0] if name in fields else b""

    authors = _addresses(fields.get("from", ()))
    references = _message_ids(first("references"))
    if len(references) > MAX_REFERENCES:
        references = references[:1] + references[1 - MAX_REFERENCES :]
    return ImportedHeaders(
        subject=header_text(first("subject"), SUBJECT_LIMIT) if "subject" in fields else "",
        date=_date(first("date")),
        author=", ".join(map(str, authors[:10])),
        author_address=authors[0].address if len(authors) == 1 and len(fields["from"]) == 1 else "",
        to=tuple(map(str, _addresses(fields.get("to", ())))),
        cc=tuple(map(str, _addresses(fields.get("cc", ())))),
        reply_to=", ".join(map(str, _addresses(fields.get("reply-to", ()))[:10])),
        in_reply_to=next(iter(_message_ids(first("in-reply-to"))), ""),
        references=references,
        message_id=next(iter(_message_ids(first("message-id"))), ""),
        importance=_importance(first("importance") or first("x-priority") or first("priority")),
    )


def read_text(octets: bytes) -> str:
    """What a person reads in the mail ``octets``: its text, then a list of its attachments. Never raises.

    Plain text is preferred to HTML, which is stripped. Lines end in LF. At most ``READ_LIMIT`` octets are parsed and
    ``TEXT_LIMIT`` characters returned (the list comes on top).
    """
    octets = octets[:READ_LIMIT]
    root = read_structure(octets)
    pieces: list[str] = []
    _collect(root, octets, pieces)
    text = "\n\n".join(pieces)
    if len(text) > TEXT_LIMIT:
        text = text[:TEXT_LIMIT] + "\n[...]"
    listed = [
        f"  {a.number}  {a.name or '(no name)'}  {a.type}  {size_text(a.size)}" for a in _attachments(root, octets)
    ]
    return "\n\n".join(filter(None, (text, "\n".join(["Attachments:", *listed]) if listed else "")))


def attachments(octets: bytes, *, limit: int = READ_LIMIT) -> tuple[Attachment, ...]:
    """The attachments of the mail ``octets``, of which the first ``limit`` are parsed. Never raises."""
    octets = octets[:limit]
    return tuple(_attachments(read_structure(octets), octets))


def attachment_octets(octets: bytes, number: int, *, limit: int = READ_LIMIT) -> bytes | None:
    """The decoded content of part ``number`` of the mail ``octets`` (first ``limit`` parsed), None if there is none."""
    octets = octets[:limit]
    parts = leaves(read_structure(octets))
    return parts[number - 1].content(octets) if 0 < number <= len(parts) else None


def part_text(kind: str, octets: bytes) -> str:
    """A text part of media type ``kind`` (with its parameters) for people: decoded, HTML stripped, clean."""
    text = decode(octets[:READ_LIMIT], _charset(kind))
    if media_type(kind) == "text/html":
        text = html_to_text(text)
    return clean_text(text)


def media_type(kind: str) -> str:
    """``text/plain`` of ``Text/Plain; charset=utf-8``."""
    return kind.partition(";")[0].strip().lower()


def is_shown(kind: str) -> bool:
    """Whether a part of this media type is read where it stands instead of being listed as an attachment."""
    return media_type(kind) in _SHOWN


def _charset(kind: str) -> str:
    found = re.search(r';\s*+charset\s*+=\s*+"?([A-Za-z0-9_.:-]{1,60})', kind, re.IGNORECASE)
    return found[1] if found else ""


def _collect(node: Node, octets: bytes, pieces: list[str]) -> None:
    """Append the texts that a person reads in ``node``."""
    if not node.children:
        if node.type in _SHOWN and not node.attached:
            text = node.text(octets)
            text = clean_text(html_to_text(text) if node.type == "text/html" else text).strip("\n")
            if text.strip():
                pieces.append(text)
    elif node.type == "multipart/alternative":
        # The first that is plain, else the last that says anything (RFC 2046 section 5.1.4).
        plain = [child for child in node.children if child.type == "text/plain"]
        for child in (*plain, *reversed(node.children)):
            before = len(pieces)
            _collect(child, octets, pieces)
            if len(pieces) > before:
                return
    elif node.type == "multipart/related":
        _collect(node.children[0], octets, pieces)
    else:
        for child in node.children:
            _collect(child, octets, pieces)


def _attachments(root: Node, octets: bytes) -> list[Attachment]:
    """Every leaf that is not read where it stands."""
    return [
        Attachment(number, leaf.name, leaf.type, len(leaf.content(octets)))
        for number, leaf in enumerate(leaves(root), 1)
        if leaf.attached or leaf.type not in _SHOWN
    ]


def _addresses(values: list[bytes] | tuple[()]) -> tuple[Address, ...]:
    """The addresses of all fields of one name, bounded."""
    if not values:
        return ()
    joined = values[0] if len(values) == 1 else b",".join(values[:MAX_ADDRESSES])[:_VALUE_LIMIT]
    return read_addresses(unfold(decode(joined)), most=MAX_ADDRESSES)


def _message_ids(value: bytes) -> tuple[str, ...]:
    """The message-ids in a field; a single bare word counts too."""
    if not value:
        return ()
    text = unfold(decode(value))
    found = _MESSAGE_ID.findall(text)
    if not found and _BARE_ID.fullmatch(text):
        found = [text]
    return tuple(map(clean_line, found))


def _importance(value: bytes) -> Importance:
    words = decode(value[:40]).lower().split(None, 1)
    return _IMPORTANCE.get(words[0], "normal") if words else "normal"


def _date(value: bytes) -> str:
    """RFC 5322 section 3.3 and 4.3 as RFC 3339; empty if it is no date."""
    match = _DATE.match(unfold(decode(value[:200])))
    if match is None or match[2].lower() not in _MONTHS:
        return ""
    year = int(match[3])
    if len(match[3]) < 4:
        year += 2000 if year < 50 else 1900  # section 4.3
    zone = (match[7] or "").lower()
    minutes = _ZONES.get(zone, 0)
    if zone[:1] in ("+", "-"):
        minutes = int(zone[1:3]) * 60 + int(zone[3:])
        minutes = -minutes if zone[0] == "-" else minutes
    try:
        when = datetime(
            year,
            _MONTHS[match[2].lower()],
            int(match[1]),
            int(match[4]),
            int(match[5]),
            min(int(match[6] or 0), 59),  # a leap second is a second late
            tzinfo=timezone(timedelta(minutes=minutes)),
        )
    except ValueError:
        return ""
    return when.isoformat().replace("+00:00", "Z")
