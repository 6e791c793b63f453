"""From a path in a command to rows of the store, for whoever asks and what they want to do.

Rules: the only place that decides who may touch which mailbox; what a command wants to do with it stands in one
table, RIGHTS, and nowhere else; an account has its own mailbox and all rights in it, which costs nothing to find
out (docs/protocol.md, "Paths"; docs/why/sharing.md).
"""

from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec

from immpd.model.imid import Imid, path_text
from immpd.protocol import commands
from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
from immpd.protocol.registry import Request
from immpd.store.mail.mailboxes import Folder, FolderAt, folder_at

from .outcome import Outcome, Step
from .session import Session

MAX_PATH = 4_000
"""Octets of a folder's path: a reply shows it with other things on one line."""


class Place(msgspec.Struct, frozen=True):
    """A folder of a mailbox that the session may use."""

    mailbox: int
    folder: int
    path: str
    state: int
    role: str | None = None


class Right(Enum):
    """What somebody may do with a mailbox, or with a folder of it."""

    LOOKUP = "lookup"
    """See that it is there, and its folders."""
    READ = "read"
    """Messages, counts, changes; notifications and what is subscribed."""
    WRITE = "write"
    """Put messages there."""
    FLAG = "flag"
    """Flags, keywords, and what is dismissed."""
    DELETE = "delete"
    SEND_AS = "send-as"
    """Write, notify and answer in its name."""
    ADMIN = "admin"
    """Folders, subscriptions, settings, and who may notify it."""


RIGHTS: dict[type[Request[Any]], tuple[Right, ...]] = {
    commands.MboxList: (Right.LOOKUP,),
    commands.MboxCheck: (Right.READ,),
    commands.MboxIndex: (Right.READ,),
    commands.MboxFetch: (Right.READ,),
    commands.MboxFlag: (Right.FLAG,),
    commands.MboxMove: (Right.DELETE, Right.WRITE),
    commands.MboxCopy: (Right.READ, Right.WRITE),
    commands.MboxDelete: (Right.DELETE,),
    commands.MboxPut: (Right.WRITE,),
    commands.MboxCreate: (Right.ADMIN,),
    commands.MboxRename: (Right.ADMIN, Right.ADMIN),
    commands.MboxRemove: (Right.ADMIN,),
    commands.Watch: (Right.READ,),
    commands.Ack: (Right.READ,),
    commands.Deliver: (Right.SEND_AS,),
    commands.Push: (Right.SEND_AS,),
    commands.PushStatus: (Right.SEND_AS,),
    commands.PushRetract: (Right.SEND_AS,),
    commands.PushAnswer: (Right.SEND_AS,),
    commands.PushList: (Right.READ,),
    commands.PushShow: (Right.READ,),
    commands.PushDismiss: (Right.FLAG,),
    commands.PushAllow: (Right.ADMIN,),
    commands.PushDeny: (Right.ADMIN,),
    commands.PushForget: (Right.ADMIN,),
    commands.PushOrigins: (Right.ADMIN,),
    commands.PushTokenAdd: (Right.ADMIN,),
    commands.PushTokenList: (Right.ADMIN,),
    commands.PushTokenRemove: (Right.ADMIN,),
    commands.GrantAdd: (Right.ADMIN,),
    commands.GrantList: (Right.ADMIN,),
    commands.GrantRemove: (Right.ADMIN,),
    commands.RequestList: (Right.ADMIN,),
    commands.RequestAccept: (Right.ADMIN,),
    commands.RequestDecline: (Right.ADMIN,),
    commands.SetGlobal: (Right.ADMIN,),
    commands.Subscribe: (Right.ADMIN,),
    commands.Unsubscribe: (Right.ADMIN,),
    commands.SubscribeList: (Right.READ,),
    commands.SubscribeShow: (Right.READ,),
    commands.SubscribeSet: (Right.ADMIN,),
    commands.SubscribeSince: (Right.READ,),
    commands.SubscribeDismiss: (Right.FLAG,),
}
"""What each command that touches a mailbox wants there; of two paths, first of the one it begins with."""


