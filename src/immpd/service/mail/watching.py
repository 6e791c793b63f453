"""WATCH: changes of a mailbox as events, in order, none missed (docs/protocol.md, "WATCH").

Rules: the store is the truth and a watcher keeps no queue: it asks for what is behind its cursor when
its client can take more, so a slow client costs nothing; the bus only wakes it. A bus hint is used
itself only if it is exactly the next change. Listen first, then catch up.
"""

from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec

from immpd.model.change import NOTICES, Change
from immpd.model.characters import is_shown
from immpd.model.feed import SubscriptionState
from immpd.model.flags import flag_names
from immpd.model.imid import folder_key
from immpd.protocol import events, replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import Ack, Watch
from immpd.protocol.errors import Refused
from immpd.protocol.text import escape_json
from immpd.service.access import cursor_text, folder_of, mailbox_of, read_cursor
from immpd.service.feeds.watching import FeedCursor
from immpd.service.outcome import Outcome, Page, Step, Wait, Waker
from immpd.service.push.notifications import row_json
from immpd.service.session import FolderPaths, Session, handles, on_arrival, refusal_of
from immpd.store.errors import StateGone
from immpd.store.feeds.items import newest
from immpd.store.ids import uuid_text
from immpd.store.mail.changes import (
    Changes,
    ChangesSince,
    Positions,
    SetPositions,
    changes_since,
    positions,
    set_positions,
)
from immpd.store.mail.mailboxes import ByMailbox, Folder, ListFolders, MailboxRow, folders, mailbox_row
from immpd.store.mail.messages import IndexSeqs, index_seqs
from immpd.store.push.notifications import ByIds, Notification, by_ids

SPAN = 200
FAR = 5_000
"""Changes behind the newest from which on a watch that stood there is told to list again."""
MAX_NAME = 64
_ARRIVALS = ("new", "copied")
_WITH_ROWS = (*_ARRIVALS, "notified")
_EVENTS = {
    "new": "mail",
    "copied": "copied",
    "flags": "flags",
    "moved": "moved",
    "gone": "gone",
    "created": "folder-created",
    "renamed": "folder-renamed",
    "removed": "folder-removed",
    "notified": "notification",
    "cleared": "notification-cleared",
    "answered": "answer",
    "subscription": "subscription",
    "dismissed": "item-cleared",
}


class _Id(msgspec.Struct):
    id: str


_decode_id = msgspec.json.Decoder(_Id).decode


