"""MBOX INDEX +THREADS: the conversation around a message, in all folders (docs/protocol.md, "MBOX INDEX").

Rules: folder by folder and page by page, as INDEX, so that nothing grows with the conversation or the mailbox; a
message that lies in two folders is a row in both (docs/why/threads.md).
"""

from collections.abc import Callable

from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import MboxIndex
from immpd.protocol.errors import Refused
from immpd.service.access import mailbox_of, message_ids, no_folder, path_of, read_state, state_text
from immpd.service.outcome import Outcome, Page, Step
from immpd.service.session import Session
from immpd.store.mail.mailboxes import Folder, ListFolders, folders
from immpd.store.mail.messages import Filter, Index, IndexPage, index_page
from immpd.store.mail.threads import ThreadOf, thread_at

ROWS = 128
"""Index rows a page: about 64 KiB."""


class _Conversation:
    """One MBOX INDEX +THREADS while its pages go out."""

    __slots__ = ("filter", "left", "mailbox", "request", "sent", "session", "show", "state")

    def __init__(self, session: Session, request: MboxIndex, thread: str, show: Callable[[bytes], bytes]) -> None:
        since = None if request.since is None else read_state(session, request.since)
        self.session = session
        self.request = request
        self.show = show
        self.filter = Filter(thread=thread, changed_since=since)
        self.mailbox = mailbox_of(session, request, request.path)
        self.left: list[Folder] = []
        self.state = 0
        self.sent = 0

    def begin(self, found: list[Folder]) -> Outcome:
        self.state = max([folder.state for folder in found], default=0)
        self.left = [folder for folder in reversed(found) if folder.total]
        return self.page(None)

    def page(self, cursor: int | None) -> Outcome:
        limit = self.request.limit
        wanted = ROWS if limit is None else min(ROWS, limit - self.sent)
        if not self.left or wanted <= 0:
            return replies.IndexPage(
                n=self.sent,
                s=state_text(self.session, self.state),
                more="yes" if self.left and wanted <= 0 and limit else None,
            )
        folder = self.left[-1]
        epoch = self.session.services.store.epoch
        args = IndexPage(self.mailbox, folder.id, folder.path, epoch, cursor, wanted, self.filter, self.request.reverse)
        return Step(index_page(args), self.got)

    def got(self, index: Index) -> Outcome:
        following = index.next
        if following is None:
            self.left.pop()
        self.sent += len(index.rows)
        pieces = [self.show(row) for row in index.rows]
        return Page(pieces, lambda: self.page(following)) if pieces else self.page(following)


def conversation(session: Session, request: MboxIndex, show: Callable[[bytes], bytes]) -> Outcome:
    """The rows of the thread that the one message named belongs to; ``show`` makes a line of a row."""
    if len(request.path.ids) != 1:
        text = f"+THREADS takes one message: {request.path}#id"
        raise Refused(Code.BAD_VALUE, "NO-MESSAGE-NAMED", text)
    if request.after is not None:
        raise Refused(Code.BAD_VALUE, "BAD-SWITCH", "+THREADS takes no AFTER: the rows come from several folders")
    mailbox, path = mailbox_of(session, request, request.path), path_of(request.path)

    def found(thread: str | None) -> Outcome:
        if thread is None:
            raise no_folder(path)
        running = _Conversation(session, request, thread, show)
        return Step(folders(ListFolders(mailbox)), running.begin)

    (id,) = message_ids(request.path)
    return Step(thread_at(ThreadOf(mailbox, path, id)), found)
