"""What is being sent: opened, and its parts ordered, when the lines are read; DONE hands it on.

Rules (docs/protocol.md, "Pipelines"): one open message a pipeline; FOR says whose message a part
belongs to; DONE takes the message out when it is read and waits for the parts read before it; a
refused message swallows its parts. A part lies in memory up to 256 KiB, then in a file.
"""

import asyncio
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from immpd.mime.headers import BLOCK_LIMIT
from immpd.model.message import is_rfc822
from immpd.protocol.codes import Code
from immpd.protocol.commands import Data, Publish, Push
from immpd.protocol.errors import Refused
from immpd.service.session import Session, refusal_of
from immpd.store.errors import StoreUnavailable

from .spool import Spool

if TYPE_CHECKING:
    from immpd.service.access import Place
    from immpd.store.accounts.directory import MailingList, Recipient

IN_MEMORY = 256 * 1024
SESSION_MEMORY = 2 << 20
ROOM = 2 << 20
FILES_AT_ONCE = 128
"""Files that are being written for an account: of such handles a process has a bounded number."""
MAX_DROPPED = 64
"""Messages that were dropped and are remembered as such, until DONE, ABORT or another message in their pipeline."""


def _cancelled() -> Refused:
    """A new one each time: a shared error would keep the traceback, and so the octets, of every raise."""
    return Refused(Code.CANCELLED, "CANCELLED", "The message was cancelled")


def headers_too_large() -> Refused:
    """The refusal of a part with +HEADERS that has too many octets."""
    return Refused(Code.LIMIT, "HEADERS-TOO-LARGE", f"A part with +HEADERS has at most {BLOCK_LIMIT} octets")


def message_open() -> Refused:
    """The refusal of a message in a pipeline that has one."""
    return Refused(Code.CONFLICT, "MESSAGE-OPEN", "A message is open in this pipeline: DONE or ABORT it first")


def too_large(draft: "Draft") -> Refused:
    """The refusal of what has too many octets, or of a part of it."""
    kind = type(draft.request)
    what = "An item" if kind is Publish else "A notification" if kind is Push else "A message"
    return Refused(Code.LIMIT, "TOO-LARGE", f"{what} has at most {draft.limit} octets here")