class Watcher:
    """One running WATCH."""

    __slots__ = ("behind", "cursor", "feeds", "hint", "mailbox", "paths", "session", "stood", "stop", "waker", "wanted")

    def __init__(self, session: Session, request: Watch) -> None:
        self.session = session
        self.mailbox = mailbox_of(session, request)
        for path in request.paths:
            mailbox_of(session, request, path)
        self.wanted = frozenset(folder_key(folder_of(path)) for path in request.paths)
        """Keys of the folders to show; empty: all."""
        self.cursor = 0
        """All changes up to it were looked at, and shown where they are wanted."""
        self.behind = False
        """Something changed since the store was last asked, and nobody was woken for it."""
        self.stood = False
        """It has shown all there was, once."""
        self.paths = FolderPaths()
        self.waker: Waker | None = None
        self.hint: Change | None = None
        self.feeds = FeedCursor(self)
        _checked_name(request.name)
        self.stop = session.services.bus.on_changes(self.mailbox, self.told)

    def told(self, changes: Sequence[Change]) -> None:
        """Something changed, or may have; whoever waits is woken once."""
        waker, self.waker = self.waker, None
        if waker is None:
            self.behind = True
        else:
            # Many are read from the store, where nobody has to keep them until the client takes them.
            self.hint = changes[0] if len(changes) == 1 else None
            waker.wake()

    def cancelled(self) -> None:
        """Listen no longer."""
        self.stop()
        self.feeds.stop()
        self.waker = None

    # --- the chain of outcomes

    def begin(self, since: int, item: int) -> Outcome:
        """Show that the watch stands, then what came after ``since``, and in feeds after ``item``."""
        self.cursor = since
        self.feeds.cursor = item
        return Step(folders(ListFolders(self.mailbox)), self._standing)

    def _standing(self, found: list[Folder]) -> Outcome:
        self._know(found)
        if self.wanted:
            return Page([self._event(b"watching", self.cursor)], self._following)
        return self.feeds.renew(lambda: Page([self._event(b"watching", self.cursor)], self._following))

    def _know(self, found: list[Folder], gone: Iterable[tuple[int, str]] = ()) -> None:
        """The folders that there are, and those that are gone but still to be told of."""
        paths = FolderPaths((folder.id, folder.path) for folder in found)
        paths.update(gone)
        shared = self.session.services.folder_paths
        known = shared.get(self.mailbox)
        if known != paths:
            known = shared[self.mailbox] = paths
        self.paths = known

    def _following(self) -> Outcome:
        """The next events, or wait for some."""
        hint, self.hint = self.hint, None
        if hint is not None and hint.state == self.cursor + 1:
            return self._show([hint], hint.state, more=True)
        self.behind = False
        unit = changes_since(ChangesSince(self.mailbox, self.cursor, SPAN))
        return Step(unit, self._found, self._gap)

    def _found(self, found: Changes) -> Outcome:
        if self.stood and found.state - self.cursor > FAR:
            return self._resync(found.state)  # what its client did not take is told as one
        return self._show(found.changes, found.cursor, more=found.more)

    def _gap(self, error: BaseException) -> Outcome:
        """The changes behind the cursor are no longer known: say so, and go on from now."""
        if not isinstance(error, StateGone):
            raise refusal_of(error)
        return Step(mailbox_row(ByMailbox(self.mailbox)), lambda row: self._resync(row.state))

    def _resync(self, state: int) -> Outcome:
        self.cursor = state
        page = Page([self._event(b"resync", state)], self._following)
        return page if self.wanted else self.feeds.renew(lambda: page)

    def _show(self, changes: list[Change], cursor: int, *, more: bool) -> Outcome:
        if not changes and not more:
            self.cursor = max(self.cursor, cursor)
            return self.feeds.following(self._following, self._wait)
        if any(change.kind == "dismissed" for change in changes):
            self.feeds.behind = True  # its hint may still be under way: the store knows that it is not to be shown
        if not self.wanted and any(change.kind == "subscription" for change in changes):
            return self.feeds.renew(lambda: self._named(changes, cursor))
        return self._named(changes, cursor)

    def _named(self, changes: list[Change], cursor: int) -> Outcome:
        if any(
            change.path or change.kind == "renamed" or (change.folder and change.folder not in self.paths)
            for change in changes
        ):
            return Step(folders(ListFolders(self.mailbox)), lambda found: self._renewed(found, changes, cursor))
        return self._render(changes, cursor)

    def _renewed(self, found: list[Folder], changes: list[Change], cursor: int) -> Outcome:
        self._know(found, [(change.folder, change.path) for change in changes if change.kind == "removed"])
        return self._render(changes, cursor)

    def _render(self, changes: list[Change], cursor: int) -> Outcome:
        visible = [change for change in changes if self._sees(change)]
        arrived: dict[int, list[int]] = {}
        for change in visible:
            if change.kind in _ARRIVALS:
                arrived.setdefault(change.folder, []).append(change.state)
        left = list(arrived.items())
        told = tuple([change.id for change in visible if change.kind == "notified"])
        if not told:
            return self._rows(left, {}, visible, cursor)
        return Step(
            by_ids(ByIds(self.mailbox, told, self.session.services.clock.now())),
            lambda found: self._notices(found, left, visible, cursor),
        )

    def _notices(
        self,
        found: dict[bytes, Notification],
        left: list[tuple[int, list[int]]],
        visible: list[Change],
        cursor: int,
    ) -> Outcome:
        """Of notifications those that are still shown, and as they are now: what ended or changed comes later."""
        rows: dict[str, bytes] = {}
        kept = []
        for change in visible:
            if change.kind == "notified":
                one = found.get(change.id)
                if one is None or one.status != "shown" or one.state != change.state:
                    continue
                rows[uuid_text(change.id)] = row_json(one)
            kept.append(change)
        return self._rows(left, rows, kept, cursor)

    def _rows(
        self, left: list[tuple[int, list[int]]], rows: dict[str, bytes], visible: list[Change], cursor: int
    ) -> Outcome:
        """Read the index rows of what arrived, a folder at a time, then write all events in order."""
        if not left:
            self.cursor = cursor
            pieces = [
                self._piece(change, rows.get(uuid_text(change.id)) if change.kind in _WITH_ROWS else None)
                for change in visible
            ]
            return Page(pieces, self._following) if pieces else self._following()
        (folder, seqs), rest = left[0], left[1:]
        path = self.paths.get(folder, "")
        unit = index_seqs(IndexSeqs(folder, path, self.session.services.store.epoch, tuple(seqs)))

        def got(found: list[bytes]) -> Outcome:
            rows.update({_decode_id(row).id: escape_json(row) for row in found})
            return self._rows(rest, rows, visible, cursor)

        return Step(unit, got)

    def _wait(self) -> Outcome:
        return Wait(self._arm, self._following)

    def _arm(self, waker: Waker) -> None:
        self.stood = True
        if self.behind or self.feeds.behind:
            waker.wake()
        else:
            self.waker = waker

    def _sees(self, change: Change) -> bool:
        if not self.wanted:
            return True
        about = (change.folder, change.origin, *change.folders)
        names = [self.paths.get(folder, "") for folder in about if folder] + [change.path, change.old_path]
        return any(folder_key(name) in self.wanted for name in names if name)

    # --- events

    def _piece(self, change: Change, row: bytes | None) -> bytes:
        name = _EVENTS[change.kind].encode()
        if row is not None:
            # The row is a JSON object; the event is the same object with a cursor and a name before it.
            return self._event(name, change.state)[:-2] + b"," + row[1:] + b"\n"
        if change.kind in NOTICES:
            said = change.details[1:]
            if change.kind == "cleared":
                said = b'"id":"%b",%b' % (uuid_text(change.id).encode(), said)
            return self._event(name, change.state)[:-2] + b"," + said + b"\n"
        return b"260- " + msgspec.json.encode(self._said(change)) + b"\n"

    def _said(self, change: Change) -> events.Event:
        """The event of a change that has no row."""
        cursor = cursor_text(self.session, change.state, self.feeds.cursor)
        id_ = uuid_text(change.id) if change.id else ""
        folder = self.paths.get(change.folder, "")
        match change.kind:
            case "flags":
                flags = (*flag_names(change.flags), *change.keywords)
                return events.Flags(cursor=cursor, id=id_, folder=folder, flags=flags)
            case "moved":
                origin = self.paths.get(change.origin, "")
                return events.Moved(cursor=cursor, id=id_, folder=folder, from_folder=origin)
            case "created":
                return events.FolderCreated(cursor=cursor, folder=change.path)
            case "removed":
                return events.FolderRemoved(cursor=cursor, folder=change.path)
            case "renamed":
                return events.FolderRenamed(cursor=cursor, folder=change.path, was=change.old_path)
            case "dismissed":
                return events.ItemCleared(cursor=cursor, id=id_, node=change.path)
            case "subscription":
                status = cast(SubscriptionState, change.keywords[0])
                return events.Subscription(cursor=cursor, id=id_, node=change.path, status=status)
            case _:
                return events.Gone(cursor=cursor, id=id_, folder=folder)

    def _event(self, name: bytes, state: int) -> bytes:
        cursor = cursor_text(self.session, state, self.feeds.cursor).encode()
        return b'260- {"cursor":"%b","event":"%b"}\n' % (cursor, name)

    def alive(self) -> bytes:
        """What an idle watch shows from time to time; nothing while it has something else to say."""
        return b"" if self.waker is None else self._event(b"alive", self.cursor)


