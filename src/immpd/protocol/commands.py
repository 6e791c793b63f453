"""THE registry: every command of IMMP/1.0 that this version knows, one frozen struct each.

Rules: the order here is the order of the reference; adding a command is a struct here, a handler in
one module of ``service``, and a conversation in tests/sessions (a completeness test asks for all).
"""

from typing import Annotated
from uuid import UUID

from immpd.model.imid import Imid

from . import replies as r
from .codes import Code
from .registry import FreeSwitches, Positional, Request, Shape, Span, command
from .states import EVERY, MEMBER, OPERATOR, SENDER, TLS_UP, State

UNAUTHENTICATED = frozenset({State.UNAUTHENTICATED})

# --- session -------------------------------------------------------------------------------------


@command(
    "UPGRADE",
    states={State.CLEAR},
    shape=Shape.SESSION,
    codes=(Code.UPGRADING, Code.UPGRADE_REFUSED),
    alone=True,
    summary="Encrypt the connection",
)
class Upgrade(Request[r.Upgrading], frozen=True, kw_only=True):
    """Go over to TLS (docs/protocol.md, "Transport")."""

    method: Annotated[str, Positional, "method"]


@command("CAPS", states=TLS_UP, shape=Shape.NOW, codes=(Code.CAPABILITIES,), summary="What the server offers")
class Caps(Request[r.Capabilities], frozen=True, kw_only=True):
    """The capabilities line of the greeting again."""


@command("HELP", states=TLS_UP, shape=Shape.NOW, codes=(Code.OK, Code.NOT_FOUND), summary="How a command is written")
class Help(Request[r.Help], frozen=True, kw_only=True):
    """All commands, or one."""

    words: Annotated[tuple[str, ...], Positional, "command"] = ()


@command("NOOP", states=TLS_UP, shape=Shape.NOW, codes=(Code.OK,), summary="Do nothing, and say so")
class Noop(Request[r.Ok], frozen=True, kw_only=True):
    """Nothing; keeps a connection alive and measures a round trip."""


@command("WHO", states=TLS_UP, shape=Shape.NOW, codes=(Code.OK,), summary="Who this session is")
class Who(Request[r.Who], frozen=True, kw_only=True):
    """Account, device and state of this session."""


@command("CANCEL", states=TLS_UP, shape=Shape.SESSION, codes=(Code.OK, Code.NOT_FOUND), summary="Stop a pipeline")
class Cancel(Request[r.Ok], frozen=True, kw_only=True):
    """End the running and queued commands of a pipeline; acts when it is read."""

    pid: Annotated[str, Positional, "pipeline"]


@command("QUIT", states=EVERY, shape=Shape.SESSION, codes=(Code.GOODBYE,), summary="Finish and close")
class Quit(Request[r.Goodbye], frozen=True, kw_only=True):
    """Let running commands finish, drop unfinished messages, close."""


# --- authentication ------------------------------------------------------------------------------

AUTH_CODES = (Code.AUTH_FAILED, Code.ATTEMPTS, Code.TEMPORARY, Code.BAD_VALUE)


@command(
    "AUTH SCRAM-SHA-256",
    states=UNAUTHENTICATED,
    shape=Shape.UNIT,
    codes=(Code.SCRAM_CHALLENGE, *AUTH_CODES),
    alone=True,
    summary="Log in with SCRAM (RFC 7677)",
)
class AuthScram(Request[r.ScramChallenge], frozen=True, kw_only=True):
    """SCRAM's client-first message; the device label keeps a place in the timeline."""

    data: Annotated[bytes, Positional, "client-first"]
    device: Annotated[str, Positional, "device"] = ""


@command(
    "AUTH SCRAM-SHA-256-PLUS",
    states=UNAUTHENTICATED,
    shape=Shape.UNIT,
    codes=(Code.SCRAM_CHALLENGE, *AUTH_CODES),
    alone=True,
    summary="Log in with SCRAM bound to this TLS connection (RFC 5802, RFC 5929)",
)
class AuthScramPlus(Request[r.ScramChallenge], frozen=True, kw_only=True):
    """SCRAM's client-first message with channel binding."""

    data: Annotated[bytes, Positional, "client-first"]
    device: Annotated[str, Positional, "device"] = ""


@command(
    "AUTH SECRET",
    states=UNAUTHENTICATED,
    shape=Shape.UNIT,
    codes=(Code.NONCES, Code.SECRET_CHALLENGE, *AUTH_CODES),
    alone=True,
    summary="Log in with the shared secret of IMMP 1.0",
)
class AuthSecret(Request[r.SecretChallenge], frozen=True, kw_only=True):
    """Ask for the nonces; AUTH RESPONSE carries K(h, n1, n2)."""

    account: Annotated[Imid, Positional, "account"]
    device: Annotated[str, Positional, "device"] = ""


@command(
    "AUTH RESPONSE",
    states=UNAUTHENTICATED,
    shape=Shape.AWAIT,
    codes=(Code.AUTHENTICATED, *AUTH_CODES),
    alone=True,
    summary="The answer to the server's challenge",
)
class AuthResponse(Request[r.Authenticated], frozen=True, kw_only=True):
    """Hexadecimal K for SECRET, base64 client-final for SCRAM."""

    answer: Annotated[str, Positional, "answer"]


