"""Feeds: a node that publishes, an item of it, somebody's subscription.

A node is the thing that has a name, an owner and items; a feed is what people see of it, and what its item is read as.

Rules: every value is frozen and store-neutral; an item's number is server-wide and rises in the order of
commits, so one number tells how far somebody has come in all feeds (docs/protocol.md, "Feeds"). An option of
a node is written here, as it is given (NodeOptions) and as it stands (NodeTerms), under one name: commands,
rows, columns, the library and the command line have it from these two.
"""

from typing import Annotated, Any, Literal, get_args, get_type_hints

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

MOST_KEPT = 1000
"""Items that a node can keep."""

DIGESTS: dict[str, int] = {"hourly": 3_600_000, "daily": 86_400_000}
"""Milliseconds between two digests."""


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be known of an option of a node besides its name and type."""

    help: str
    default: Any
    """What a node has that was made without it; it is the same type as the option."""
    bounds: tuple[int, int] | None = None
    """The least and the most that a number may be."""
    unit: str = ""
    """Of the number."""
    or_none: bool = False
    """0 is allowed beside the bounds, and takes the option away."""
    words: tuple[str, ...] = ()
    """One of them, in any case."""
    octets: int | None = None
    """So long may a text be."""


class NodeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a node's owner decides about it; None: as it is, or the default.

    A word beside the option is what help calls its value.
    """

    title: Annotated[str | None, Option(help="What subscribers see.", default="")] = None
    """By default the node's name."""
    description: Annotated[str | None, Option(help="A sentence about it.", default="", octets=2000)] = None
    language: Annotated[str | None, Option(help="Its language: en, de.", default="", octets=200)] = None
    icon: Annotated[str | None, "url", Option(help="URL of a picture.", default="", octets=200)] = None
    access: Annotated[
        Access | None,
        Option(
            help="Who may subscribe: open, approve (you let them in), members (whom you add).",
            default="open",
            words=get_args(Access),
        ),
    ] = None
    form: Annotated[
        NodeForm | None,
        Option(
            help="What subscribers get who choose nothing: notification or message.",
            default="notification",
            words=get_args(NodeForm),
        ),
    ] = None
    """By default messages for a mailing list."""
    keep: Annotated[
        int | None,
        "items",
        Option(help="How many items it keeps, 1 to 1000.", default=100, bounds=(1, MOST_KEPT)),
    ] = None
    age: Annotated[int | None, "days", Option(help="For how many days.", default=365, bounds=(1, 3650))] = None
    every: Annotated[
        int | None,
        "seconds",
        Option(
            help="A promise: it publishes something in each such span, 2h or 1d, else its subscribers are told. 0 ends"
            " it.",
            default=0,
            bounds=(60, 90 * 86_400),
            unit="seconds",
            or_none=True,
        ),
    ] = None
    """Seconds in which it promises to publish something; 0: it promises nothing."""
    list: Annotated[bool | None, Option(help="A mailing list: subscribers may publish.", default=False)] = None
    moderated: Annotated[bool | None, Option(help="What they publish waits for you.", default=False)] = None


class NodeTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a node as they stand, but its title, which each calls by its own name."""

    access: str
    form: str
    list: bool
    moderated: bool
    keep: int
    age: int
    every: int | None = None
    """Seconds in which it promises to publish something."""
    language: str = ""
    icon: str = ""
    description: str = ""


OPTIONS: dict[str, Option] = {
    name: next(mark for mark in hint.__metadata__ if isinstance(mark, Option))
    for name, hint in get_type_hints(NodeOptions, include_extras=True).items()
}
"""Name → what is to be known of it."""


class Node(NodeTerms, frozen=True, kw_only=True):
    """A node as its publishers and subscribers see it."""

    id: int
    imid: str
    """Canonical, in the spelling ``newsletter/updates@website.com``."""
    owner: int
    """Account."""
    created: int
    """Milliseconds UTC, as all times here."""
    title: str
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
