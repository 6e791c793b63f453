"""Commands on mailboxes, and WATCH."""

from typing import Annotated
from uuid import UUID

from immpd.model.imid import Imid
from immpd.model.references import Reference
from immpd.protocol import replies as r
from immpd.protocol.codes import Code
from immpd.protocol.registry import FreeSwitches, Positional, Request, Shape, Span, command
from immpd.protocol.states import MEMBER

BOX_CODES = (Code.BAD_VALUE, Code.DENIED, Code.NOT_FOUND, Code.CONFLICT, Code.LIMIT, Code.TEMPORARY)
Path = Annotated[Imid, Positional, "path"]


@command(
    "MBOX LIST", states=MEMBER, shape=Shape.UNIT, codes=(Code.FOLDER, *BOX_CODES), summary="Folders with their counts"
)
class MboxList(Request[r.Folders], frozen=True, kw_only=True):
    """Every folder of the mailboxes one may see."""


@command(
    "MBOX CHECK",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.COUNTS, *BOX_CODES),
    summary="Unread, total and state of a folder",
)
class MboxCheck(Request[r.Counts], frozen=True, kw_only=True):
    """Counts of one folder or view, or of it and all below it."""

    path: Path
    recursive: bool = False


@command(
    "MBOX INDEX",
    states=MEMBER,
    shape=Shape.STREAM,
    codes=(Code.MESSAGES, *BOX_CODES),
    summary="A folder's messages, newest first",
)
class MboxIndex(Request[r.IndexPage], frozen=True, kw_only=True):
    """Rows of a folder, filtered and in pages; with +THREADS those of a message's conversation in all folders."""

    path: Path
    since: Annotated[str | None, "state"] = None
    after: UUID | None = None
    limit: int | None = None
    reverse: bool = False
    json: bool = False
    threads: bool = False


@command(
    "MBOX FETCH",
    "FETCH",
    states=MEMBER,
    shape=Shape.STREAM,
    codes=(Code.MESSAGES, Code.BLOCK, *BOX_CODES),
    summary="Read messages",
)
class MboxFetch(Request[r.Fetched], frozen=True, kw_only=True):
    """Messages by id or filter: text for people, or +JSON, +MIME, +RAW; marks them read unless -READ."""

    path: Path
    after: UUID | None = None
    limit: int | None = None
    part: int | None = None
    range: Span | None = None
    json: bool = False
    mime: bool = False
    raw: bool = False
    pretty: bool = False
    read: bool = True


@command("MBOX FLAG", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *BOX_CODES), summary="Set and clear flags")
class MboxFlag(Request[r.Changed], frozen=True, kw_only=True):
    """+READ -FLAGGED +anything: known flags and keywords of the messages named."""

    path: Path
    flags: FreeSwitches = ()


@command("MBOX MOVE", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *BOX_CODES), summary="Move messages")
class MboxMove(Request[r.Changed], frozen=True, kw_only=True):
    """From the folder named into another of the same mailbox."""

    path: Path
    to: Annotated[Imid, "path"]


@command("MBOX COPY", states=MEMBER, shape=Shape.UNIT, codes=(Code.STORED, *BOX_CODES), summary="Copy messages")
class MboxCopy(Request[r.Copied], frozen=True, kw_only=True):
    """Into a further folder: the same message, which then lies in both."""

    path: Path
    to: Annotated[Imid, "path"]


@command("MBOX DELETE", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *BOX_CODES), summary="Delete messages")
class MboxDelete(Request[r.Changed], frozen=True, kw_only=True):
    """To TRASH, or with +PURGE at once and for good."""

    path: Path
    purge: bool = False


@command(
    "MBOX PUT",
    states=MEMBER,
    shape=Shape.AWAIT,
    codes=(Code.OPENED, Code.READY, Code.STORED, Code.OUT_OF_STEP, *BOX_CODES),
    body="framed",
    summary="Put a message into a folder: DATA and DONE follow, or its octets at once",
)
class MboxPut(Request[r.Stored], frozen=True, kw_only=True):
    """Open a message that DONE places in the folder; it is sent to nobody.

    With LENGTH, +CHUNKED or +BASE64 its one part follows at once, and nothing else is needed.
    """

    path: Path
    to: tuple[Imid, ...] = ()
    cc: tuple[Imid, ...] = ()
    bcc: tuple[Imid, ...] = ()
    subject: str | None = None
    id: UUID | None = None
    in_reply_to: Reference | None = None
    references: tuple[Reference, ...] = ()
    type: Annotated[str | None, "media-type"] = None
    length: int | None = None
    important: bool | None = None
    base64: bool = False
    chunked: bool = False
    flags: FreeSwitches = ()


@command("MBOX CREATE", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *BOX_CODES), summary="Create a folder")
class MboxCreate(Request[r.Ok], frozen=True, kw_only=True):
    """A folder, and those above it that are missing."""

    path: Path


@command("MBOX RENAME", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *BOX_CODES), summary="Rename a folder")
class MboxRename(Request[r.Ok], frozen=True, kw_only=True):
    """A folder and all below it."""

    path: Path
    to: Annotated[Imid, "path"]


@command("MBOX REMOVE", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *BOX_CODES), summary="Remove a folder")
class MboxRemove(Request[r.Ok], frozen=True, kw_only=True):
    """An empty folder; with +RECURSIVE also what is in it and below it, which goes to TRASH."""

    path: Path
    recursive: bool = False


@command(
    "WATCH", states=MEMBER, shape=Shape.SESSION, codes=(Code.EVENT, *BOX_CODES), summary="See changes as they happen"
)
class Watch(Request[r.WatchEnded], frozen=True, kw_only=True):
    """Stays open; every event has a cursor that ACK confirms."""

    paths: Annotated[tuple[Imid, ...], Positional, "path"] = ()
    since: Annotated[str | None, "cursor"] = None
    name: Annotated[str, "name"] = ""


@command(
    "ACK",
    states=MEMBER,
    shape=Shape.SESSION,
    codes=(Code.KEPT, Code.NOT_KEPT),
    summary="Confirm events up to a cursor",
)
class Ack(Request[r.Kept], frozen=True, kw_only=True):
    """Cumulative; the server keeps it for this device and the watch's name."""

    cursor: Annotated[str, Positional, "cursor"]
    name: Annotated[str, "name"] = ""
