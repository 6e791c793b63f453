"""SUBSCRIBE and UNSUBSCRIBE: a person's standing consent to a node.

Rules: nobody but the subscriber sees a subscription's UUID; leaving is at once; whatever changes is told to
every session of the mailbox (docs/protocol.md, "Feeds").
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from immpd.model.feed import Form, Item
from immpd.model.imid import Imid
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import (
    Subscribe,
    SubscribeDismiss,
    SubscribeList,
    SubscribeSet,
    SubscribeShow,
    SubscribeSince,
    Unsubscribe,
)
from immpd.protocol.errors import Refused
from immpd.protocol.lines import Words
from immpd.protocol.registry import Request
from immpd.service.access import Place, cursor_text, folder_of, mailbox_of, read_cursor, with_folder
from immpd.service.mail.rendering import blocks
from immpd.service.outcome import Outcome, Page, Rows, Step
from immpd.service.routing import item_name, node_name
from immpd.service.session import Session, handles
from immpd.service.timestamps import time_text
from immpd.store.feeds import subscriptions as store
from immpd.store.feeds.dismissals import DismissItem, dismiss_item
from immpd.store.feeds.item_pages import Items, ItemsSince, OneItem, item_body, items_since
from immpd.store.feeds.subscriptions import ListSubscriptions, NameSubscription, SetSubscription, Subscription
from immpd.store.ids import uuid_text
from immpd.store.mail.mailboxes import ByMailbox, mailbox_row

from .events import ROW, event_of, noted

PAGE = 50
LISTED = 25
"""Subscriptions that are read at once: the items of each are counted."""


_DIGESTS: dict[str, Form] = {"hourly": "hourly", "daily": "daily"}


def _form(push: bool, mail: bool, digest: str | None) -> Form | None:
    if push + mail + (digest is not None) > 1:
        raise Refused(Code.BAD_VALUE, "BAD-SWITCH", "+PUSH, +MAIL and DIGEST exclude each other")
    if digest is None:
        return "notification" if push else "message" if mail else None
    form = _DIGESTS.get(digest.lower())
    if form is None:
        raise Refused(Code.BAD_VALUE, "BAD-OPTION", "DIGEST is hourly or daily; +PUSH or +MAIL ends it")
    return form


def _named(session: Session, request: Request[Any], name: UUID | Imid) -> NameSubscription:
    now, mailbox = session.services.clock.now(), mailbox_of(session, request)
    if isinstance(name, UUID):
        return NameSubscription(mailbox, name.bytes, "", now)
    return NameSubscription(mailbox, b"", node_name(session, name).address, now)


def _into(session: Session, request: Request[Any], path: Imid, then: Callable[[Place], Outcome]) -> Outcome:
    """Find the folder that messages are to go to; raises Refused also where messages of one are named."""
    folder_of(path)
    return with_folder(session, request, path, then)


def new_uuid(session: Session) -> bytes:
    """A version-4 UUID: it tells nothing, not even when it was made (RFC 9562, section 5.4)."""
    return UUID(bytes=session.services.random(16), version=4).bytes


@handles(Subscribe)
def subscribe(session: Session, request: Subscribe, _: Any) -> Outcome:
    """Subscribe, or find the subscription that is there."""
    node, mailbox = node_name(session, request.to), mailbox_of(session, request)
    form = _form(request.push, request.mail, request.digest)
    services = session.services
    account = session.principal.person

    def begin(folder: int) -> Step:
        args = store.Subscribe(
            node.address, mailbox, account.address, new_uuid(session), form, folder, services.clock.now(),
            services.limits.max_subscriptions,
        )  # fmt: skip
        return Step(store.subscribe(args), subscribed, noted(session, "subscription refused", node.address))

    def subscribed(one: Subscription) -> Outcome:
        state = "" if one.state == "active" else one.state
        return replies.Subscribed(id=uuid_text(one.uuid), state=state, text=one.title)

    if request.folder is None:
        return begin(0)
    return _into(session, request, request.folder, lambda place: begin(place.folder))


@handles(Unsubscribe)
def unsubscribe(session: Session, request: Unsubscribe, _: Any) -> Outcome:
    """Leave."""

    def left(one: Subscription) -> Outcome:
        return replies.Unsubscribed(id=uuid_text(one.uuid), text=one.title)

    return Step(store.unsubscribe(_named(session, request, request.name)), left)


@handles(SubscribeSet)
def change_subscription(session: Session, request: SubscribeSet, _: Any) -> Outcome:
    """Change form, folder, muting, or whether the publisher may count what was seen."""
    name = _named(session, request, request.name)
    form = _form(request.push, request.mail, request.digest)

    def begin(folder: int | None) -> Step:
        return Step(store.set_subscription(SetSubscription(name, form, folder, request.muted, request.seen)), changed)

    def changed(one: Subscription) -> Outcome:
        return replies.Ok(text=f"Changed {one.imid}")

    if request.folder is None:
        return begin(None)
    return _into(session, request, request.folder, lambda place: begin(place.folder))


@handles(SubscribeList)
def list_(session: Session, request: SubscribeList, _: Any) -> Outcome:
    """All subscriptions, the oldest first."""
    now, mailbox = session.services.clock.now(), mailbox_of(session, request)
    count = 0

    def page_after(id: int) -> Step:
        return Step(store.list_subscriptions(ListSubscriptions(mailbox, now, id, LISTED)), listed)

    def listed(page: list[Subscription]) -> Outcome:
        nonlocal count
        count += len(page)
        rows: list[Words] = [_row(one) for one in page]
        if len(page) < LISTED:
            return Rows(rows, lambda: replies.Subscriptions(before=count))
        return Rows(rows, lambda: page_after(page[-1].id))

    return page_after(0)


@handles(SubscribeShow)
def show(session: Session, request: SubscribeShow, _: Any) -> Outcome:
    """One subscription."""
    unit = store.one_subscription(_named(session, request, request.name))
    return Step(unit, lambda one: replies.Subscriptions(rows=(_row(one, whole=True),)))


def _row(one: Subscription, *, whole: bool = False) -> replies.SubscriptionRow:
    local, _, domain = one.imid.partition("@")
    return replies.SubscriptionRow(
        id=uuid_text(one.uuid),
        imid=f"{one.owner}@{domain}",
        node=local,
        title=one.title,
        state=one.state,
        form=one.form,
        muted=one.muted,
        seen=one.tells,
        origin=domain,
        since=time_text(one.since),
        items=one.recent,
        last=time_text(one.last) if one.last else "",
        folder=one.folder,
        language=one.language if whole else "",
        icon=one.icon if whole else "",
        description=one.description if whole else "",
    )


@handles(SubscribeDismiss)
def dismiss(session: Session, request: SubscribeDismiss, _: Any) -> Outcome:
    """Clear an item on every device."""
    node, uuid = item_name(session, request.item)
    return Step(
        dismiss_item(DismissItem(mailbox_of(session, request), node, uuid)), lambda _: replies.Ok(text="Dismissed")
    )


# --- catching up


@handles(SubscribeSince)
def since(session: Session, request: SubscribeSince, _: Any) -> Outcome:
    """The items behind a cursor, in order, with their bodies; of one node only where one subscribed to it."""
    if request.node is None:
        return _since(session, request, "")
    name = _named(session, request, request.node)
    return Step(store.one_subscription(name), lambda one: _since(session, request, one.imid))


def _since(session: Session, request: SubscribeSince, node: str) -> Outcome:
    mailbox = mailbox_of(session, request)
    if request.cursor is not None:
        state, item = read_cursor(session, request.cursor)
        return _Since(session, mailbox, state, item, node, request.limit).page()
    # Of the mailbox a cursor says how far it is now, so that a watch from it brings nothing old.
    unit = mailbox_row(ByMailbox(mailbox))
    return Step(unit, lambda row: _Since(session, mailbox, row.state, 0, node, request.limit).page())


class _Since:
    """One SUBSCRIBE SINCE on its way."""

    def __init__(self, session: Session, mailbox: int, state: int, item: int, node: str, limit: int | None) -> None:
        self.session = session
        self.mailbox = mailbox
        self.state = state
        self.cursor = item
        self.node = node
        self.left = limit
        self.sent = 0

    def page(self) -> Outcome:
        """Read the next few."""
        count = PAGE if self.left is None else min(PAGE, self.left)
        return Step(
            items_since(ItemsSince(self.mailbox, self.cursor, count, True, self.node)),
            lambda found: self._items(found.items, found),
        )

    def _items(self, items: list[Item], page: Items) -> Outcome:
        """Write rows up to an item whose body goes in blocks; then the rest of the page."""
        pieces: list[bytes] = []
        for at, item in enumerate(items):
            self.sent += 1
            event, whole = event_of(item)
            pieces.append(ROW + cursor_text(self.session, self.state, item.seq).encode() + event)
            if item.kind == "item" and item.length and not whole:
                return Page(pieces, partial(self._body, item, items[at + 1 :], page))
        return Page(pieces, lambda: self._next(page))

    def _body(self, item: Item, rest: list[Item], page: Items) -> Outcome:
        """The octets of an item, none where it was retracted meanwhile; then go on."""
        head = f"{uuid_text(item.uuid)} body".encode()

        def read(octets: bytes | None) -> Outcome:
            return Page(blocks(head, octets or b""), lambda: self._items(rest, page))

        return Step(item_body(OneItem(item.seq)), read)

    def _next(self, page: Items) -> Outcome:
        self.cursor = page.cursor
        if self.left is not None:
            self.left -= len(page.items)
        if page.more and self.left != 0:
            return self.page()
        cursor = cursor_text(self.session, self.state, self.cursor)
        return replies.ItemsEnd(n=self.sent, cursor=cursor, more="yes" if page.more else None)
