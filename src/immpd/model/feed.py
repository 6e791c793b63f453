"""Feeds: a node that publishes, an item of it, somebody's subscription.

Rules: every value is frozen and store-neutral; an item's number is server-wide and rises in the order of
commits, so one number tells how far somebody has come in all feeds (docs/protocol.md, "Feeds").
"""

from typing import Literal

import msgspec

Access = Literal["open", "approve", "members"]
NodeForm = Literal["notification", "message"]
Form = Literal["notification", "message", "hourly", "daily"]
"""How a subscriber gets items; the last two are digests: a message now and then that names what was published."""
SubscriptionState = Literal["waiting", "active", "left"]
Level = Literal["high", "normal", "low"]
ItemKind = Literal["item", "retracted", "removed"]
Heard = Literal["all", "some", "end"]
"""Which rows of a node are events for a subscriber: all, some (the store tells), or its removal alone."""

DEFAULT_KEEP = 100
"""Items that a node keeps."""
DEFAULT_AGE = 365
"""Days that it keeps them."""

DIGESTS: dict[str, int] = {"hourly": 3_600_000, "daily": 86_400_000}
"""Milliseconds between two digests."""


class NodeOptions(msgspec.Struct, frozen=True):
    """What a node's owner decides about it; None: as it is, or the default."""

    title: str | None = None
    description: str | None = None
    language: str | None = None
    icon: str | None = None
    access: Access | None = None
    form: NodeForm | None = None
    mailing_list: bool | None = None
    """Subscribers may publish."""
    moderated: bool | None = None
    """What they publish waits for the owner."""
    keep: int | None = None
    age: int | None = None
    every: int | None = None
    """Seconds in which it promises to publish something; 0: it promises nothing."""


class Node(msgspec.Struct, frozen=True):
    """A node as its publishers and subscribers see it."""

    id: int
    imid: str
    """Canonical, in the spelling ``newsletter/updates@website.com``."""
    owner: int
    """Account."""
    created: int
    """Milliseconds UTC, as all times here."""
    title: str
    description: str
    language: str
    icon: str
    access: Access
    form: NodeForm
    mailing_list: bool
    moderated: bool
    keep: int
    age: int
    every: int
    last_item: int
    items: int
    """What it keeps: neither retracted nor replaced."""
    marks: int
    """What is kept only to say what was retracted or replaced."""
    subscribers: int
    by_mail: int


class Accounting(msgspec.Struct, frozen=True):
    """Where an item is; the sum is everybody who subscribed when it was published."""

    accepted: int = 0
    """Has it: the server keeps it for them."""
    pending: int = 0
    """Are still to get it as a message."""
    left: int = 0
    """Left before it came to them."""
    blocked: int = 0
    """Their account takes nothing."""
    over_quota: int = 0


class Item(msgspec.Struct, frozen=True):
    """An item as a subscriber sees it."""

    seq: int
    kind: ItemKind
    uuid: bytes
    node: str
    title: str
    type: str
    level: Level
    publisher: str
    created: int
    length: int
    body: bytes | None
    """None where it is larger than what an event brings along."""
    edition: int = 1
    dismissed: bool = False


class ItemHint(msgspec.Struct, frozen=True):
    """What those who watch a node are told when it has something new.

    ``prev`` is the number of the node's row before it: who has looked at everything up to there misses nothing
    by taking this one as it is. Otherwise, or where the item is not there, the store tells.
    """

    node: int
    seq: int
    prev: int
    item: Item | None
    gone: bool = False
    """It tells that the node was removed."""

    @property
    def weight(self) -> int:
        """Octets that its event takes, about."""
        item = self.item
        return 0 if item is None else 300 + len(item.title) + len(item.body or b"")