class PartDraft:
    """One part while its octets come in; the session gives them to ``take``."""

    __slots__ = (
        "_has_file",
        "_memory",
        "_waiters",
        "complete",
        "digest",
        "draft",
        "error",
        "head",
        "length",
        "number",
        "octets",
        "request",
        "spool",
    )

    def __init__(self, draft: "Draft | None", request: Data) -> None:
        self.draft = draft
        self.request = request
        self.number = 0
        """In its message, from 1; 0 with +HEADERS, which is no part."""
        self.length = 0
        self.octets: bytes | None = None
        """The whole part, where it is small and complete."""
        self.spool: Spool | None = None
        self.head = b""
        """Of a part in a file: its beginning, for the headers of Internet mail."""
        self.digest = b""
        self.complete = False
        """All octets are here and, in a file, on disk; or ``error`` says why not."""
        self.error: Refused | None = None
        self._has_file = False
        """It is counted among the files that are being written for its account."""
        self._memory: bytearray | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def whole(self, octets: bytes) -> None:
        """All octets at once."""
        draft = self.draft
        size = len(octets)
        if draft is None or size > IN_MEMORY or draft.drafts.memory + size > SESSION_MEMORY:
            self.take(octets, True)
            return
        if self.error is None and draft.admits(self, size):
            self.length = size
            self.octets = octets
            draft.drafts.memory += size
            self.digest = hashlib.sha256(octets).digest()
        self.complete = True

    def take(self, octets: bytes, last: bool) -> None:
        """Some octets, in order; ``last`` with the end."""
        draft = self.draft
        if draft is None or self.error is not None or not draft.admits(self, len(octets)):
            self._settle_if(last)
            return
        self.length += len(octets)
        if self.spool is not None:
            self._spool(draft, octets)
        else:
            drafts = draft.drafts
            if self._memory is None:
                self._memory = bytearray()
            self._memory += octets
            drafts.memory += len(octets)
            if self.length > IN_MEMORY or drafts.memory > SESSION_MEMORY:
                if not self._begin_file(drafts):
                    text = f"An account has at most {FILES_AT_ONCE} large parts on their way at once"
                    self.fail(Refused(Code.LIMIT, "TOO-MANY-PARTS", text))
                    self._settle_if(last)
                    return
                services = drafts.session.services
                self.spool = Spool(services.bodies, services.ids, drafts.moved, self._on_disk)
                drafts.memory -= self.length
                kept, self._memory = self._memory, None
                self._spool(draft, kept)
        if last and self.spool is not None:
            self.spool.finish()
        elif last:
            self.octets = bytes(self._memory or b"")
            self._memory = None
            self.digest = hashlib.sha256(self.octets).digest()
            self._settle_if(True)

    def _begin_file(self, drafts: "Drafts") -> bool:
        """Whether one more file of the account may be open."""
        writing = drafts.session.services.writing
        if writing[drafts.account] >= FILES_AT_ONCE:
            return False
        writing[drafts.account] += 1
        self._has_file = True
        return True

    def _end_file(self) -> None:
        if self._has_file and self.draft is not None:
            self._has_file = False
            drafts = self.draft.drafts
            writing = drafts.session.services.writing
            writing[drafts.account] -= 1
            if not writing[drafts.account]:
                del writing[drafts.account]

    def _spool(self, draft: "Draft", octets: bytes | bytearray) -> None:
        if len(self.head) < IN_MEMORY and self.number == 1 and is_rfc822(self.request.type or ""):
            self.head += octets[: IN_MEMORY - len(self.head)]
        assert self.spool is not None
        self.spool.write(octets)

    def fail(self, error: Refused) -> None:
        """The part is bad or was given up; what comes of it is thrown away."""
        self.error = self.error or error
        self.discard()
        self._settle_if(True)

    def cancelled(self) -> None:
        """DATA was cancelled."""
        self.fail(_cancelled())

    def discard(self) -> None:
        """Let go of what was kept."""
        self._end_file()
        if self.spool is not None:
            self.spool.discard()
            self.spool = None
        held = len(self.octets or b"") + len(self._memory or b"")
        if self.draft is not None:
            self.draft.drafts.memory -= held
        self.octets = self._memory = None
        self.head = b""

    def _on_disk(self, error: BaseException | None) -> None:
        self._end_file()
        if error is not None:
            if isinstance(error, StoreUnavailable):
                self.fail(refusal_of(error))
            else:
                text = "The part could not be written to the server's disk"
                self.fail(Refused(Code.TEMPORARY, "STORE-UNAVAILABLE", text, 60))
            return
        if self.spool is not None:
            self.digest = self.spool.digest
        self._settle_if(True)

    def _settle_if(self, last: bool) -> None:
        if last and not self.complete:
            self.complete = True
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def settled(self) -> None:
        """Wait until ``complete``."""
        if not self.complete:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter


class Draft:
    """One message, notification or item while it is being sent."""

    __slots__ = (
        "drafts",
        "error",
        "found",
        "limit",
        "numbered",
        "octets",
        "parts",
        "pid",
        "place",
        "recipients",
        "request",
        "sent",
        "touched",
    )

    def __init__(self, drafts: "Drafts", pid: str | None, request: Any, limit: int) -> None:
        self.drafts = drafts
        self.pid = pid
        self.request = request
        """The command that opened it."""
        self.limit = limit
        """Octets that it may have."""
        self.found: Any = None
        """Of notifications and items: what that command found out, for the one that ends it."""
        self.parts: list[PartDraft] = []
        self.numbered = 0
        """How many of them are parts of the message."""
        self.octets = 0
        self.error: Refused | None = None
        self.recipients: list[tuple[str, Recipient | MailingList | Refused]] = []
        self.sent: int | None = None
        """The sender's SENT folder, where a copy goes."""
        self.place: Place | None = None
        """Of MBOX PUT: where it goes."""
        self.touched = drafts.session.services.clock.monotonic()
        """Monotonic seconds when something of it last came."""

    def admits(self, part: PartDraft, octets: int) -> bool:
        """Count octets; marks the part where they are too many or the message is refused."""
        if self.error is not None:
            part.error = self.error
            return False
        self.touched = self.drafts.session.services.clock.monotonic()
        self.octets += octets
        if self.octets > self.limit:
            part.fail(too_large(self))
            return False
        if part.request.headers and part.length + octets > BLOCK_LIMIT:
            part.fail(headers_too_large())
            return False
        return True

    def cancelled(self) -> None:
        """DELIVER, MBOX PUT, DONE or ABORT was cancelled: the message comes to nothing."""
        self.refuse(_cancelled())

    def refuse(self, error: Refused) -> None:
        """The message comes to nothing: its parts are thrown away, now and when they come."""
        self.error = self.error or error
        self.drafts.forget(self)
        for part in self.parts:
            part.fail(self.error)


