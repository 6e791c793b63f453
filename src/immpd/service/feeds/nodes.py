"""PUBLISH CREATE, LIST, SHOW, SET, REMOVE and MEMBERS: a node and whom it knows.

Rules: an account's nodes lie under its own name; only the owner changes a node; addresses of subscribers are
for the owner alone, and never with a subscription's UUID (docs/protocol.md, "Feeds").
"""

import re
from typing import Any
from urllib.parse import urlsplit

from immpd.model.feed import MOST_KEPT, OPTIONS, Node, NodeOptions, NodeTerms, Option
from immpd.model.imid import Imid
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import (
    PublishCreate,
    PublishList,
    PublishMembersAccept,
    PublishMembersAdd,
    PublishMembersList,
    PublishMembersRemove,
    PublishRemove,
    PublishSet,
    PublishShow,
)
from immpd.protocol.errors import Refused
from immpd.protocol.lines import Words
from immpd.service.outcome import Outcome, Page, Rows, Step, in_pages
from immpd.service.routing import node_name
from immpd.service.session import Session, handles
from immpd.service.timestamps import time_text
from immpd.store.feeds.item_pages import NodeItem, NodeItems, node_items
from immpd.store.feeds.members import (
    ListMembers,
    Member,
    RemoveMember,
    SetMember,
    add_member,
    list_members,
    remove_member,
)
from immpd.store.feeds.nodes import (
    MyNodes,
    NewNode,
    PublishedNode,
    RemoveNode,
    SetNode,
    create_node,
    my_nodes,
    published_node,
    remove_node,
    set_node,
)
from immpd.store.feeds.subscriptions import (
    AcceptSubscriber,
    ListSubscribers,
    Subscriber,
    accept_subscriber,
    list_subscribers,
)
from immpd.store.ids import uuid_text

from .events import checked_title

PAGE = 200
LISTED = 50
"""Nodes and items that are written at once: each has a long row."""
_LANGUAGE = re.compile(r"(?:[A-Za-z]{2,8}|[xi](?=-))(?:-[A-Za-z0-9]{1,8})*")


def _options(request: PublishCreate | PublishSet) -> NodeOptions:
    """What is given, where each may be what it is."""
    given = {name: _checked(name, option, getattr(request, name)) for name, option in OPTIONS.items()}
    if request.title is not None:
        checked_title(request.title)
    if request.language and not _LANGUAGE.fullmatch(request.language):
        raise Refused(Code.BAD_VALUE, "BAD-OPTION", "LANGUAGE is a tag of BCP 47: en, de-CH, zh-Hans")
    if request.icon and not _is_https(request.icon):
        raise Refused(Code.BAD_VALUE, "BAD-OPTION", "ICON is a URL that begins with https://")
    return NodeOptions(**given)


def _checked(name: str, option: Option, value: Any) -> Any:
    """The value, one of a few words in lower case; raises Refused."""
    if value is None:
        return None
    if option.bounds is not None:
        least, most = option.bounds
        if not least <= value <= most and not (option.or_none and value == 0):
            may = f"0, or {least} to {most} {option.unit}" if option.or_none else f"a number from {least} to {most}"
            raise Refused(Code.BAD_VALUE, "BAD-OPTION", f"{name.upper()} is {may}")
    if option.octets is not None and len(value.encode()) > option.octets:
        raise Refused(Code.LIMIT, "TOO-LARGE", f"{name.upper()} has at most {option.octets} octets")
    words = option.words
    if not words:
        return value
    if value.lower() not in words:
        raise Refused(Code.BAD_VALUE, "BAD-OPTION", f"{name.upper()} is {', '.join(words[:-1])} or {words[-1]}")
    return value.lower()


def _is_https(text: str) -> bool:
    """Whether it is the URL of something that anybody can load without being seen on the way."""
    try:
        url = urlsplit(text)
        url.port  # noqa: B018  (raises where it is none)
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and not set(' "<>\\^`{|}') & set(text)
    return plain and url.scheme == "https" and bool(url.hostname) and "@" not in url.netloc


@handles(PublishCreate)
def create(session: Session, request: PublishCreate, _: Any) -> Outcome:
    """A node under the account's name."""
    account = session.principal.person
    node = node_name(session, request.node)
    if node.domain != account.domain or not node.local.startswith(f"{account.local}/"):
        text = f"Your nodes are written {account.local}/name@{account.domain}"
        raise Refused(Code.BAD_VALUE, "BAD-NODE", text)
    services = session.services
    new = NewNode(node.address, account.id, services.clock.now(), _options(request), services.limits.max_nodes)

    return Step(create_node(new), lambda node: replies.Ok(text=f"Created {node.imid}"))


@handles(PublishSet)
def change(session: Session, request: PublishSet, _: Any) -> Outcome:
    """Change what is given."""
    node = node_name(session, request.node)
    services = session.services
    new = SetNode(node.address, session.principal.person.id, _options(request), services.clock.now())

    return Step(set_node(new), lambda node: replies.Ok(text=f"Changed {node.imid}"))


@handles(PublishRemove)
def remove(session: Session, request: PublishRemove, _: Any) -> Outcome:
    """Remove a node."""
    imid = node_name(session, request.node).address
    now = session.services.clock.now()
    unit = remove_node(RemoveNode(imid, session.principal.person.id, now))
    return Step(unit, lambda _: replies.Ok(text=f"Removed {imid}"))


