"""Commands that send."""

from typing import Annotated
from uuid import UUID

from immpd.model.imid import Imid
from immpd.model.references import Reference
from immpd.protocol import replies as r
from immpd.protocol.codes import Code
from immpd.protocol.registry import Positional, Request, Shape, command
from immpd.protocol.states import SENDER

SEND_CODES = (Code.BAD_VALUE, Code.DENIED, Code.NOT_FOUND, Code.LIMIT, Code.TEMPORARY, Code.NO_ROUTE)


@command(
    "DELIVER",
    states=SENDER,
    shape=Shape.AWAIT,
    codes=(Code.OPENED, Code.READY, Code.DELIVERED, Code.OUT_OF_STEP, Code.CONFLICT, *SEND_CODES),
    body="framed",
    summary="Open a message to recipients, or deliver one at once",
)
class Deliver(Request[r.Delivered], frozen=True, kw_only=True):
    """Begin a message: DATA adds its parts, DONE delivers it, ABORT drops it.

    With LENGTH, +CHUNKED or +BASE64 its one part follows at once, and nothing else is needed.
    """

    to: tuple[Imid, ...] = ()
    cc: tuple[Imid, ...] = ()
    bcc: tuple[Imid, ...] = ()
    from_: Imid | None = None
    subject: str | None = None
    id: UUID | None = None
    in_reply_to: Reference | None = None
    references: tuple[Reference, ...] = ()
    type: Annotated[str | None, "media-type"] = None
    length: int | None = None
    important: bool | None = None
    multipart: bool = False
    secure: bool = False
    base64: bool = False
    chunked: bool = False


@command(
    "DATA",
    states=SENDER,
    shape=Shape.AWAIT,
    codes=(Code.READY, Code.PART, Code.OUT_OF_STEP, Code.CONFLICT, *SEND_CODES),
    body="always",
    summary="Add a part to the open message",
)
class Data(Request[r.PartStored], frozen=True, kw_only=True):
    """Octets follow the line: LENGTH of them, or chunks, or base64 lines."""

    name: Annotated[str, Positional, "name"] = ""
    type: Annotated[str | None, "media-type"] = None
    length: int | None = None
    for_: Annotated[str | None, "pipeline"] = None
    base64: bool = False
    chunked: bool = False
    content: bool = False
    headers: bool = False


@command(
    "DONE",
    states=SENDER,
    shape=Shape.AWAIT,
    codes=(Code.DELIVERED, Code.STORED, Code.CONFLICT, *SEND_CODES),
    summary="Deliver the open message, or put it into its folder",
)
class Done(Request[r.Delivered], frozen=True, kw_only=True):
    """Waits for all parts read before it; says 273 only when the message is on disk."""


@command("ABORT", states=SENDER, shape=Shape.NOW, codes=(Code.OK, Code.NOT_FOUND), summary="Drop the open message")
class Abort(Request[r.Ok], frozen=True, kw_only=True):
    """Drop what was begun in this pipeline."""
