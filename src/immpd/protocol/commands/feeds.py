"""The commands of feeds: PUBLISH and its kin, SUBSCRIBE and its kin (docs/protocol.md, "Feeds").

Rules: nodes and items are named by IMIDs, and only their owner, publishers and subscribers may do something.
"""

from typing import Annotated
from uuid import UUID

from immpd.model.feed import NodeOptions
from immpd.model.imid import Imid
from immpd.protocol import replies as r
from immpd.protocol.codes import Code
from immpd.protocol.registry import Positional, Request, Shape, command
from immpd.protocol.states import MEMBER

NODE_CODES = (Code.BAD_VALUE, Code.DENIED, Code.NOT_FOUND, Code.CONFLICT, Code.LIMIT, Code.TEMPORARY, Code.NO_ROUTE)
NodeName = Annotated[Imid, Positional, "node"]
ItemName = Annotated[Imid, Positional, "node#id"]
Member = Annotated[Imid, Positional, "member"]


@command(
    "PUBLISH",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.DELIVERED, Code.OPENED, *NODE_CODES),
    body="counted",
    summary="Publish an item",
)
class Publish(Request[r.Published], frozen=True, kw_only=True):
    """With LENGTH the item's octets follow at once; without it one DATA, then DONE."""

    node: NodeName
    title: str | None = None
    type: Annotated[str | None, "media-type"] = None
    id: UUID | None = None
    length: int | None = None
    important: bool | None = None


@command(
    "PUBLISH CREATE", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *NODE_CODES), summary="Make a node of one's own"
)
class PublishCreate(NodeOptions, Request[r.Ok], frozen=True, kw_only=True):
    """A node under the account's own name; everything can be changed later."""

    node: NodeName


@command(
    "PUBLISH LIST",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.NODE, *NODE_CODES),
    summary="The nodes one may publish on",
)
class PublishList(Request[r.Nodes], frozen=True, kw_only=True):
    """Nodes that the account owns or is a publisher of."""


@command(
    "PUBLISH SHOW",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.NODE, Code.ITEM, *NODE_CODES),
    summary="A node and where its items are",
)
class PublishShow(Request[r.NodeShown], frozen=True, kw_only=True):
    """For its publishers: what waits for the owner, then the newest items with their accounting."""

    node: NodeName
    limit: int | None = None


@command("PUBLISH SET", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *NODE_CODES), summary="Change a node")
class PublishSet(NodeOptions, Request[r.Ok], frozen=True, kw_only=True):
    """What is given changes, the rest stays; for its owner."""

    node: NodeName


@command(
    "PUBLISH REMOVE", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *NODE_CODES), summary="Remove a node for good"
)
class PublishRemove(Request[r.Ok], frozen=True, kw_only=True):
    """Its subscribers are told, its items go; for its owner."""

    node: NodeName


@command("PUBLISH RETRACT", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *NODE_CODES), summary="Take an item back")
class PublishRetract(Request[r.Ok], frozen=True, kw_only=True):
    """Where it has not been seen it is never shown; also an item that waits for the owner."""

    item: ItemName


@command(
    "PUBLISH ACCEPT",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.DELIVERED, *NODE_CODES),
    summary="Publish an item that waits",
)
class PublishAccept(Request[r.Published], frozen=True, kw_only=True):
    """What a subscriber of a moderated list published; for its owner."""

    item: ItemName


@command(
    "PUBLISH MEMBERS LIST",
    states=MEMBER,
    shape=Shape.STREAM,
    codes=(Code.MEMBER, *NODE_CODES),
    summary="Whom a node knows",
)
class PublishMembersList(Request[r.Members], frozen=True, kw_only=True):
    """Publishers, members, subscribers and who waits to be let in; for its owner."""

    node: NodeName


