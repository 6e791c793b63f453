"""Folders: MBOX LIST, CREATE, RENAME, REMOVE, PUT (docs/protocol.md, "Mailboxes")."""

from typing import Any

from immpd.model.flags import MAX_KEYWORDS, split_flags
from immpd.model.imid import Imid
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import MboxCreate, MboxList, MboxPut, MboxRemove, MboxRename
from immpd.protocol.errors import Refused
from immpd.protocol.lines import Words
from immpd.service.access import Place, folder_of, mailbox_of, state_text, with_folder
from immpd.service.bulk import BulkTurn
from immpd.service.outcome import Outcome, Rows, Step
from immpd.service.session import Session, check_room, handles, on_arrival, refusal_of
from immpd.store.ids import uuid_text
from immpd.store.mail.deliver import deliver
from immpd.store.mail.mailboxes import (
    CountFolders,
    CreateFolder,
    Folder,
    FolderPage,
    RemoveFolder,
    RenameFolder,
    count_folders,
    create_folder,
    folder_page,
    remove_folder,
    rename_folder,
)

from .content import check_references, check_subject
from .drafts import Draft, message_open
from .sending import opened, raise_of

OWN_RIGHTS = ("lookup", "read", "write", "flag", "delete", "admin")
"""As MBOX LIST names them."""


@handles(MboxList)
def list_(session: Session, request: MboxList, _: Any) -> Outcome:
    """All folders of the account's mailbox, page by page."""
    mailbox = mailbox_of(session, request)
    count = 0

    def listed(found: tuple[list[Folder], str | None]) -> Outcome:
        nonlocal count
        page, after = found
        count += len(page)
        rows: list[Words] = [
            replies.FolderRow(
                path=folder.path,
                id=uuid_text(folder.uuid),
                role=folder.role or "",
                u=folder.unread,
                t=folder.total,
                s=state_text(session, folder.state),
                rights=OWN_RIGHTS,
            )
            for folder in page
        ]
        if after is None:
            return Rows(rows, lambda: replies.Folders(before=count))
        return Rows(rows, lambda: Step(folder_page(FolderPage(mailbox, after)), listed))

    return Step(folder_page(FolderPage(mailbox)), listed)


@handles(MboxCreate)
def create(session: Session, request: MboxCreate, _: Any) -> Outcome:
    """A new folder; parents that are missing are made with it."""
    mailbox = mailbox_of(session, request, request.path)
    path = folder_of(request.path)
    limit = session.services.limits.max_folders

    def counted(present: int) -> Outcome:
        if present + len(request.path.path) > limit:
            raise Refused(Code.LIMIT, "TOO-MANY-FOLDERS", f"A mailbox has at most {limit} folders here")
        return Step(create_folder(CreateFolder(mailbox, path, _uuids(session, request.path))), created)

    def created(made: Folder) -> replies.Ok:
        return replies.Ok(text=f"Created {made.path}")

    return Step(count_folders(CountFolders(mailbox)), counted)


@handles(MboxRename)
def rename(session: Session, request: MboxRename, _: Any) -> Outcome:
    """Another name or place for a folder and all below it."""
    mailbox = mailbox_of(session, request, request.path)
    if mailbox_of(session, request, request.to, target=True) != mailbox:
        raise Refused(Code.BAD_VALUE, "BAD-PATH", "A folder stays in its mailbox")
    unit = rename_folder(
        RenameFolder(mailbox, folder_of(request.path), folder_of(request.to), _uuids(session, request.to))
    )
    return Step(unit, lambda _: replies.Ok(text=f"Renamed to {folder_of(request.to)}"))


@on_arrival(MboxRemove)
def removal_turn(session: Session, _: str | None, __: MboxRemove) -> BulkTurn:
    """A removal may move many messages."""
    return BulkTurn(session, session.services.bulk)


@handles(MboxRemove)
def remove(session: Session, request: MboxRemove, turn: BulkTurn) -> Outcome:
    """An empty folder; with +RECURSIVE its messages go to TRASH, in steps."""
    arguments = RemoveFolder(
        mailbox_of(session, request, request.path),
        folder_of(request.path),
        session.services.clock.now(),
        force=request.recursive,
    )

    def step() -> Step:
        return Step(remove_folder(arguments), removed, failed)

    def removed(is_gone: bool) -> Outcome:
        turn.stored()
        if not is_gone:
            return step()
        turn.leave()
        return replies.Ok(text=f"Removed {arguments.path}")

    def failed(error: BaseException) -> Outcome:
        turn.leave()
        raise refusal_of(error)

    return turn.wait(arguments.mailbox, step) if request.recursive else step()


@handles(MboxPut)
def put(session: Session, request: MboxPut, draft: Draft | None) -> Outcome:
    """Open a message that DONE places in the folder, or place what came whole."""
    if draft is None:
        raise message_open()
    raise_of(draft)

    def found(place: Place) -> Outcome:
        draft.place = place
        return opened(session, draft)

    try:
        if len(split_flags(tuple(name for name, _ in request.flags))[1]) > MAX_KEYWORDS:
            raise Refused(Code.LIMIT, "TOO-MANY-KEYWORDS", f"A message has at most {MAX_KEYWORDS} keywords")
        check_room(session.services.store, deliver)
        folder_of(request.path)
        check_subject(request.subject)
        check_references(request)
        step = with_folder(session, request, request.path, found)
    except Refused as error:
        draft.refuse(error)
        raise

    def checked(folder: Any) -> Outcome:
        try:
            return step.then(folder)
        except Refused as error:
            draft.refuse(error)
            raise

    return Step(step.unit, checked)


def _uuids(session: Session, path: Imid) -> tuple[bytes, ...]:
    return tuple(session.services.ids.octets() for _ in path.path)
