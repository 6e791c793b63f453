"""MBOX CHECK: how many messages, and how many unread, of folders and of views (docs/protocol.md, "MBOX CHECK").

Rules: what the folders' own counters answer is never counted; everything else is counted a bounded number of
messages at a time, and nothing is kept of them but two numbers.
"""

from typing import Any

from immpd.model.flags import Flag
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import MboxCheck
from immpd.protocol.errors import Refused
from immpd.service.access import mailbox_of, no_folder, path_of, state_text
from immpd.service.outcome import Outcome, Rows, Step
from immpd.service.session import Session, handles
from immpd.store.mail.mailboxes import Folder, FolderAt, FolderPage, folder_at, folder_page
from immpd.store.mail.messages import Count, CountPage, Filter, count_page

from .messages import filter_of

_READ = int(Flag.READ)


class _Check:
    """One MBOX CHECK while its folders are counted."""

    __slots__ = ("after", "filter", "left", "mailbox", "path", "request", "rows", "session", "total", "unread")

    def __init__(self, session: Session, request: MboxCheck) -> None:
        self.session = session
        self.request = request
        self.mailbox = mailbox_of(session, request, request.path)
        self.path = path_of(request.path)
        self.filter = filter_of(request.path.filter)
        self.left: list[Folder] = []
        """Folders that were read and are still to be counted."""
        self.rows: list[replies.FolderCounts] = []
        """Counted, and not yet written; the last one ends the reply."""
        self.after: str | None = None
        """Behind which key folders are still to be read."""
        self.total = self.unread = 0
        """Of the folder that is being counted."""

    def begin(self, folder: Folder | None) -> Outcome:
        if folder is None:
            raise no_folder(self.path)
        self.left = [folder]
        self.after = "" if self.request.recursive else None
        return self.go_on()

    def go_on(self) -> Outcome:
        """Count the next folder; where none is left, read more, and write what is ready."""
        while self.left:
            known = counted(self.left[0], self.filter)
            if known is None:
                self.total = self.unread = 0
                return self.count(None)
            self.take(*known)
        rows, self.rows = self.rows[:-1], self.rows[-1:]
        then = self.end if self.after is None else self.more
        return Rows([*rows], then) if rows else then()

    def take(self, total: int, unread: int) -> None:
        folder = self.left.pop(0)
        state = state_text(self.session, folder.state)
        self.rows.append(replies.FolderCounts(path=folder.path, u=unread, t=total, s=state))

    def end(self) -> Outcome:
        return replies.Counts(rows=tuple(self.rows))

    def more(self) -> Outcome:
        return Step(folder_page(FolderPage(self.mailbox, self.after or "", self.path)), self.below)

    def below(self, found: tuple[list[Folder], str | None]) -> Outcome:
        self.left, self.after = found
        return self.go_on()

    def count(self, cursor: int | None) -> Outcome:
        return Step(count_page(CountPage(self.left[0].id, cursor, self.filter)), self.got)

    def got(self, found: Count) -> Outcome:
        self.total += found.total
        self.unread += found.unread
        if found.next is not None:
            return self.count(found.next)
        self.take(self.total, self.unread)
        return self.go_on()


def counted(folder: Folder, wanted: Filter) -> tuple[int, int] | None:
    """(total, unread) of what the filter matches, where the folder's counters say it."""
    if wanted.none:
        return 0, 0
    if wanted == Filter():
        return folder.total, folder.unread
    if wanted == Filter(off=_READ):
        return folder.unread, folder.unread
    if wanted == Filter(on=_READ):
        return folder.total - folder.unread, 0
    return None


@handles(MboxCheck)
def check(session: Session, request: MboxCheck, _: Any) -> Outcome:
    """Counts of a folder or of a view of it, with +RECURSIVE of all below it too, page by page."""
    if request.path.ids:
        raise Refused(Code.BAD_VALUE, "BAD-PATH", "MBOX CHECK takes a folder and a filter; MBOX INDEX shows messages")
    running = _Check(session, request)
    return Step(folder_at(FolderAt(running.mailbox, running.path)), running.begin)