@command(
    "PUBLISH MEMBERS ADD",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.OK, *NODE_CODES),
    summary="Make somebody a member or publisher",
)
class PublishMembersAdd(Request[r.Ok], frozen=True, kw_only=True):
    """A member may subscribe whatever the access; +PUBLISHER may publish; -PUBLISHER no more."""

    node: NodeName
    member: Member
    publisher: bool = False


@command(
    "PUBLISH MEMBERS REMOVE",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.OK, *NODE_CODES),
    summary="Forget somebody, and end their subscription",
)
class PublishMembersRemove(Request[r.Ok], frozen=True, kw_only=True):
    """They are told that they were removed."""

    node: NodeName
    member: Member


@command(
    "PUBLISH MEMBERS ACCEPT",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.OK, *NODE_CODES),
    summary="Let a subscriber in who waits",
)
class PublishMembersAccept(Request[r.Ok], frozen=True, kw_only=True):
    """They get what is published from now on, and are told."""

    node: NodeName
    member: Member


@command(
    "SUBSCRIBE",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.METADATA, Code.SUBSCRIBED, *NODE_CODES),
    summary="Subscribe to a node",
)
class Subscribe(Request[r.Subscribed], frozen=True, kw_only=True):
    """+PUSH for notifications, +MAIL for messages, DIGEST for a message now and then; else the node's own form."""

    to: Annotated[Imid, "node"]
    folder: Annotated[Imid | None, "path"] = None
    digest: Annotated[str | None, "hourly|daily"] = None
    push: bool = False
    mail: bool = False


@command(
    "SUBSCRIBE LIST",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.SUBSCRIPTION, Code.SUBSCRIPTIONS, *NODE_CODES),
    summary="An overview of one's subscriptions",
)
class SubscribeList(Request[r.Subscriptions], frozen=True, kw_only=True):
    """Where each comes from, since when, and how much it brings."""


@command(
    "SUBSCRIBE SHOW",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.SUBSCRIPTION, Code.SUBSCRIPTIONS, *NODE_CODES),
    summary="One subscription with the node's metadata",
)
class SubscribeShow(Request[r.Subscriptions], frozen=True, kw_only=True):
    """As its row of the list, and what the node says of itself."""

    name: Annotated[UUID | Imid, Positional, "uuid|node"]


@command(
    "SUBSCRIBE SET",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.OK, *NODE_CODES),
    summary="Change a subscription",
)
class SubscribeSet(Request[r.Ok], frozen=True, kw_only=True):
    """Form, folder of its messages, muting: muted items are no events, and SUBSCRIBE SINCE shows them."""

    name: Annotated[UUID | Imid, Positional, "uuid|node"]
    folder: Annotated[Imid | None, "path"] = None
    digest: Annotated[str | None, "hourly|daily"] = None
    push: bool = False
    mail: bool = False
    muted: bool | None = None
    seen: bool | None = None


@command(
    "SUBSCRIBE DISMISS",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.OK, *NODE_CODES),
    summary="Clear an item on every device",
)
class SubscribeDismiss(Request[r.Ok], frozen=True, kw_only=True):
    """No watch shows it any more; a new edition of it is shown again."""

    item: ItemName


@command(
    "SUBSCRIBE SINCE",
    states=MEMBER,
    shape=Shape.STREAM,
    codes=(Code.ITEM, Code.BLOCK, *NODE_CODES),
    summary="The items behind a cursor",
)
class SubscribeSince(Request[r.ItemsEnd], frozen=True, kw_only=True):
    """Of all subscriptions, or of one NODE; without a cursor all that are kept."""

    cursor: Annotated[str | None, Positional, "cursor"] = None
    node: Annotated[Imid | None, "node"] = None
    limit: int | None = None


@command(
    "UNSUBSCRIBE",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.UNSUBSCRIBED, *NODE_CODES),
    summary="Leave a node at once",
)
class Unsubscribe(Request[r.Unsubscribed], frozen=True, kw_only=True):
    """By the subscription's UUID or the node's name; nobody has to agree."""

    name: Annotated[UUID | Imid, Positional, "uuid|node"]