def begin_watch(session: Session, watcher: Watcher, request: Watch) -> Outcome:
    """From SINCE, else from where this device and name acknowledged last, else from now."""
    if request.since is not None:
        return watcher.begin(*read_cursor(session, request.since))

    def from_now(row: MailboxRow) -> Outcome:
        return Step(newest(None), lambda item: watcher.begin(row.state, item))

    def from_position(found: dict[int, tuple[int, int]]) -> Outcome:
        if watcher.mailbox in found:
            return watcher.begin(*found[watcher.mailbox])
        return Step(mailbox_row(ByMailbox(watcher.mailbox)), from_now)

    account = session.principal.person
    if not session.principal.device:
        return Step(mailbox_row(ByMailbox(watcher.mailbox)), from_now)
    return Step(positions(Positions(account.id, session.principal.device, request.name)), from_position)


@on_arrival(Watch)
def listen(session: Session, _: str | None, request: Watch) -> Watcher:
    """A watch listens from the moment its line is read."""
    return Watcher(session, request)


@handles(Watch)
def watch(session: Session, request: Watch, watcher: Watcher) -> Outcome:
    """Begin a watch; it goes on until its pipeline is cancelled or ends."""
    return begin_watch(session, watcher, request)


@handles(Ack)
def acknowledge(session: Session, request: Ack, _: Any) -> Outcome:
    """Keep the position of this device and name; it never goes back."""
    account = session.principal.person
    if not session.principal.device:
        text = "Positions are kept for devices: log in with a device label after the mechanism's data"
        raise Refused(Code.NOT_KEPT, "NO-DEVICE", text)
    state, item = read_cursor(session, request.cursor)
    unit = set_positions(
        SetPositions(
            account.id,
            session.principal.device,
            _checked_name(request.name),
            ((mailbox_of(session, request), state, item),),
        )
    )
    return Step(unit, lambda _: replies.Kept(cursor=request.cursor))


def _checked_name(name: str) -> str:
    if len(name.encode()) > MAX_NAME or not is_shown(name):
        raise Refused(Code.BAD_VALUE, "BAD-NAME", f"The name of a watch has at most {MAX_NAME} octets")
    return name
