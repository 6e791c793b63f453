"""A person's session on a server, with a method for every command that a person may use.

Rules: a method is thin: it makes a request of the registry and gives back its typed reply; long
answers are asynchronous iterators that take from the server only what their consumer takes; paths
are ``/inbox``, ``/inbox::unread`` or ``/inbox#id`` as docs/protocol.md, "Names" writes them, and ``at``
makes the last kind. ``blocking.py`` is made from this class: every public method needs its types.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from uuid import UUID

import msgspec

from immpd.model.imid import Imid, parse_imid
from immpd.model.message import FetchedMessage, IndexRow
from immpd.protocol import commands as c
from immpd.protocol import replies as r
from immpd.protocol import scram
from immpd.protocol.connection import Block
from immpd.protocol.registry import Request, Span

from .caller import Caller, MessagePipeline, ReplyStream
from .composing import Attachment, uuid_of
from .errors import ProtocolFault
from .link import Link
from .notifying import Notifying
from .publishing import Publishing
from .sending import Sending
from .watching import PathLike, Watching

__all__ = ["Attachment", "Caller", "Client", "MessagePipeline", "ReplyStream", "Request", "Secret", "at"]

PAGE = 500
"""Index rows asked for at once."""
GOODBYE_SECONDS = 2.0


class Secret(msgspec.Struct, frozen=True):
    """What a password became for one account: as good as the password itself, and as private."""

    h: bytes
    salt: bytes
    iterations: int


def at(path: PathLike, *ids: UUID | str) -> Imid:
    """The messages with these ids in a folder: ``at("/inbox", id)``."""
    return msgspec.structs.replace(_imid(path), filter=None, ids=tuple(dict.fromkeys(uuid_of(one) for one in ids)))


def _imid(path: PathLike) -> Imid:
    return path if isinstance(path, Imid) else parse_imid(path)


class Client(Publishing, Notifying, Watching, Sending):
    """A session. Its methods may be called from any number of tasks at once.

    Every method raises Refused for a 4xx or 7xx, ConnectionLost, ProtocolFault, and ImidError for a bad path.
    """

    def __init__(self, link: Link, about: r.Capabilities) -> None:
        super().__init__(link)
        self.about = about
        """What the server's greeting inside TLS offered."""
        self.account: Imid | None = None
        self.device = ""
        self.secret: Secret | None = None
        """What the password became, for the next log-in without it."""

    def logged_in(self, account: Imid, device: str, secret: Secret) -> None:
        """Note who this session is."""
        self.account = account
        self.device = device
        self.secret = secret

    # --- the session

    async def noop(self) -> r.Ok:
        """Nothing, and back: NOOP."""
        return await self.call(c.Noop())

    async def who(self) -> r.Who:
        """Account, device and state of this session: WHO."""
        return await self.call(c.Who())

    async def caps(self) -> r.Capabilities:
        """What the server offers: CAPS."""
        return await self.call(c.Caps())

    async def help(self, *words: str) -> tuple[str, ...]:
        """The server's help, of all commands or of one: HELP."""
        return (await self.call(c.Help(words=words))).lines

    async def cancel(self, pid: str) -> r.Stopped:
        """End what runs in a pipeline (``ReplyStream.pipeline``): CANCEL."""
        return await self.call(c.Cancel(pid=pid))

    async def close(self) -> None:
        """Say QUIT, wait a moment for the good-bye, hang up."""
        self.left = True
        link = self.link
        link.stop_streams()
        if link.lost_by is None:
            try:
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await self.call(c.Quit())
            except Exception:  # noqa: S110 - the connection ends now in any case
                pass
        link.stream.close()
        await self._gone()

    async def abort(self) -> None:
        """Hang up at once."""
        self.left = True
        self.link.stream.abort()
        await self._gone()

    async def _gone(self) -> None:
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await asyncio.shield(self.link.gone)
        except TimeoutError:
            self.link.stream.abort()

    # --- folders

    async def folders(self) -> tuple[r.FolderRow, ...]:
        """All folders with their counts: MBOX LIST."""
        return (await self.call(c.MboxList())).rows

    async def check(self, path: PathLike, *, recursive: bool = False) -> tuple[r.FolderCounts, ...]:
        """Unread, total and state of a folder, with ``recursive`` of all below it too: MBOX CHECK."""
        return (await self.call(c.MboxCheck(path=_imid(path), recursive=recursive))).rows

    async def create(self, path: PathLike) -> r.Ok:
        """Make a folder: MBOX CREATE."""
        return await self.call(c.MboxCreate(path=_imid(path)))

    async def rename(self, path: PathLike, to: PathLike) -> r.Ok:
        """Give a folder, with all below it, another name or place: MBOX RENAME."""
        return await self.call(c.MboxRename(path=_imid(path), to=_imid(to)))

    async def remove(self, path: PathLike, *, recursive: bool = False) -> r.Ok:
        """Remove an empty folder; ``recursive`` sends what is in it to TRASH: MBOX REMOVE."""
        return await self.call(c.MboxRemove(path=_imid(path), recursive=recursive))

    # --- messages

    async def index_page(
        self,
        path: PathLike,
        *,
        since: str | None = None,
        after: UUID | str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> r.IndexPage:
        """One page of a folder's rows with its state, and whether more follow: MBOX INDEX."""
        return await self.call(
            c.MboxIndex(path=_imid(path), since=since, after=uuid_of(after), limit=limit, reverse=reverse, json=True)
        )

    async def index(
        self,
        path: PathLike,
        *,
        since: str | None = None,
        after: UUID | str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> AsyncIterator[IndexRow]:
        """A folder's rows, newest first, page by page as they are taken: MBOX INDEX.

        ``since`` (a state) shows only what changed after it; ``after`` begins behind a message.
        """
        left = limit
        while left is None or left > 0:
            page = await self.index_page(
                path, since=since, after=after, limit=PAGE if left is None else min(PAGE, left), reverse=reverse
            )
            for row in page.rows:
                yield row
            if page.more is None or not page.rows:
                return
            after = page.rows[-1].id
            left = None if left is None else left - len(page.rows)

    async def fetch(
        self,
        path: PathLike,
        *,
        keep_unread: bool = False,
        after: UUID | str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[FetchedMessage]:
        """Messages with envelope, text and small parts; marks them read unless ``keep_unread``: MBOX FETCH +JSON."""
        async for octets in self.fetch_json(path, keep_unread=keep_unread, after=after, limit=limit):
            try:
                yield msgspec.json.decode(octets, type=FetchedMessage)
            except msgspec.DecodeError as error:
                raise ProtocolFault(f"The server's message cannot be understood: {error}") from error

    async def fetch_json(
        self,
        path: PathLike,
        *,
        keep_unread: bool = False,
        after: UUID | str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[bytes]:
        """As ``fetch``, each message as the JSON object that came."""
        request = c.MboxFetch(path=_imid(path), after=uuid_of(after), limit=limit, json=True, read=not keep_unread)
        async with self.stream(request) as items:
            pieces: list[bytes] = []
            async for item in items:
                if not isinstance(item, Block):
                    yield item.text.encode()
                    continue
                pieces.append(item.octets)
                if not item.more:
                    yield b"".join(pieces)
                    pieces = []

    async def fetch_text(
        self, path: PathLike, *, keep_unread: bool = False, limit: int | None = None
    ) -> AsyncIterator[str]:
        """Messages as lines of text for people, an empty line behind each: MBOX FETCH."""
        request = c.MboxFetch(path=_imid(path), limit=limit, read=not keep_unread)
        async with self.stream(request) as items:
            async for item in items:
                if not isinstance(item, Block):
                    yield item.text

    async def fetch_mime(self, path: PathLike, *, keep_unread: bool = False) -> AsyncIterator[Block]:
        """Messages as Internet mail, in blocks of at most 64 KiB: MBOX FETCH +MIME."""
        async for block in self._blocks(c.MboxFetch(path=_imid(path), mime=True, read=not keep_unread)):
            yield block

    async def raw(self, path: PathLike, *, keep_unread: bool = False) -> AsyncIterator[Block]:
        """Each part's octets as they are, in blocks that name message and part: MBOX FETCH +RAW."""
        async for block in self._blocks(c.MboxFetch(path=_imid(path), raw=True, read=not keep_unread)):
            yield block

    async def fetch_part(
        self, path: PathLike, part: int, range: tuple[int, int | None] | None = None
    ) -> AsyncIterator[bytes]:
        """The octets of one part of one message, or a ``range`` of them (first, last or None): MBOX FETCH PART."""
        span = None if range is None else Span(first=range[0], last=range[1])
        async for block in self._blocks(c.MboxFetch(path=_imid(path), part=part, range=span)):
            yield block.octets

    async def _blocks(self, request: c.MboxFetch) -> AsyncIterator[Block]:
        async with self.stream(request) as items:
            async for item in items:
                if isinstance(item, Block):
                    yield item

    async def flag(self, path: PathLike, *, add: Iterable[str] = (), clear: Iterable[str] = ()) -> r.Changed:
        """Set and clear READ, FLAGGED, ANSWERED, IMPORTANT, DRAFT and keywords of messages: MBOX FLAG."""
        flags = (*((name, True) for name in add), *((name, False) for name in clear))
        return await self.call(c.MboxFlag(path=_imid(path), flags=flags))

    async def move(self, path: PathLike, to: PathLike) -> r.Changed:
        """Move messages into another folder: MBOX MOVE."""
        return await self.call(c.MboxMove(path=_imid(path), to=_imid(to)))

    async def copy(self, path: PathLike, to: PathLike) -> r.Copied:
        """Put messages into a further folder: MBOX COPY."""
        return await self.call(c.MboxCopy(path=_imid(path), to=_imid(to)))

    async def delete(self, path: PathLike, *, purge: bool = False) -> r.Changed:
        """Messages to TRASH, or with ``purge`` gone for good: MBOX DELETE."""
        return await self.call(c.MboxDelete(path=_imid(path), purge=purge))

    # --- the password, and who is logged in

    async def change_password(
        self, new: str, *, keep_sessions: bool = False, remove_tokens: bool = False
    ) -> r.PasswordChanged:
        """Set another password; wants a log-in of the last 5 minutes: AUTH PASSWORD. ``secret`` is what it became.

        All other sessions of the account end, unless ``keep_sessions``. Push tokens still work, unless
        ``remove_tokens``; the reply names those that remain, and how many sessions ended. Raises ScramError where the
        password has characters that none can have.
        """
        if self.secret is None:
            raise RuntimeError("log in before you change the password")
        salt, rounds = self.secret.salt, self.secret.iterations
        h = await asyncio.to_thread(scram.salted_password, new, salt, rounds)
        made = scram.verifier_from_h(h, salt, rounds)
        # Only a server that offers SECRET has a use for h itself, and keeps it sealed.
        sealed = h if "SECRET" in self.about.auth else None
        changed = await self.call(
            c.AuthPassword(
                stored=made.stored_key,
                server=made.server_key,
                i=rounds,
                secret=sealed,
                keep_sessions=keep_sessions,
                remove_tokens=remove_tokens,
            )
        )
        self.secret = Secret(h, salt, rounds)
        return changed

    async def sessions(self) -> AsyncIterator[r.SessionRow]:
        """The account's open sessions, by the time of their log-in, page by page as they are taken: SESSION LIST."""
        after: UUID | None = None
        while True:
            page = await self.call(c.SessionList(after=after))
            for row in page.rows:
                yield row
            if page.more is None or not page.rows:
                return
            after = uuid_of(page.rows[-1].id)

    async def end_session(self, id: UUID | str) -> r.SessionsEnded:
        """End another session of the account: SESSION END."""
        return await self.call(c.SessionEnd(session=str(uuid_of(id))))

    async def end_other_sessions(self) -> r.SessionsEnded:
        """End all sessions of the account but this one: SESSION END *."""
        return await self.call(c.SessionEnd(session="*"))