NO_MAILBOX: frozenset[type[Request[Any]]] = frozenset(
    {
        *(commands.Upgrade, commands.Quit, commands.Noop, commands.Caps, commands.Help, commands.Who),  # the connection
        *(commands.AuthScram, commands.AuthScramPlus, commands.AuthSecret, commands.AuthResponse),  # nobody yet
        *(commands.AuthPassword, commands.SessionList, commands.SessionEnd),  # the account itself
        *(commands.Cancel, commands.Data, commands.Done, commands.Abort),  # belong to another command
        *(commands.PublishCreate, commands.PublishSet, commands.PublishRemove, commands.PublishList),  # a node's owner
        *(commands.PublishShow, commands.Publish, commands.PublishRetract, commands.PublishAccept),
        *(commands.PublishMembersAdd, commands.PublishMembersRemove, commands.PublishMembersAccept),
        commands.PublishMembersList,
        *(commands.AccountSalt, commands.AccountAdd, commands.AccountList, commands.AccountPasswd),  # the operator
        *(commands.AccountDisable, commands.AccountRemove, commands.StoreCheck),
    }
)
"""The commands that touch none: who may use them is decided by the state, the account, or the node."""


def mailbox_of(session: Session, request: Request[Any], path: Imid | None = None, *, target: bool = False) -> int:
    """The mailbox that a path lies in, the own one without a path; raises Refused where a right is missing.

    ``target``: the path is the second one of the command.
    """
    own = session.principal.person
    if path is None or path.is_own_box or path.address == own.address:
        return own.mailbox
    right = RIGHTS[type(request)][target]
    raise Refused(Code.DENIED, "NO-RIGHT", f"You have no right ({right.value}) to the mailbox {path.address}")


def path_of(imid: Imid) -> str:
    """The path as the store keeps it: names percent-encoded, case kept."""
    if not imid.path:
        raise Refused(Code.BAD_VALUE, "NO-FOLDER", f"{imid} names no folder; paths look like /INBOX")
    if imid.folder is not None or imid.options:
        raise Refused(Code.BAD_VALUE, "BAD-PATH", f"{imid} is no path: neither +folder nor ?options belong there")
    path = path_text(imid.path)
    if len(path.encode()) > MAX_PATH:
        raise Refused(Code.BAD_VALUE, "BAD-PATH", f"A path has at most {MAX_PATH} octets")
    return path


def folder_of(imid: Imid) -> str:
    """The path, where a command takes a folder and no messages of it."""
    if imid.ids or imid.filter is not None:
        raise Refused(Code.BAD_VALUE, "BAD-PATH", f"A folder is wanted, and {imid} names messages in one")
    return path_of(imid)


def with_folder(
    session: Session, request: Request[Any], imid: Imid, then: Callable[[Place], Outcome], *, target: bool = False
) -> Step:
    """Find the folder and go on; refuses where there is none, or where a right is missing."""
    mailbox = mailbox_of(session, request, imid, target=target)
    path = path_of(imid)

    return Step(folder_at(FolderAt(mailbox, path)), lambda folder: then(place_of(mailbox, path, folder)))


def place_of(mailbox: int, path: str, folder: Folder | None) -> Place:
    """The folder that the store found at a path; refuses where there is none."""
    if folder is None:
        raise no_folder(path)
    return Place(mailbox, folder.id, folder.path, folder.state, folder.role)


def no_folder(path: str) -> Refused:
    """The refusal where there is no folder at a path."""
    return Refused(Code.NOT_FOUND, "NO-FOLDER", f"There is no folder {path}; MBOX LIST shows them")


def message_ids(imid: Imid) -> tuple[bytes, ...]:
    """The message ids that a path names, as the store has them."""
    return tuple([one.bytes for one in imid.ids])


def state_text(session: Session, state: int) -> str:
    """A state or cursor as clients see it: the store's epoch and a number."""
    return f"{session.services.store.epoch}.{state}"


def read_state(session: Session, text: str) -> int:
    """The number in a state or cursor; refuses one of another epoch."""
    return read_cursor(session, text)[0]


def cursor_text(session: Session, state: int, item: int) -> str:
    """A cursor as clients see it: the store's epoch, how far the mailbox was shown, and how far its feeds."""
    services = session.services
    return f"{services.store.epoch}.{state}.{services.cursors.octets(item).decode()}"


def read_cursor(session: Session, text: str) -> tuple[int, int]:
    """The numbers in a cursor, or in a state, which has none for the feeds (0); refuses one of another epoch."""
    epoch, _, rest = text.partition(".")
    state, has_item, said = rest.partition(".")
    item = session.services.cursors.number(said) if has_item else 0
    ours = epoch == session.services.store.epoch
    if not state.isdecimal() or len(state) > 18 or (ours and item is None):
        raise Refused(Code.BAD_VALUE, "BAD-STATE", f"{text[:60]} is no state; use one that the server gave")
    if not ours or item is None:
        raise Refused(Code.CONFLICT, "STATE-GONE", "The store was restored since that state; list again")
    return int(state), item


Then = Callable[[Any], Outcome]
