"""A message: an envelope and its parts (docs/protocol.md, "Messages").

Rules: every value is frozen; JSON names are the protocol's (``in-reply-to``, ``class``);
octets are never in these values, they lie in the store and travel as sources of octets.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

PartClass = Literal["content", "attachment"]
Importance = Literal["high", "normal", "low"]


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of a message: what it is and how many octets it has."""

    id: int
    """Its number in the message, from 1."""
    name: str
    type: str
    """Media type, RFC 6838, with parameters where the sender gave some."""
    length: int
    """Octets as stored (decoded)."""
    part_class: PartClass = msgspec.field(default="content", name="class")


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True, rename="kebab"):
    """What is written on a message (docs/protocol.md, "Envelope").

    ``from``, ``to``, ``cc``, ``id``, ``origin``, ``received-*`` and ``verified`` come only from
    commands and the server, so they can be believed; ``subject``, ``date``, ``author`` and the
    rest are the sender's words.
    """

    id: str
    """The sender's UUID of the message: its identity in threads and its retry key."""
    from_: str = msgspec.field(name="from")
    """Canonical IMID of who sent it, vouched for by ``origin``."""
    date: str
    """RFC 3339, UTC unless the sender said otherwise."""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    """Only in the sender's own copy."""
    subject: str = ""
    author: str = ""
    """The From of an imported Internet mail where it is somebody else than ``from``."""
    reply_to: str = ""
    message_id: str = ""
    """The Message-ID of an imported Internet mail, by which answers to it name it."""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    importance: Importance = "normal"
    secure: bool = False
    origin: str = ""
    """The domain that vouches for the message."""
    received_from: str = ""
    received_via: tuple[str, ...] = ()
    received_date: str = ""
    """When the mailbox's server took it, RFC 3339 UTC."""
    verified: bool = False
    headers: dict[str, str] = {}
    """Other header fields that the sender gave with +HEADERS."""


class IndexRow(msgspec.Struct, frozen=True, omit_defaults=False):
    """One row of MBOX INDEX +JSON (docs/protocol.md, "MBOX INDEX")."""

    id: str
    folder: str
    from_: str = msgspec.field(name="from")
    to: tuple[str, ...]
    subject: str
    date: str
    size: int
    flags: tuple[str, ...]
    state: str
    thread: str
    parts: int
    importance: Importance
    verified: bool
    author: str = ""


class FetchedPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part in FETCH +JSON: text in ``data`` as it is, other octets in base64."""

    id: int
    name: str
    type: str
    length: int
    part_class: PartClass = msgspec.field(default="content", name="class")
    encoding: Literal["", "base64", "omitted"] = ""
    """Empty: ``data`` is the text; ``omitted``: too large for JSON, fetch it with PART."""
    data: str = ""


class FetchedMessage(msgspec.Struct, frozen=True):
    """One message in FETCH +JSON (docs/protocol.md, "MBOX FETCH")."""

    id: str
    envelope: Envelope
    parts: tuple[FetchedPart, ...]
    flags: tuple[str, ...]
    folders: tuple[str, ...]


RFC822: Final = "message/rfc822"
"""The media type of an Internet mail."""


def is_rfc822(kind: str) -> bool:
    """Whether a media type, however it is written, is that of an Internet mail."""
    return len(kind) >= len(RFC822) and kind.partition(";")[0].strip().lower() == RFC822


def is_internet_mail(parts: Sequence[Part]) -> bool:
    """Whether the message is one Internet mail: its header says more than its envelope."""
    return len(parts) == 1 and parts[0].part_class == "content" and is_rfc822(parts[0].type)


def sender_text(sender: str, author: str) -> str:
    """Who sent a message, for people: ``sender``, who is proven, before the ``author`` that a mail claims to be of.

    ``author`` is empty where the mail names nobody else. Neither is cleaned here.
    """
    return f"{sender} (unproven: {author})" if author else sender


def thread_of(envelope: Envelope) -> str:
    """The id of the thread: the first message it refers to, or itself."""
    if envelope.references:
        return envelope.references[0]
    return envelope.in_reply_to or envelope.message_id or envelope.id
