"""What a WATCH shows: typed events.

Rule: an event of a kind or with fields that this version does not know is still an event: ``event``
and ``cursor`` are always there (docs/protocol.md, "WATCH").
"""

import msgspec

from immpd.model.message import Importance, IndexRow
from immpd.model.notification import Action


class Event(msgspec.Struct, frozen=True, omit_defaults=True, rename="kebab"):
    """Something that happened in the mailbox or a feed; ``cursor`` is what ACK confirms.

    ``event`` is watching, mail, copied, flags, moved, gone, folder-created, folder-renamed,
    folder-removed, notification, notification-cleared, answer, item, item-retracted, item-cleared, subscription,
    resync, alive, or one of a later version.
    """

    cursor: str
    event: str
    id: str = ""
    folder: str = ""
    was: str = ""
    """The folder's path before it was renamed."""
    from_folder: str = ""
    """Of moved: where it lay before."""
    flags: tuple[str, ...] = ()
    from_: str = msgspec.field(name="from", default="")
    to: tuple[str, ...] = ()
    subject: str = ""
    date: str = ""
    size: int = 0
    state: str = ""
    thread: str = ""
    parts: int = 0
    importance: Importance = "normal"
    verified: bool = False
    author: str = ""
    push: str = ""
    """Of notification and answer: the ID that the sender gave it."""
    origin: str = ""
    title: str = ""
    level: str = ""
    why: str = ""
    """Of a notification: what let it in; of notification-cleared: how it ended."""
    type: str = ""
    length: int = 0
    """Octets, also where they do not come along."""
    body: str = ""
    """Of a notification or item that is short text: the text."""
    icon: str = ""
    actions: tuple[Action, ...] = ()
    created: str = ""
    expires: str = ""
    status: str = ""
    """Of a notification, or of a subscription: waiting, active, left or removed."""
    again: int = 0
    by: str = ""
    """Of an answer: who gave it."""
    action: str = ""
    """Of an answer: the id of the action that was chosen."""
    at: str = ""
    node: str = ""
    """Of a feed: whose item or subscription it is."""
    edition: int = 1
    """Of an item: more than 1 where it takes the place of what was published before under its ID."""
    dismissed: bool = False
    """Of an item that ``items`` brought: somebody was done with it."""
    octets: bytes = b""
    """Of an item that ``items`` brought: all its octets."""

    @property
    def row(self) -> IndexRow | None:
        """The message's row as MBOX INDEX shows it, where the event brought one (mail, copied)."""
        if not self.date or self.node:
            return None
        names = IndexRow.__struct_fields__
        return IndexRow(**{name: getattr(self, name) for name in names})
