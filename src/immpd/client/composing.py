"""A message on its way out: its parts, and how they travel.

Rules: the lines of all parts go out in the message's order; small parts follow their line at once, so
a short message costs one round trip; large ones go in chunks of 64 KiB, side by side and in pipelines
of their own, read from disk only as the server takes them; whatever fails on the way, DONE is not said
(docs/protocol.md, "Octets after a line" and "Pipelines").
"""

import asyncio
import mimetypes
import os
import re
import secrets
import time
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TypeVar, cast, overload
from uuid import UUID

import msgspec

from immpd.model.imid import Imid, parse_imid
from immpd.protocol import replies as r
from immpd.protocol.codes import Code
from immpd.protocol.commands import Abort, Data, Deliver, Done, MboxPut
from immpd.protocol.errors import Refused
from immpd.protocol.registry import Request
from immpd.protocol.text import clean

from .caller import decode_reply
from .errors import BadValue
from .link import Link
from .pending import Pending, Pipeline

SMALL = 64 * 1024
"""Octets of a part that goes right behind its line."""
CHUNK = 64 * 1024
READ = 8 * CHUNK
MAX_NAME = 200
"""Characters of an attachment's name."""
SIDE_BY_SIDE = 8
"""Large parts of one message that travel at once."""

Recipients = str | Imid | Iterable[str | Imid]
R = TypeVar("R", bound=r.Reply)
_TYPE = re.compile(r"[A-Za-z0-9][\w.+\-]*/[A-Za-z0-9][\w.+\-]*", re.ASCII)


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A part that is attached: a file, or octets under a name."""

    source: Path | bytes
    name: str = ""
    """Empty: the file's name."""
    type: str = ""
    """Media type (RFC 6838); empty: guessed from the name."""
    content: bool = False
    """It belongs to what is read, not to what is attached."""


class PartSource(msgspec.Struct, frozen=True):
    """One part as it will be sent."""

    name: str
    type: str
    content: bool
    source: Path | bytes
    size: int

    def open(self) -> BinaryIO:
        """Its octets; raises OSError."""
        return BytesIO(self.source) if isinstance(self.source, bytes) else open(self.source, "rb")