def node_row(node: Node) -> dict[str, Any]:
    """The fields of a node's line."""
    terms = {name: getattr(node, name) for name in NodeTerms.__struct_fields__}
    return {
        **terms,
        "node": node.imid,
        "created": time_text(node.created),
        "items": node.items,
        "subscribers": node.subscribers,
        "text": node.title,
    }


@handles(PublishList)
def list_(session: Session, _: PublishList, __: Any) -> Outcome:
    """The nodes one owns or may publish on."""
    account = session.principal.person
    count = 0

    def page_after(imid: str) -> Step:
        return Step(my_nodes(MyNodes(account.id, account.address, imid, LISTED)), listed)

    def listed(page: list[Node]) -> Outcome:
        nonlocal count
        count += len(page)
        rows: list[Words] = [replies.NodeRow(**node_row(node)) for node in page]
        if len(page) < LISTED:
            return Rows(rows, lambda: replies.Nodes(before=count))
        return Rows(rows, lambda: page_after(page[-1].imid))

    return page_after("")


@handles(PublishShow)
def show(session: Session, request: PublishShow, _: Any) -> Outcome:
    """A node and its newest items."""
    account = session.principal.person
    limit = min(request.limit or 50, MOST_KEPT)

    def found(node: Node) -> Outcome:
        return Step(node_items(NodeItems(node.id, limit)), lambda items: shown(node, items))

    def shown(node: Node, items: list[NodeItem]) -> Outcome:
        end = replies.NodeShown(**node_row(node))
        return in_pages(items, _item_row, lambda: end, LISTED)

    imid = node_name(session, request.node).address
    return Step(published_node(PublishedNode(imid, account.id, account.address)), found)


def _item_row(item: NodeItem) -> replies.ItemRow:
    told = item.accounting
    return replies.ItemRow(
        id=uuid_text(item.uuid),
        state=item.state,
        publisher=item.publisher,
        created=time_text(item.created),
        level=item.level,
        type=item.type,
        length=item.length,
        accepted=told.accepted,
        pending=told.pending,
        no_subscription=told.left,
        blocked=told.blocked,
        over_quota=told.over_quota,
        seen=item.seen,
        text=item.title,
    )


# --- members


def _member(session: Session, imid: Imid) -> str:
    if imid.is_own_box or not imid.bare() == imid:
        raise Refused(Code.BAD_VALUE, "BAD-ADDRESS", f"{imid} is no account; accounts are written name@domain")
    return imid.address


@handles(PublishMembersAdd)
def add(session: Session, request: PublishMembersAdd, _: Any) -> Outcome:
    """Make somebody a member or publisher."""
    services = session.services
    address = _member(session, request.member)
    node = node_name(session, request.node).address
    new = SetMember(
        node, session.principal.person.id, address, request.publisher, services.clock.now(), services.limits.max_members
    )
    what = "publisher" if request.publisher else "member"
    return Step(add_member(new), lambda _: replies.Ok(text=f"{address} is a {what} of {node}"))


@handles(PublishMembersRemove)
def forget(session: Session, request: PublishMembersRemove, _: Any) -> Outcome:
    """Forget somebody and end their subscription."""
    address = _member(session, request.member)
    node = node_name(session, request.node).address

    def removed(was_there: bool) -> Outcome:
        if not was_there:
            raise Refused(Code.NOT_FOUND, "NO-MEMBER", f"{node} does not know {address}")
        return replies.Ok(text=f"{address} is removed from {node}")

    return Step(remove_member(RemoveMember(node, session.principal.person.id, address)), removed)


@handles(PublishMembersAccept)
def let_in(session: Session, request: PublishMembersAccept, _: Any) -> Outcome:
    """Let a subscriber in who waits."""
    address = _member(session, request.member)
    node = node_name(session, request.node).address
    unit = accept_subscriber(AcceptSubscriber(node, session.principal.person.id, address))
    return Step(unit, lambda _: replies.Ok(text=f"{address} is subscribed to {node}"))


@handles(PublishMembersList)
def members(session: Session, request: PublishMembersList, _: Any) -> Outcome:
    """Publishers and members by address, then subscribers in the order they came; page by page."""
    account = session.principal.person.id
    node = node_name(session, request.node).address
    count = 0

    def line(address: str, role: str, since: int) -> bytes:
        row = replies.MemberRow(address=address, role=role, since=time_text(since))
        return f"285- {row.to_text()}\n".encode()

    def known(page: list[Member]) -> Outcome:
        nonlocal count
        count += len(page)
        pieces = [line(one.address, "publisher" if one.publisher else "member", one.since) for one in page]
        if len(page) == PAGE:
            return Page(pieces, lambda: Step(list_members(ListMembers(node, account, page[-1].address, PAGE)), known))
        return Page(pieces, lambda: Step(list_subscribers(ListSubscribers(node, account, 0, PAGE)), subscribed))

    def subscribed(page: list[Subscriber]) -> Outcome:
        nonlocal count
        count += len(page)
        roles = {"waiting": "waiting"}
        pieces = [line(one.address, roles.get(one.state, "subscriber"), one.since) for one in page]
        if len(page) == PAGE:
            following = ListSubscribers(node, account, page[-1].id, PAGE)
            return Page(pieces, lambda: Step(list_subscribers(following), subscribed))
        return Page(pieces, lambda: replies.Members(n=count))

    return Step(list_members(ListMembers(node, account, "", PAGE)), known)
