"""From a path in a command to rows of the store, for whoever asks and what they want to do.

Rule: the only place that decides who may touch which mailbox. Today an account has its own mailbox
and all rights in it (docs/protocol.md, "Paths").
"""

from collections.abc import Callable
from typing import Any

import msgspec

from immpd.model.imid import Imid, path_text
from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
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


def mailbox_of(session: Session, imid: Imid) -> int:
    """The mailbox that a path lies in; raises Refused where the session has no right to it."""
    own = session.mailbox
    account = session.account
    if imid.is_own_box or (account is not None and imid.address == account.address):
        return own
    raise Refused(Code.DENIED, "NO-RIGHT", f"You have no right to the mailbox {imid.address}")


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


def with_folder(session: Session, imid: Imid, then: Callable[[Place], Outcome]) -> Step:
    """Find the folder and go on; refuses where there is none."""
    mailbox = mailbox_of(session, imid)
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