class WholeDraft(Draft):
    """What comes with the octets of its own command: whole as soon as they are here. No DATA can be added to it."""

    __slots__ = ()

    def __init__(self, drafts: "Drafts", pid: str | None, request: Any, limit: int) -> None:
        super().__init__(drafts, pid, request, limit)
        length: int | None = request.length
        part = PartDraft(self, Data(type=request.type, length=length, content=True))
        part.number = self.numbered = 1
        self.parts.append(part)
        if length is not None and length > limit and not getattr(request, "base64", False):
            part.error = too_large(self)

    def whole(self, octets: bytes) -> None:
        """All octets at once."""
        self.parts[0].whole(octets)

    def take(self, octets: bytes, last: bool) -> None:
        """Some octets, in order."""
        self.parts[0].take(octets, last)
        if last:
            self.drafts.forget(self)

    def fail(self, error: Refused) -> None:
        """They were not what they should be."""
        self.parts[0].fail(error)
        if error.code is not Code.CANCELLED:  # else ABORT, which follows, takes it out
            self.drafts.forget(self)


class Drafts:
    """The open messages of a session."""

    __slots__ = ("memory", "on_room", "opened", "pending", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.opened: dict[str | None, Draft] = {}
        self.memory = 0
        """Octets of unfinished messages in memory."""
        self.pending = 0
        """Octets that wait for the disk."""
        self.on_room: Callable[[], None] | None = None
        """Called once, when fewer wait for the disk than ``ROOM``."""

    @property
    def account(self) -> int:
        """By which files that are being written are counted: the mailbox, 0 before log-in."""
        account = self.session.principal.account
        return 0 if account is None else account.mailbox

    def moved(self, octets: int) -> None:
        """So many more (or less) wait for the disk."""
        self.pending += octets
        if octets <= 0 and self.pending <= ROOM and self.on_room is not None:
            on_room, self.on_room = self.on_room, None
            on_room()

    def open(self, pid: str | None, request: Any, limit: int) -> Draft | None:
        """Open a message of at most ``limit`` octets in the pipeline; None where one is open already."""
        before = self.opened.get(pid)
        if before is not None and before.error is None:
            return None
        draft = self.opened[pid] = Draft(self, pid, request, limit)
        return draft

    def whole(self, pid: str | None, request: Any, limit: int) -> WholeDraft:
        """Begin a message with its octets right behind its line; refused where one is open in the pipeline already."""
        draft = WholeDraft(self, pid, request, limit)
        if pid in self.opened:
            draft.error = message_open()
        elif request.length is None:
            self.opened[pid] = draft  # ABORT may end it in the midst of its chunks, and so may silence
        return draft

    def forget(self, draft: Draft) -> None:
        """It is no longer open in its pipeline."""
        if self.opened.get(draft.pid) is draft:
            del self.opened[draft.pid]

    def expire(self, now: float) -> None:
        """Drop messages that nothing was added to for too long; DATA, DONE and ABORT are told why."""
        idle = self.session.services.limits.message_idle
        for draft in list(self.opened.values()):
            if draft.error is None and now - draft.touched > idle:
                draft.refuse(Refused(Code.NOT_FOUND, "EXPIRED", f"The message was dropped: nothing came for {idle} s"))
                self.opened[draft.pid] = draft
        for draft in [one for one in self.opened.values() if one.error is not None][:-MAX_DROPPED]:
            self.forget(draft)

    def close(self) -> None:
        """Drop everything."""
        for draft in list(self.opened.values()):
            draft.refuse(Refused(Code.CANCELLED, "CANCELLED", "The session has ended"))


def drafts_of(session: Session) -> Drafts:
    """The session's open messages."""
    if session.drafts is None:
        session.drafts = Drafts(session)
    return session.drafts
