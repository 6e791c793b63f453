"""Replies about feeds: nodes, items, subscriptions (docs/protocol.md, "Feeds")."""

from collections.abc import Sequence
from typing import Self

import msgspec

from immpd.model.feed import NodeTerms
from immpd.protocol.codes import Code
from immpd.protocol.lines import Line, Words

from .base import Listed, Reply, rows_of
from .mail import DeliveredRow


class PublishedRow(DeliveredRow, frozen=True, kw_only=True):
    """What became of an item: delivered, or queued for the node's owner; the counts are all who subscribed then."""

    accepted: int = 0
    pending: int = 0
    no_subscription: int = 0
    blocked: int = 0
    over_quota: int = 0


class Published(Listed, frozen=True, kw_only=True):
    """PUBLISH: a row for the node, then the item's id."""

    CODE = Code.DELIVERED
    WORDS = ("id",)
    ROW = PublishedRow
    id: str = ""
    rows: tuple[PublishedRow, ...] = ()

    def end(self) -> str:
        """The item's id."""
        return self.to_text()


class NodeRow(NodeTerms, Reply, frozen=True, kw_only=True):
    """A node: a row of PUBLISH LIST, and the end of PUBLISH SHOW; ``text`` is its title."""

    CODE = Code.NODE
    WORDS = ("node",)
    MISSING_LAST = True
    node: str
    created: str
    items: int
    subscribers: int
    text: str = ""


class Nodes(Listed, frozen=True, kw_only=True):
    """PUBLISH LIST."""

    CODE = Code.NODE
    ROW = NodeRow
    rows: tuple[NodeRow, ...] = ()

    def end(self) -> str:
        """How many nodes."""
        return f"{self.count} nodes"


class ItemRow(Words, frozen=True, kw_only=True):
    """An item as its publishers see it, with its accounting; ``text`` is its title."""

    CODE = Code.ITEM
    WORDS = ("id",)
    id: str
    state: str
    publisher: str
    created: str
    level: str
    type: str
    length: int
    accepted: int
    pending: int
    no_subscription: int
    blocked: int
    over_quota: int
    seen: int = 0
    """Who dismissed it, of those who let the publisher know."""
    text: str = ""


class NodeShown(NodeRow, frozen=True, kw_only=True):
    """PUBLISH SHOW: a row an item, then the node itself."""

    rows: tuple[ItemRow, ...] = ()

    def encode(self, prefix: str = "") -> bytes:
        """Rows of items, then the node."""
        rows = rows_of(ItemRow.CODE, [row.to_text() for row in self.rows], prefix)
        return "".join(rows).encode() + super().encode(prefix)

    @classmethod
    def decode(cls, lines: Sequence[Line]) -> Self:
        """Rows of items, then the node."""
        rows = tuple(ItemRow.from_text(line.text) for line in lines[:-1])
        return msgspec.structs.replace(cls.from_text(lines[-1].text), rows=rows)


class MemberRow(Words, frozen=True, kw_only=True):
    """Somebody whom a node knows: publisher, member, subscriber, or waiting to be let in."""

    CODE = Code.MEMBER
    WORDS = ("address",)
    address: str
    role: str
    since: str


class Members(Listed, frozen=True, kw_only=True):
    """PUBLISH MEMBERS LIST; the server writes its rows page by page and ends with ``n``."""

    CODE = Code.MEMBER
    ROW = MemberRow
    n: int = 0
    rows: tuple[MemberRow, ...] = ()

    def end(self) -> str:
        """How many rows."""
        return self.to_text()


class Subscribed(Reply, frozen=True, kw_only=True):
    """SUBSCRIBE: the subscription's UUID and the node's title; ``state`` where it still waits."""

    CODE = Code.SUBSCRIBED
    WORDS = ("id",)
    id: str
    state: str = ""
    text: str = ""

    def encode(self, prefix: str = "") -> bytes:
        """Line 380, then 280."""
        return f"{prefix}{Code.METADATA:d} Fetching what the node says of itself\n".encode() + super().encode(prefix)


class SubscriptionRow(Words, frozen=True, kw_only=True):
    """A subscription: UUID, the owner's IMID, the node and its title, and what an overview shows."""

    CODE = Code.SUBSCRIPTION
    WORDS = ("id", "imid", "node", "title")
    id: str
    imid: str
    node: str
    title: str
    state: str
    form: str
    muted: bool
    seen: bool
    """The publisher may count what was seen."""
    origin: str
    since: str
    items: int
    """Of the last 30 days."""
    last: str = ""
    """When the newest was published."""
    folder: str = ""
    language: str = ""
    icon: str = ""
    description: str = ""


class Subscriptions(Listed, frozen=True, kw_only=True):
    """SUBSCRIBE LIST, and SHOW with one row."""

    CODE = Code.SUBSCRIPTIONS
    ROW = SubscriptionRow
    rows: tuple[SubscriptionRow, ...] = ()

    def end(self) -> str:
        """How many subscriptions."""
        return f"{self.count} subscriptions"


class Unsubscribed(Reply, frozen=True, kw_only=True):
    """UNSUBSCRIBE: the subscription that was left, and the node's title."""

    CODE = Code.UNSUBSCRIBED
    WORDS = ("id",)
    id: str
    text: str = ""


class ItemsEnd(Reply, frozen=True, kw_only=True):
    """The end of SUBSCRIBE SINCE: how many items, where to go on, and whether more follow."""

    CODE = Code.ITEM
    n: int = 0
    cursor: str = ""
    more: str | None = None
