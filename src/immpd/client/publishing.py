"""The feeds' half of a person's session: publishing, and subscriptions.

Rules: those of client.py, which builds on this; a node is written ``newsletter/updates@website.com``, as
``newsletter@website.com/updates``, or as a link.
"""

from collections.abc import AsyncIterator
from typing import Any, Literal
from uuid import UUID

import msgspec

from immpd.model.feed import NodeOptions
from immpd.model.imid import Imid, ImidError, parse_imid
from immpd.protocol import commands as c
from immpd.protocol import replies as r
from immpd.protocol.connection import Block

from .caller import Caller
from .composing import new_id, uuid_of
from .errors import ProtocolFault
from .events import Event

NodeLike = str | Imid
Form = Literal["notification", "message"]
Digest = Literal["hourly", "daily"]


class Publishing(Caller):
    """Commands of feeds.

    Every method raises Refused for a 4xx or 7xx, ConnectionLost, ProtocolFault, and ImidError for a bad name.
    """

    # --- publishing

    async def publish(
        self,
        node: NodeLike,
        title: str | None = None,
        body: str | bytes = "",
        *,
        type: str | None = None,
        important: bool | None = None,
        id: UUID | str | None = None,
    ) -> r.Published:
        """Publish an item: PUBLISH. The reply comes when it is on disk, and says how many subscribers have it.

        ``type`` is a media type, by default ``text/plain``. ``id`` makes publishing again safe: the same item with
        the same ID is published once, another is a new edition of it; the reply's ``id`` is it.
        """
        octets = body.encode() if isinstance(body, str) else body
        request = c.Publish(
            node=_node(node),
            title=title,
            type=type,
            id=uuid_of(id) or new_id(),
            important=important,
            length=len(octets),
        )
        return await self.call(request, octets)

    async def retract_item(self, node: NodeLike, id: UUID | str) -> r.Ok:
        """Take an item back; who has not seen it never will: PUBLISH RETRACT."""
        return await self.call(c.PublishRetract(item=_item(node, id)))

    async def accept_item(self, node: NodeLike, id: UUID | str) -> r.Published:
        """Publish what a subscriber of one's moderated list wrote: PUBLISH ACCEPT."""
        return await self.call(c.PublishAccept(item=_item(node, id)))

    async def create_node(self, node: NodeLike, options: NodeOptions | None = None) -> r.Ok:
        """Make a node under one's own name: PUBLISH CREATE; what is not given has its default."""
        return await self.call(c.PublishCreate(node=_node(node), **_given(options)))

    async def set_node(self, node: NodeLike, options: NodeOptions) -> r.Ok:
        """Change what is given of one's node: PUBLISH SET."""
        return await self.call(c.PublishSet(node=_node(node), **_given(options)))

    async def remove_node(self, node: NodeLike) -> r.Ok:
        """Remove one's node with all its items: PUBLISH REMOVE."""
        return await self.call(c.PublishRemove(node=_node(node)))

    async def nodes(self) -> tuple[r.NodeRow, ...]:
        """The nodes one owns or may publish on: PUBLISH LIST."""
        return (await self.call(c.PublishList())).rows

    async def node(self, node: NodeLike, *, limit: int | None = None) -> r.NodeShown:
        """A node and, in ``rows``, its newest items with their accounting: PUBLISH SHOW."""
        return await self.call(c.PublishShow(node=_node(node), limit=limit))

    async def members(self, node: NodeLike) -> AsyncIterator[r.MemberRow]:
        """Publishers, members, subscribers and who waits to be let in: PUBLISH MEMBERS LIST."""
        async with self.stream(c.PublishMembersList(node=_node(node))) as items:
            async for item in items:
                if not isinstance(item, Block):
                    yield r.MemberRow.from_text(item.text)

    async def add_member(self, node: NodeLike, member: str | Imid, *, publisher: bool = False) -> r.Ok:
        """Make somebody a member of one's node, or a publisher: PUBLISH MEMBERS ADD."""
        return await self.call(c.PublishMembersAdd(node=_node(node), member=_node(member), publisher=publisher))

    async def remove_member(self, node: NodeLike, member: str | Imid) -> r.Ok:
        """Forget somebody, and end their subscription: PUBLISH MEMBERS REMOVE."""
        return await self.call(c.PublishMembersRemove(node=_node(node), member=_node(member)))

    async def accept_member(self, node: NodeLike, member: str | Imid) -> r.Ok:
        """Let a subscriber in who waits: PUBLISH MEMBERS ACCEPT."""
        return await self.call(c.PublishMembersAccept(node=_node(node), member=_node(member)))

    # --- subscriptions

    async def subscribe(
        self,
        node: NodeLike,
        *,
        form: Form | None = None,
        digest: Digest | None = None,
        folder: str | Imid | None = None,
    ) -> r.Subscribed:
        """Subscribe to a node, also by its link; ``folder`` is where its messages go: SUBSCRIBE TO.

        ``digest``, in place of ``form``: a message every hour or day that names what was published.
        """
        request = c.Subscribe(
            to=_node(node),
            folder=None if folder is None else _node(folder),
            digest=digest,
            push=form == "notification",
            mail=form == "message",
        )
        return await self.call(request)

    async def subscriptions(self) -> tuple[r.SubscriptionRow, ...]:
        """One's subscriptions, the oldest first: SUBSCRIBE LIST."""
        return (await self.call(c.SubscribeList())).rows

    async def subscription(self, name: NodeLike | UUID) -> r.SubscriptionRow:
        """One subscription, by its UUID or node, with what the node says of itself: SUBSCRIBE SHOW."""
        return (await self.call(c.SubscribeShow(name=_name(name)))).rows[0]

    async def set_subscription(
        self,
        name: NodeLike | UUID,
        *,
        form: Form | None = None,
        digest: Digest | None = None,
        folder: str | Imid | None = None,
        muted: bool | None = None,
        seen: bool | None = None,
    ) -> r.Ok:
        """Change a subscription; ``seen``: the publisher may count what was seen: SUBSCRIBE SET."""
        request = c.SubscribeSet(
            name=_name(name),
            folder=None if folder is None else _node(folder),
            digest=digest,
            push=form == "notification",
            mail=form == "message",
            muted=muted,
            seen=seen,
        )
        return await self.call(request)

    async def dismiss_item(self, node: NodeLike, id: UUID | str) -> r.Ok:
        """Clear an item on every device: SUBSCRIBE DISMISS."""
        return await self.call(c.SubscribeDismiss(item=_item(node, id)))

    async def unsubscribe(self, name: NodeLike | UUID) -> r.Unsubscribed:
        """Leave a node, at once: UNSUBSCRIBE."""
        return await self.call(c.Unsubscribe(name=_name(name)))

    async def items(
        self, since: str | None = None, *, node: NodeLike | None = None, limit: int | None = None
    ) -> AsyncIterator[Event]:
        """What one's nodes published behind a cursor, with all octets in ``octets``: SUBSCRIBE SINCE."""
        request = c.SubscribeSince(cursor=since, node=None if node is None else _node(node), limit=limit)
        async with self.stream(request) as items:
            event: Event | None = None
            octets = b""
            async for item in items:
                if isinstance(item, Block):
                    octets += item.octets
                    continue
                if event is not None:
                    yield msgspec.structs.replace(event, octets=octets)
                try:
                    event = msgspec.json.decode(item.text, type=Event)
                except msgspec.DecodeError as error:
                    raise ProtocolFault(f"The server's item cannot be understood: {error}") from error
                octets = event.body.encode()
            if event is not None:
                yield msgspec.structs.replace(event, octets=octets)


def _node(name: NodeLike) -> Imid:
    return name if isinstance(name, Imid) else parse_imid(name)


def _given(options: NodeOptions | None) -> dict[str, Any]:
    return {} if options is None else msgspec.structs.asdict(options)


def _item(node: NodeLike, id: UUID | str) -> Imid:
    return msgspec.structs.replace(_node(node).as_node(), ids=(uuid_of(id),))


def _name(name: NodeLike | UUID) -> UUID | Imid:
    if isinstance(name, str) and "@" not in name:
        try:
            return UUID(name)
        except ValueError:
            text = "A subscription is named by its node, account/name@domain, or by its id"
            raise ImidError(text, name) from None
    return name if isinstance(name, UUID) else _node(name)
