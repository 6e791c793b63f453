"""The sending half of a person's session: send, put, reply, forward, and the conversation around a message.

Rules: those of client.py, which builds on this; what is forwarded travels through this machine, large parts through
files of a temporary folder; ANSWERED is set when the answer was delivered (docs/why/threads.md); what reads mails is
imported when it is needed, for it takes longer than the rest.
"""

import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from uuid import UUID

import msgspec

from immpd.model.imid import Imid, parse_imid
from immpd.model.message import FetchedMessage, FetchedPart, IndexRow
from immpd.model.references import Reference, read_reference
from immpd.protocol import commands as c
from immpd.protocol import replies as r
from immpd.protocol.codes import Code
from immpd.protocol.connection import Block
from immpd.protocol.errors import Refused
from immpd.protocol.registry import Span

from .caller import Caller
from .composing import SMALL, Attachment, Recipients, compose_parts, imids_of, new_id, transmit, uuid_of
from .errors import BadValue, ConnectionLost, ProtocolFault
from .watching import PathLike

READ_AT_MOST = 8 << 20
"""Octets of a part that are read for its text."""


class Sending(Caller):
    """Commands that send, and what they need to read.

    Every method raises Refused for a 4xx or 7xx, ConnectionLost, ProtocolFault, ImidError for a bad path, BadValue.
    """

    about: r.Capabilities
    account: Imid | None

    # --- sending

    async def send(
        self,
        to: Recipients = (),
        subject: str | None = None,
        text: str | None = None,
        *,
        cc: Recipients = (),
        bcc: Recipients = (),
        attachments: Sequence[Attachment | Path | bytes] = (),
        important: bool | None = None,
        secure: bool = False,
        id: UUID | str | None = None,
        eml: Path | bytes | None = None,
        in_reply_to: str | None = None,
        references: Iterable[str] = (),
    ) -> r.Delivered:
        """Send a message: DELIVER, DATA for each part, DONE.

        Large files are read and sent side by side as the server takes them. ``eml`` is a whole Internet mail
        (RFC 5322) in place of ``text`` and ``attachments``. ``id`` makes sending again safe: the same message
        with the same ID is delivered once; the reply's ``id`` is it. ``in_reply_to`` and ``references`` are ids of
        other messages; ``reply`` fills them. Refused is raised where nobody gets the message; otherwise the reply's
        rows say what became of each recipient. OSError where a file cannot be read.
        """
        opening = c.Deliver(
            to=imids_of(to),
            cc=imids_of(cc),
            bcc=imids_of(bcc),
            subject=subject,
            id=uuid_of(id) or new_id(),
            in_reply_to=None if in_reply_to is None else _reference(in_reply_to),
            references=tuple(map(_reference, references)),
            important=important,
            secure=secure,
        )
        parts = compose_parts(text, attachments, eml)
        return await transmit(self.link, opening, parts, self.about.max_message)

    async def put(
        self,
        path: PathLike,
        subject: str | None = None,
        text: str | None = None,
        *,
        to: Recipients = (),
        cc: Recipients = (),
        bcc: Recipients = (),
        attachments: Sequence[Attachment | Path | bytes] = (),
        important: bool | None = None,
        flags: Iterable[str] = (),
        id: UUID | str | None = None,
        eml: Path | bytes | None = None,
        in_reply_to: str | None = None,
        references: Iterable[str] = (),
    ) -> r.Stored:
        """Put a message into a folder without sending it: MBOX PUT, DATA for each part, DONE."""
        opening = c.MboxPut(
            path=_imid(path),
            to=imids_of(to),
            cc=imids_of(cc),
            bcc=imids_of(bcc),
            subject=subject,
            id=uuid_of(id) or new_id(),
            in_reply_to=None if in_reply_to is None else _reference(in_reply_to),
            references=tuple(map(_reference, references)),
            important=important,
            flags=tuple((name, True) for name in flags),
        )
        return await transmit(self.link, opening, compose_parts(text, attachments, eml), self.about.max_message)

    async def reply(
        self,
        path: PathLike,
        text: str = "",
        *,
        all: bool = False,
        quoted: bool = False,
        cc: Recipients = (),
        bcc: Recipients = (),
        attachments: Sequence[Attachment | Path | bytes] = (),
        important: bool | None = None,
        secure: bool = False,
        id: UUID | str | None = None,
    ) -> r.Delivered:
        """Answer a message, ``at("/inbox", id)``, and mark it as answered: DELIVER, then MBOX FLAG.

        It goes where Reply-To says, else to who wrote it; ``all``: to everybody who got it, and to the list that it
        came through instead of its writer; never to oneself. ``quoted``: its text stands above yours. The mark is
        missing where the message has gone, or the connection was lost, when the answer had been delivered.
        """
        from .answering import answer_to, quote

        message = await self.message(path)
        assert self.account is not None
        answer = answer_to(message.envelope, self.account, all=all)
        if quoted:
            text = f"{quote(message.envelope, await self.text(path, message))}\n{text}"
        delivered = await self.send(
            answer.to,
            answer.subject,
            text,
            cc=(*answer.cc, *imids_of(cc)),
            bcc=bcc,
            attachments=attachments,
            important=important,
            secure=secure,
            id=id,
            in_reply_to=answer.in_reply_to,
            references=answer.references,
        )
        await self.mark_answered(path)
        return delivered

    async def forward(
        self,
        path: PathLike,
        to: Recipients,
        text: str = "",
        *,
        cc: Recipients = (),
        bcc: Recipients = (),
        attachments: Sequence[Attachment | Path | bytes] = (),
        important: bool | None = None,
        secure: bool = False,
        id: UUID | str | None = None,
    ) -> r.Delivered:
        """Send a message on with all its attachments, its text below yours: DELIVER.

        An Internet mail goes along as it came, octet for octet, as an attachment of the type message/rfc822.
        """
        from .answering import forward_subject, forwarded

        message = await self.message(path)
        below = forwarded(message.envelope, await self.text(path, message))
        with tempfile.TemporaryDirectory(prefix="immp-") as folder:
            kept = await self.attachments_of(path, message, Path(folder))
            return await self.send(
                to,
                forward_subject(message.envelope.subject),
                f"{text}\n\n{below}" if text else below,
                cc=cc,
                bcc=bcc,
                attachments=(*kept, *attachments),
                important=important,
                secure=secure,
                id=id,
            )

    async def thread(
        self, path: PathLike, *, since: str | None = None, limit: int | None = None, reverse: bool = False
    ) -> AsyncIterator[IndexRow]:
        """The rows of the conversation around a message, folder by folder, newest first: MBOX INDEX +THREADS.

        A message that lies in two folders is a row in both.
        """
        request = c.MboxIndex(path=_imid(path), since=since, limit=limit, reverse=reverse, json=True, threads=True)
        async with self.stream(request) as items:
            async for item in items:
                if not isinstance(item, Block):
                    yield msgspec.json.decode(item.text, type=IndexRow)

    # --- what answering and forwarding need

    async def message(self, path: PathLike) -> FetchedMessage:
        """One message, which stays unread if it is: MBOX FETCH +JSON -READ."""
        octets = b""
        async with self.stream(c.MboxFetch(path=_imid(path), json=True, read=False)) as items:
            async for item in items:
                octets += item.octets if isinstance(item, Block) else item.text.encode()
        try:
            return msgspec.json.decode(octets, type=FetchedMessage)
        except msgspec.DecodeError as error:
            raise ProtocolFault(f"The server's message cannot be understood: {error}") from error

    async def text(self, path: PathLike, message: FetchedMessage) -> str:
        """What a person reads in a message."""
        from .answering import is_text, text_of

        said = [
            text_of(part, part.data.encode() if not part.encoding else await self._octets(path, part))
            for part in message.parts
            if is_text(part)
        ]
        return "\n\n".join(filter(None, (one.strip("\n") for one in said)))

    async def attachments_of(self, path: PathLike, message: FetchedMessage, folder: Path) -> list[Attachment]:
        """What a message has besides its text; large parts as files in ``folder``."""
        from .answering import is_text, is_whole_mail

        if is_whole_mail(message):
            parts = [msgspec.structs.replace(message.parts[0], name="message.eml")]
        else:
            parts = [part for part in message.parts if not is_text(part)]
        kept = []
        for part in parts:
            source: Path | bytes
            if part.length <= SMALL:
                source = await self._octets(path, part)
            else:
                source = folder / str(part.id)
                with open(source, "wb") as file:  # noqa: ASYNC230 - a temporary file, block by block
                    async for octets in self._part(path, part.id):
                        file.write(octets)
            kept.append(Attachment(source=source, name=part.name, type=part.type))
        return kept

    async def mark_answered(self, path: PathLike) -> bool:
        """Set ANSWERED; False where it cannot be: the message has gone, or the connection."""
        try:
            await self.call(c.MboxFlag(path=_imid(path), flags=(("ANSWERED", True),)))
        except ConnectionLost:
            return False
        except Refused as error:
            if error.code is not Code.NOT_FOUND:
                raise
            return False
        return True

    async def _octets(self, path: PathLike, part: FetchedPart) -> bytes:
        span = None if part.length <= READ_AT_MOST else Span(first=0, last=READ_AT_MOST - 1)
        return b"".join([octets async for octets in self._part(path, part.id, span)])

    async def _part(self, path: PathLike, part: int, span: Span | None = None) -> AsyncIterator[bytes]:
        async with self.stream(c.MboxFetch(path=_imid(path), part=part, range=span)) as items:
            async for item in items:
                if isinstance(item, Block):
                    yield item.octets


def _imid(path: PathLike) -> Imid:
    return path if isinstance(path, Imid) else parse_imid(path)


def _reference(text: str) -> Reference:
    try:
        return read_reference(text)
    except ValueError as error:
        raise BadValue(str(error)) from None
