"""Messages as text for people, and as Internet mail (docs/protocol.md, "MBOX FETCH").

Rules: what can take long is made on one thread of its own, so that the loop goes on; of text for people at
most 8 MiB are looked at and 256 KiB shown, and the text says how to get the rest; a message that is rendered
as Internet mail has at most ``MAX_RENDERED`` octets.
"""

import asyncio
from collections.abc import Callable
from functools import lru_cache

import msgspec

from immpd.mime.outgoing import octets_shown, render, render_text
from immpd.model.message import Envelope, Part
from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
from immpd.protocol.text import clean
from immpd.service.session import Services
from immpd.store.ids import uuid_text
from immpd.store.mail.messages import Stored

BLOCK = 64 * 1024
AT_ONCE = 8 * 1024
"""Octets of messages that are rendered in the loop before the thread is asked."""
MAX_RENDERED = 16 << 20
"""Octets of a message that is rendered as Internet mail."""
ROW = 4000
"""Characters of a row, each of at most 4 octets."""

_decode_envelope = msgspec.json.Decoder(Envelope).decode


@lru_cache(maxsize=1024)
def parts_of(octets: bytes) -> tuple[Part, ...]:
    """The parts that a message has."""
    return msgspec.json.decode(octets, type=tuple[Part, ...])


def envelope_of(stored: Stored) -> Envelope:
    """The envelope, in the sender's own copy with BCC."""
    envelope = _decode_envelope(stored.envelope)
    if stored.private is not None:
        envelope = msgspec.structs.replace(envelope, bcc=tuple(msgspec.json.decode(stored.private)["bcc"]))
    return envelope


def inline_octets(stored: Stored, parts: tuple[Part, ...], number: int) -> bytes:
    """The octets of a part that lies in the store's row."""
    files = stored.file_names()
    at = 0
    for part in parts:
        if part.id in files:
            continue
        if part.id == number:
            return (stored.octets or b"")[at : at + part.length]
        at += part.length
    raise Refused(Code.LIMIT, "TOO-LARGE", f"Part {number} is too large for this form; fetch it with PART {number}")


def blocks(head: bytes, octets: bytes, more: bool = False) -> list[bytes]:
    """255 blocks with these octets; ``more`` says that the part goes on after them."""
    size = len(octets)
    if size <= BLOCK and not more:
        return [b"255- %b %d\n%b\n" % (head, size, octets)]
    pieces = []
    for at in range(0, size, BLOCK):
        piece = octets[at : at + BLOCK]
        follows = more or at + BLOCK < size
        pieces.append(b"255- %b %d%b\n%b\n" % (head, len(piece), b" more=1" if follows else b"", piece))
    return pieces


def rendered_now(stored: Stored, parts: tuple[Part, ...], mime: bool) -> list[bytes]:
    """The reply lines of a message whose octets are all here."""
    return _rendered(stored, parts, mime, lambda number: inline_octets(stored, parts, number))


async def rendered(services: Services, stored: Stored, parts: tuple[Part, ...], mime: bool) -> list[bytes]:
    """The reply lines of any message, made on the thread."""
    files = stored.file_names()
    wanted = {part.id: part.length for part in parts} if mime else octets_shown(parts)
    bodies = services.bodies
    octets = {
        number: b"".join([piece async for piece in bodies.blocks(files[number], 0, count)])
        if number in files
        else inline_octets(stored, parts, number)
        for number, count in wanted.items()
    }
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(services.rendering, _rendered, stored, parts, mime, octets.__getitem__)


def _rendered(stored: Stored, parts: tuple[Part, ...], mime: bool, read: Callable[[int], bytes]) -> list[bytes]:
    envelope = envelope_of(stored)
    if mime:
        return blocks(f"{uuid_text(stored.id)} mime".encode(), render(envelope, parts, read))
    return _rows(render_text(envelope, parts, read))


def _rows(text: str) -> list[bytes]:
    """Text for people, a row a line; what is longer than a line of the protocol goes on in the next row."""
    rows = []
    for line in (*text.splitlines(), ""):
        for start in range(0, len(line) or 1, ROW):
            shown = clean(line[start : start + ROW].expandtabs())
            rows += [f"250- {shown[at : at + ROW]}\n".encode() for at in range(0, len(shown) or 1, ROW)]
    return rows
