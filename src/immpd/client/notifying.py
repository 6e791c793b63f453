"""The client's half of notifications: send, read, answer, and say who may send."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from immpd.model.imid import Imid, parse_imid
from immpd.model.notification import MEDIA_TYPE, Action, Card
from immpd.protocol import commands as c
from immpd.protocol import replies as r

from .caller import Caller
from .composing import Recipients, imids_of, new_id, uuid_of

Id = UUID | str


class Notifying(Caller):
    """What a session can do about notifications. Made as part of ``Client``."""

    # --- notifications

    async def push(
        self,
        to: Recipients,
        title: str = "",
        text: str = "",
        *,
        actions: Iterable[Action] = (),
        icon: str = "",
        level: str | None = None,
        ttl: int | None = None,
        at: datetime | None = None,
        tag: str | None = None,
        id: Id | None = None,
        token: str | None = None,
        sender: str | Imid | None = None,
    ) -> r.Delivered:
        """Notify people: PUSH. ``ttl`` in seconds; ``at``: not before; ``tag`` replaces what has the same tag.
        ``sender``: a node that one may publish on; then it reaches its subscribers and nobody else.

        With ``actions`` or ``icon`` it is a card, and an answer comes back as an ``answer`` event of ``watch`` and
        in ``push_status``. The reply's ``id`` is the push; the same ``id`` again replaces it. Refused is raised
        where nobody gets it.
        """
        buttons = tuple(actions)
        body, kind = text.encode(), "text/plain"
        if buttons or icon:
            body, kind = msgspec.json.encode(Card(title, text, icon, buttons)), MEDIA_TYPE
        request = c.Push(
            to=imids_of(to),
            title=title or None,
            type=kind,
            id=uuid_of(id) or new_id(),
            ttl=ttl,
            at=None if at is None else at.isoformat(),
            tag=tag,
            level=level,
            token=token,
            from_=parse_imid(sender) if isinstance(sender, str) else sender,
        )
        return await self.call(request, body)

    async def notifications(
        self, *, after: Id | None = None, limit: int | None = None, ended: bool = False
    ) -> r.Notifications:
        """Notifications that wait for an answer, the newest first; with ``ended`` all that are kept: PUSH LIST."""
        return await self.call(c.PushList(after=uuid_of(after), limit=limit, all=ended))

    async def notification(self, id: Id) -> r.Notifications:
        """One notification as a row: PUSH SHOW."""
        return await self.call(c.PushShow(id=uuid_of(id)))

    async def answer(self, id: Id, action: str) -> r.Ok:
        """Press a notification's button, once: PUSH ANSWER."""
        return await self.call(c.PushAnswer(id=uuid_of(id), action=action))

    async def dismiss(self, id: Id) -> r.Ok:
        """Clear a notification on all devices: PUSH DISMISS."""
        return await self.call(c.PushDismiss(id=uuid_of(id)))

    async def retract(self, id: Id) -> r.Ok:
        """Take a push of one's own back where nobody answered it: PUSH RETRACT."""
        return await self.call(c.PushRetract(id=uuid_of(id)))

    async def push_status(self, id: Id) -> tuple[r.PushStatusRow, ...]:
        """What became of a push of one's own, a row a recipient: PUSH STATUS."""
        return (await self.call(c.PushStatus(id=uuid_of(id)))).rows

    # --- who may push

    async def allow_push(self, origin: str, level: str | None = None) -> r.Ok:
        """Let a domain or sender notify you, no more urgently than ``level``: PUSH ALLOW."""
        return await self.call(c.PushAllow(origin=origin, level=level))

    async def deny_push(self, origin: str) -> r.Ok:
        """Refuse a domain or sender: PUSH DENY."""
        return await self.call(c.PushDeny(origin=origin))

    async def forget_push(self, origin: str) -> r.Ok:
        """Take that decision back: PUSH FORGET."""
        return await self.call(c.PushForget(origin=origin))

    async def push_origins(self) -> tuple[r.OriginRow, ...]:
        """Whom you allowed or denied: PUSH ORIGINS."""
        return (await self.call(c.PushOrigins())).rows

    async def add_push_token(self, name: str, *, level: str | None = None, every: int | None = None) -> str:
        """A secret that may notify you and nothing else, shown this once: PUSH TOKEN ADD."""
        return (await self.call(c.PushTokenAdd(name=name, level=level, every=every))).token

    async def push_tokens(self) -> tuple[r.TokenRow, ...]:
        """Your tokens: PUSH TOKEN LIST."""
        return (await self.call(c.PushTokenList())).rows

    async def remove_push_token(self, name: str) -> r.Ok:
        """It can do nothing from now on: PUSH TOKEN REMOVE."""
        return await self.call(c.PushTokenRemove(name=name))

    async def add_grant(
        self, *, domain: str | None = None, uses: int | None = None, until: datetime | None = None
    ) -> str:
        """An address to hand to a site that shall notify you a few times: GRANT ADD."""
        ends = None if until is None else until.isoformat()
        return (await self.call(c.GrantAdd(for_=domain, uses=uses, until=ends))).address

    async def grants(self) -> tuple[r.GrantRow, ...]:
        """Those that can still be used: GRANT LIST."""
        return (await self.call(c.GrantList())).rows

    async def remove_grant(self, address: str | Imid) -> r.Ok:
        """It opens nothing any more: GRANT REMOVE."""
        return await self.call(c.GrantRemove(address=address if isinstance(address, Imid) else parse_imid(address)))

    async def requests(self) -> tuple[r.RequestRow, ...]:
        """Strangers that ask to notify you: REQUEST LIST."""
        return (await self.call(c.RequestList())).rows

    async def accept_request(self, id: Id) -> r.Ok:
        """Let a stranger's domain notify you: REQUEST ACCEPT."""
        return await self.call(c.RequestAccept(id=uuid_of(id)))

    async def decline_request(self, id: Id) -> r.Ok:
        """Refuse a stranger's domain: REQUEST DECLINE."""
        return await self.call(c.RequestDecline(id=uuid_of(id)))

    async def settings(self) -> dict[str, str]:
        """What you set for your account: SET GLOBAL."""
        return {row.name: row.text for row in (await self.call(c.SetGlobal())).rows}

    async def set_setting(self, name: str, value: str) -> r.Settings:
        """Set something for your account; an empty value takes it back: SET GLOBAL."""
        return await self.call(c.SetGlobal(setting=f"{name}={value}"))