@command(
    "AUTH PASSWORD",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.OK, Code.BAD_VALUE, Code.DENIED),
    alone=True,
    summary="Change the password",
)
class AuthPassword(Request[r.Ok], frozen=True, kw_only=True):
    """A new verifier, made by the client with the account's salt; wants a log-in of the last 5 minutes."""

    stored: bytes
    server: bytes
    i: int
    secret: bytes | None = None


# --- delivery ------------------------------------------------------------------------------------

SEND_CODES = (Code.BAD_VALUE, Code.DENIED, Code.NOT_FOUND, Code.LIMIT, Code.TEMPORARY, Code.NO_ROUTE)


@command(
    "DELIVER",
    states=SENDER,
    shape=Shape.UNIT,
    codes=(Code.OPENED, Code.CONFLICT, *SEND_CODES),
    summary="Open a message to recipients",
)
class Deliver(Request[r.Opened], frozen=True, kw_only=True):
    """Begin a message: DATA adds its parts, DONE delivers it, ABORT drops it."""

    to: tuple[Imid, ...] = ()
    cc: tuple[Imid, ...] = ()
    bcc: tuple[Imid, ...] = ()
    from_: Imid | None = None
    subject: str | None = None
    id: UUID | None = None
    important: bool | None = None
    multipart: bool = False
    secure: bool = False


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


# --- mailboxes -----------------------------------------------------------------------------------

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
    """Counts of one folder, or of it and all below it."""

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
    """Rows of a folder, filtered and in pages."""

    path: Path
    since: Annotated[str | None, "state"] = None
    after: UUID | None = None
    limit: int | None = None
    reverse: bool = False
    json: bool = False


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
    """Into a further folder: the same message where it is the same mailbox, else a new one."""

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
    shape=Shape.UNIT,
    codes=(Code.OPENED, *BOX_CODES),
    summary="Put a message into a folder: DATA and DONE follow",
)
class MboxPut(Request[r.Opened], frozen=True, kw_only=True):
    """Open a message that DONE places in the folder; it is sent to nobody."""

    path: Path
    to: tuple[Imid, ...] = ()
    cc: tuple[Imid, ...] = ()
    bcc: tuple[Imid, ...] = ()
    subject: str | None = None
    id: UUID | None = None
    important: bool | None = None
    flags: FreeSwitches = ()


@command("MBOX CREATE", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *BOX_CODES), summary="Create a folder")
class MboxCreate(Request[r.Ok], frozen=True, kw_only=True):
    """A folder, whose parent exists."""

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
    "ACK", states=MEMBER, shape=Shape.SESSION, codes=(Code.OK, *BOX_CODES), summary="Confirm events up to a cursor"
)
class Ack(Request[r.Ok], frozen=True, kw_only=True):
    """Cumulative; the server keeps it for this device and the watch's name."""

    cursor: Annotated[str, Positional, "cursor"]
    name: Annotated[str, "name"] = ""


# --- feeds: feed_commands.py, which stands here in the order of the reference

from . import feed_commands as feed_commands  # noqa: E402, PLC0414

# --- the operator's socket -----------------------------------------------------------------------


@command(
    "ACCOUNT SALT", states=OPERATOR, shape=Shape.NOW, codes=(Code.SALT, Code.NOT_FOUND), summary="Salt of a verifier"
)
class AccountSalt(Request[r.Salt], frozen=True, kw_only=True):
    """With what the verifier of an account, existing or not, is made."""

    address: Annotated[Imid, Positional, "account"]


@command(
    "ACCOUNT ADD",
    states=OPERATOR,
    shape=Shape.UNIT,
    codes=(Code.OK, Code.CONFLICT, Code.BAD_VALUE, Code.NOT_FOUND, Code.TEMPORARY),
    summary="Make an account and its mailbox",
)
class AccountAdd(Request[r.Ok], frozen=True, kw_only=True):
    """Without a verifier nobody can log in yet."""

    address: Annotated[Imid, Positional, "account"]
    stored: bytes | None = None
    server: bytes | None = None
    i: int | None = None
    secret: bytes | None = None


@command("ACCOUNT LIST", states=OPERATOR, shape=Shape.UNIT, codes=(Code.ACCOUNT,), summary="All accounts")
class AccountList(Request[r.Accounts], frozen=True, kw_only=True):
    """All accounts of all domains."""


@command(
    "ACCOUNT PASSWD",
    states=OPERATOR,
    shape=Shape.UNIT,
    codes=(Code.OK, Code.NOT_FOUND, Code.BAD_VALUE, Code.TEMPORARY),
    summary="Set an account's password",
)
class AccountPasswd(Request[r.Ok], frozen=True, kw_only=True):
    """A new verifier; sessions that are open stay open."""

    address: Annotated[Imid, Positional, "account"]
    stored: bytes
    server: bytes
    i: int
    secret: bytes | None = None


@command(
    "ACCOUNT DISABLE",
    states=OPERATOR,
    shape=Shape.UNIT,
    codes=(Code.OK, Code.NOT_FOUND, Code.TEMPORARY),
    summary="Refuse log-in and delivery; -DISABLED takes it back",
)
class AccountDisable(Request[r.Ok], frozen=True, kw_only=True):
    """Ends the account's sessions at once; its mail stays."""

    address: Annotated[Imid, Positional, "account"]
    disabled: bool = True


@command("STORE CHECK", states=OPERATOR, shape=Shape.AWAIT, codes=(Code.FINDING,), summary="The store verifies itself")
class StoreCheck(Request[r.Findings], frozen=True, kw_only=True):
    """Every row has its octets, every count is right."""
