"""Pushes for the tests of the store, and what became of them."""

import hashlib
import itertools
from uuid import UUID

import msgspec
from tests.store.hearing import Heard
from tests.store.making import NOW, Box, new_id

from immpd.model.change import Change
from immpd.model.notification import MEDIA_TYPE, Level
from immpd.store.contract import Store
from immpd.store.mail.changes import ChangesSince, changes_since
from immpd.store.mail.deliver import retry_key
from immpd.store.push.admission import Asking, NewPush, PushTo
from immpd.store.push.consent import FindToken, NewToken, Token, add_token, find_token
from immpd.store.push.notifications import ListNotifications, Notification, notifications
from immpd.store.push.pushes import Pushed, push
from immpd.store.push.timers import Fire, Fired, fire

CARD = (
    b'{"title":"Coming?","actions":[{"id":"yes","label":"Yes"},{"id":"web","label":"Map","url":"https://a.example/"}]}'
)
DAY = 86_400_000
_numbers = itertools.count(1)


def by(box: Box) -> Asking:
    """A person who is logged in."""
    return Asking(box.account.domain, box.account.address, box.id, None, Level.CRITICAL)


def stranger(address: str = "noreply@site.example") -> Asking:
    """Somebody of another server."""
    return Asking(address.partition("@")[2], address, None, None, Level.CRITICAL)


async def a_token(store: Store, box: Box, name: str = "nas", *, cap: int = Level.CRITICAL, every: int = 0) -> Token:
    """A new token of a mailbox."""
    public = next(_numbers).to_bytes(9, "big")
    await store.write(add_token(NewToken(box.id, name, public, b"h" * 32, cap, every, NOW)))
    found = await store.read(find_token(FindToken(public)))
    assert found is not None
    return found


def with_token(box: Box, token: Token) -> Asking:
    """Who shows a token."""
    name = f"{box.account.local}/{token.name}@{box.account.domain}"
    return Asking(box.account.domain, name, token.mailbox, token.mailbox, token.cap)


def a_push(
    asking: Asking,
    *to: Box,
    id: UUID | None = None,
    tag: str = "",
    body: bytes = b"hello",
    level: int = Level.NORMAL,
    now: int = NOW,
    after: int = 0,
    ttl: int = 7 * DAY,
    grant: str = "",
    token: Token | None = None,
) -> NewPush:
    """One push; ``after`` and ``ttl``: milliseconds until it is shown, and from then on."""
    identity = id or UUID(bytes=new_id())

    def one(box: Box) -> PushTo:
        address = box.account.address
        said = "\0".join((asking.origin, asking.sender, address, tag)).encode()
        return PushTo(
            address,
            box.account.domain,
            address,
            new_id(),
            new_id(),
            retry_key(asking.origin, asking.sender, address, str(identity)),
            hashlib.sha256(said).digest()[:20] if tag else None,
            grant,
        )

    return NewPush(
        push=identity.bytes,
        asking=asking,
        title="Title",
        type=MEDIA_TYPE if body == CARD else "text/plain",
        body=body,
        level=level,
        digest=hashlib.sha256(msgspec.json.encode((level, ttl, after, tag)) + body).digest(),
        to=tuple(one(box) for box in to),
        now=now,
        due=now + after,
        expires=now + after + ttl,
        token=None if token is None else token.public,
    )


async def pushed(store: Store, asking: Asking, to: Box, **more: object) -> Pushed:
    """Push to one mailbox; what became of it."""
    (result,) = await store.write(push(a_push(asking, to, **more)))  # type: ignore[arg-type]
    return result


async def shown(store: Store, box: Box) -> list[Notification]:
    """What is on the screens of a mailbox's person, the newest first."""
    return await store.read(notifications(ListNotifications(box.id)))


async def said(store: Store, box: Box) -> list[str]:
    """The texts of what is shown, the newest first."""
    return [one.body.decode() for one in await shown(store, box)]


async def at(store: Store, now: int) -> Fired:
    """Have everything done that is due by then."""
    promote: tuple[Notification, ...] = ()
    more = True
    while more:
        fired = await store.write(fire(Fire(now, tuple((new_id(), new_id() + b"....") for _ in range(10)), 10)))
        promote, more = promote + fired.promote, fired.more
    return Fired(promote, False)


async def happens(store: Store, heard: Heard, now: int) -> list[Change]:
    """Have everything done that is due by then; what is told of it."""
    heard.take(Change)
    await at(store, now)
    return heard.take(Change)


async def told(store: Store, box: Box, since: int = 0) -> list[Change]:
    """What a watcher of a mailbox that was away learns, by pages."""
    changes: list[Change] = []
    more = True
    while more:
        page = await store.read(changes_since(ChangesSince(box.id, since, span=3)))
        changes += page.changes
        since, more = page.cursor, page.more
    return changes
