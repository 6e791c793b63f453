"""What a WATCH and SUBSCRIBE SINCE show, a struct a kind (docs/protocol.md, "WATCH").

Rules: an event has a cursor, a name that never changes its meaning, and what that name promises; readers ignore
what they do not know. Rows and items lie ready as JSON and go out as they are: their structs here say what stands
in them, and the page of JSON objects is made of all.
"""

from typing import Literal

import msgspec

from immpd.model.feed import Level
from immpd.model.message import IndexRow
from immpd.model.notification import NotificationRow


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """Something that happened."""

    cursor: str
    """How far one is who has seen this event; ACK confirms it, WATCH and SUBSCRIBE SINCE go on behind it."""


class Watching(Event, frozen=True, kw_only=True):
    """The watch stands: what happens behind this cursor is shown."""

    event: Literal["watching"] = "watching"


class Alive(Event, frozen=True, kw_only=True):
    """Nothing happened for some time."""

    event: Literal["alive"] = "alive"


class Resync(Event, frozen=True, kw_only=True):
    """Changes behind the cursor are no longer known, or too many to be told: list again."""

    event: Literal["resync"] = "resync"


class Mail(IndexRow, frozen=True, kw_only=True):
    """A message came: delivery, MBOX PUT."""

    cursor: str
    event: Literal["mail"]


class Copied(IndexRow, frozen=True, kw_only=True):
    """A message lies in a further folder."""

    cursor: str
    event: Literal["copied"]


class Flags(Event, frozen=True, kw_only=True):
    """Flags or keywords of a message changed."""

    event: Literal["flags"] = "flags"
    id: str
    folder: str
    flags: tuple[str, ...]
    """All that it has now."""


class Moved(Event, frozen=True, kw_only=True):
    """A message went to another folder, also to TRASH."""

    event: Literal["moved"] = "moved"
    id: str
    folder: str
    from_folder: str


class Gone(Event, frozen=True, kw_only=True):
    """A message is no longer in the folder."""

    event: Literal["gone"] = "gone"
    id: str
    folder: str


class FolderCreated(Event, frozen=True, kw_only=True):
    """A folder was made."""

    event: Literal["folder-created"] = "folder-created"
    folder: str


class FolderRemoved(Event, frozen=True, kw_only=True):
    """A folder was removed."""

    event: Literal["folder-removed"] = "folder-removed"
    folder: str


class FolderRenamed(Event, frozen=True, kw_only=True):
    """A folder has another path; one event for each folder below, too."""

    event: Literal["folder-renamed"] = "folder-renamed"
    folder: str
    was: str
    """Its path before."""


class Notified(NotificationRow, frozen=True, kw_only=True):
    """A notification is shown: a new one, or one that replaced what was shown."""

    cursor: str
    event: Literal["notification"]


class NotificationCleared(Event, frozen=True, kw_only=True):
    """A notification is shown no longer."""

    event: Literal["notification-cleared"] = "notification-cleared"
    id: str
    why: Literal["answered", "dismissed", "expired", "retracted", "promoted", "waiting"]
    """Its status now; ``waiting`` where what replaces it has to wait."""


class Answered(Event, frozen=True, kw_only=True):
    """To its sender: a notification was answered."""

    event: Literal["answer"] = "answer"
    push: str
    """The ID that the sender gave it."""
    by: str
    action: str
    at: str


class Item(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A node published an item."""

    event: Literal["item"]
    id: str
    node: str
    title: str
    from_: str = msgspec.field(name="from")
    date: str
    level: Level
    verified: bool
    type: str
    length: int
    """Octets, also where they do not come along."""
    edition: int = 1
    """More than 1 where it takes the place of what was published before under its ID."""
    dismissed: bool = False
    """Only in SUBSCRIBE SINCE: one is done with it."""
    body: str = ""
    """All of it, where it is short text."""


class ItemRetracted(Event, frozen=True, kw_only=True):
    """An item was taken back."""

    event: Literal["item-retracted"] = "item-retracted"
    id: str
    node: str


class ItemCleared(Event, frozen=True, kw_only=True):
    """An item was dismissed on one device."""

    event: Literal["item-cleared"] = "item-cleared"
    id: str
    node: str


class Subscription(Event, frozen=True, kw_only=True):
    """A subscription changed."""

    event: Literal["subscription"] = "subscription"
    id: str | msgspec.UnsetType = msgspec.UNSET
    """The subscription's, unless the node itself was removed."""
    node: str
    status: Literal["waiting", "active", "left", "removed"]


EVENTS: tuple[type[msgspec.Struct], ...] = (
    Watching,
    Mail,
    Copied,
    Flags,
    Moved,
    Gone,
    FolderCreated,
    FolderRemoved,
    FolderRenamed,
    Notified,
    NotificationCleared,
    Answered,
    Item,
    ItemRetracted,
    ItemCleared,
    Subscription,
    Alive,
    Resync,
)
"""Every kind."""