def new_id() -> UUID:
    """A version-7 UUID (RFC 9562, section 5.7): those that we make sort by time."""
    octets = bytearray((time.time_ns() // 1_000_000).to_bytes(6) + secrets.token_bytes(10))
    octets[6] = octets[6] & 0x0F | 0x70
    octets[8] = octets[8] & 0x3F | 0x80
    return UUID(bytes=bytes(octets))


@overload
def uuid_of(value: UUID | str) -> UUID: ...
@overload
def uuid_of(value: UUID | str | None) -> UUID | None: ...
def uuid_of(value: UUID | str | None) -> UUID | None:
    """A UUID, also where it is written as text; raises BadValue."""
    try:
        return value if value is None or isinstance(value, UUID) else UUID(value)
    except ValueError:
        raise BadValue(f"{value!r} is no UUID") from None


def imids_of(recipients: Recipients) -> tuple[Imid, ...]:
    """One recipient or several, as IMIDs; raises ImidError."""
    several = (recipients,) if isinstance(recipients, str | Imid) else recipients
    return tuple(one if isinstance(one, Imid) else parse_imid(one) for one in several)


def compose_parts(
    text: str | None, attachments: Sequence[Attachment | Path | bytes], eml: Path | bytes | None
) -> list[PartSource]:
    """The parts of a message in order: text first. Raises OSError for a file, BadValue for what excludes another."""
    if eml is not None:
        if text is not None or attachments:
            raise BadValue("an Internet mail is whole: it takes neither text nor attachments")
        return [_part("", "message/rfc822", True, eml)]
    parts = []
    if text is not None or not any(isinstance(one, Attachment) and one.content for one in attachments):
        parts.append(_part("", "text/plain", True, (text or "").encode()))
    for number, one in enumerate(attachments, 1):
        attached = one if isinstance(one, Attachment) else Attachment(source=one)
        name = attached.name
        if not name:
            name = attached.source.name if isinstance(attached.source, Path) else f"attachment-{number}"
        name = sendable_name(name) or f"attachment-{number}"
        kind = attached.type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        if not _TYPE.match(kind):
            raise BadValue(f"{kind!r} is no media type, as in application/pdf")
        parts.append(_part(name, kind, attached.content, attached.source))
    return parts


def sendable_name(name: str) -> str:
    """An attachment's name as it can be sent: the last of its folders, unprintable characters as _; may be empty."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return clean(last.encode(errors="replace").decode()).replace("\ufffd", "_").strip()[:MAX_NAME]


def _part(name: str, kind: str, content: bool, source: Path | bytes) -> PartSource:
    if isinstance(source, bytes):
        return PartSource(name, kind, content, source, len(source))
    with open(source, "rb") as file:  # it can be read: found out before anything is sent
        size = os.fstat(file.fileno()).st_size
        if size <= SMALL:
            octets = file.read(SMALL + 1)
            if len(octets) <= SMALL:
                return PartSource(name, kind, content, octets, len(octets))
    return PartSource(name, kind, content, source, size)


@overload
async def transmit(link: Link, opening: Deliver, parts: Sequence[PartSource], most: int) -> r.Delivered: ...
@overload
async def transmit(link: Link, opening: MboxPut, parts: Sequence[PartSource], most: int) -> r.Stored: ...
async def transmit(
    link: Link, opening: Deliver | MboxPut, parts: Sequence[PartSource], most: int
) -> r.Delivered | r.Stored:
    """Open a message, send its parts, finish it. ``most`` is how many octets the server takes, 0: unknown.

    A message of one part that needs no name goes in one breath. Raises Refused, ConnectionLost, OSError.
    """
    size = sum(part.size for part in parts)
    if most and size > most:
        raise Refused(Code.LIMIT, "TOO-LARGE", f"The message has {size} octets; the server takes at most {most}")
    if len(parts) == 1 and parts[0].content and not parts[0].name:
        if isinstance(opening, Deliver):
            return await _transmit_whole(link, opening, parts[0])
        return await _transmit_whole(link, opening, parts[0])
    main = await link.pipeline()
    uploads: set[asyncio.Task[None]] = set()
    opened = False
    try:
        pendings = [main.submit(opening)]
        opened = True
        for part in parts:
            if pendings[0].error is not None:
                break
            if isinstance(part.source, bytes) and part.size <= SMALL:
                pendings.append(main.submit(_data(part, length=part.size), part.source))
                continue
            if len(uploads) >= SIDE_BY_SIDE:
                _, uploads = await _first_done(uploads)
            side = link.pipeline_now()
            pending = (side or main).submit(_data(part, chunked=True, for_=main.pid if side else None))
            pendings.append(pending)
            upload = asyncio.ensure_future(_upload(link, side, pending, part))
            uploads.add(upload)
            if side is None:
                # The message's own pipeline takes nothing else until the last chunk.
                await asyncio.shield(upload)
        while uploads:
            _, uploads = await _first_done(uploads)
        done = main.submit(Done())
        opened = False
        return await _outcome(pendings, done)
    except BaseException:
        await _give_up(link, main, uploads, opened)
        raise
    finally:
        main.release()


async def _transmit_whole(link: Link, opening: Request[R], part: PartSource) -> R:
    """The message and its one part in one command."""
    main = await link.pipeline()
    try:
        if isinstance(part.source, bytes) and part.size <= SMALL:
            request = msgspec.structs.replace(opening, type=part.type, length=part.size)
            pending = main.submit(request, part.source)
        else:
            request = msgspec.structs.replace(opening, type=part.type, chunked=True)
            pending = main.submit(request)
            try:
                await _upload(link, None, pending, part)
            except BaseException:
                if link.lost_by is None and not pending.over:
                    main.submit(Abort())  # where CHUNK could come, it drops the message
                raise
        return decode_reply(request, await pending.result())
    finally:
        main.release()


async def _first_done(
    uploads: set[asyncio.Task[None]],
) -> tuple[set[asyncio.Task[None]], set[asyncio.Task[None]]]:
    done, left = await asyncio.wait(uploads, return_when=asyncio.FIRST_COMPLETED)
    for upload in done:
        upload.result()
    return done, left


async def _outcome(pendings: list[Pending], done: Pending) -> r.Delivered | r.Stored:
    """The reply to DONE; the first refusal is the reason of those behind it."""
    for pending in pendings:
        await pending.result()
    # mypy cannot know that DONE after MBOX PUT answers 251.
    return cast("r.Delivered | r.Stored", decode_reply(Done(), await done.result()))


async def _give_up(link: Link, main: Pipeline, uploads: set[asyncio.Task[None]], opened: bool) -> None:
    """Stop what still travels, and drop the message on the server."""
    for upload in uploads:
        upload.cancel()
    if uploads:
        await asyncio.gather(*uploads, return_exceptions=True)
    if opened and link.lost_by is None:
        main.submit(Abort())


def _data(part: PartSource, *, length: int | None = None, chunked: bool = False, for_: str | None = None) -> Data:
    return Data(name=part.name, type=part.type, length=length, chunked=chunked, for_=for_, content=part.content)


async def _upload(link: Link, side: Pipeline | None, pending: Pending, part: PartSource) -> None:
    """The octets of a part in chunks; stops early where the server has refused it."""
    pipeline = pending.pipeline
    whole = False
    try:
        file = await asyncio.to_thread(part.open)
        try:
            while not pending.over:
                octets = await asyncio.to_thread(file.read, READ)
                if not octets:
                    whole = True
                    break
                for at in range(0, len(octets), CHUNK):
                    chunk = octets[at : at + CHUNK]
                    pipeline.write(f"CHUNK {len(chunk)}", chunk)
                    await link.drain()
        finally:
            file.close()
    finally:
        if link.lost_by is None:
            if whole or pending.over:
                pipeline.write("CHUNK 0")
            elif side is not None:
                pipeline.submit(Abort())  # where CHUNK could come, ABORT ends the part as none
        if side is not None:
            side.release()
