"""Commands about notifications: sending them, answering them, and saying who may send them."""

from typing import Annotated
from uuid import UUID

from immpd.model.imid import Imid
from immpd.protocol import replies as r
from immpd.protocol.codes import Code
from immpd.protocol.registry import Positional, Request, Shape, command
from immpd.protocol.states import MEMBER, SENDER, State

from .delivery import SEND_CODES

PUSH_CODES = (Code.BAD_VALUE, Code.NOT_FOUND, Code.CONFLICT, Code.LIMIT, Code.TEMPORARY)
Level = Annotated[str | None, "silent|low|normal|high|critical"]
Id = Annotated[UUID, Positional, "id"]


@command(
    "PUSH",
    states=SENDER | {State.UNAUTHENTICATED},
    shape=Shape.AWAIT,
    codes=(
        *(Code.OPENED, Code.READY, Code.DELIVERED, Code.CONFLICT, Code.AUTH_FAILED, Code.ATTEMPTS, Code.OUT_OF_STEP),
        *SEND_CODES,
    ),
    body="counted",
    summary="Notify people",
)
class Push(Request[r.Delivered], frozen=True, kw_only=True):
    """With LENGTH the one data block follows at once; without it DATA and DONE do."""

    to: tuple[Imid, ...] = ()
    from_: Imid | None = None
    title: str | None = None
    type: Annotated[str | None, "media-type"] = None
    id: UUID | None = None
    ttl: Annotated[int | None, "seconds"] = None
    at: Annotated[str | None, "time"] = None
    tag: str | None = None
    level: Level = None
    token: str | None = None
    length: int | None = None
    important: bool | None = None
    secure: bool = False


@command(
    "PUSH LIST",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.NOTIFICATION, *PUSH_CODES),
    summary="Notifications that wait for an answer",
)
class PushList(Request[r.Notifications], frozen=True, kw_only=True):
    """The newest first; with +ALL also those that ended."""

    after: UUID | None = None
    limit: int | None = None
    all: bool = False


@command(
    "PUSH SHOW",
    states=MEMBER,
    shape=Shape.STREAM,
    codes=(Code.NOTIFICATION, Code.BLOCK, *PUSH_CODES),
    summary="A notification and its octets",
)
class PushShow(Request[r.Notifications], frozen=True, kw_only=True):
    """Its row, then the data block as it came."""

    id: Id


@command(
    "PUSH ANSWER",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.OK, *PUSH_CODES),
    summary="Press a notification's button",
)
class PushAnswer(Request[r.Ok], frozen=True, kw_only=True):
    """Once; the sender is told which action, by whom and when."""

    id: Id
    action: Annotated[str, Positional, "action"]


@command("PUSH DISMISS", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *PUSH_CODES), summary="Clear a notification")
class PushDismiss(Request[r.Ok], frozen=True, kw_only=True):
    """On all devices; its sender is not told."""

    id: Id


@command(
    "PUSH RETRACT", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *PUSH_CODES), summary="Take a notification back"
)
class PushRetract(Request[r.Ok], frozen=True, kw_only=True):
    """Of one's own: who has not seen it never will."""

    id: Id


@command(
    "PUSH STATUS",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.PUSH_STATUS, *PUSH_CODES),
    summary="What became of a notification",
)
class PushStatus(Request[r.PushStatuses], frozen=True, kw_only=True):
    """Of one's own: a row a recipient."""

    id: Id


# --- who may push --------------------------------------------------------------------------------


@command("PUSH ALLOW", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *PUSH_CODES), summary="Approve a sender")
class PushAllow(Request[r.Ok], frozen=True, kw_only=True):
    """A domain, or one sender by IMID; LEVEL caps how urgent it may be."""

    origin: Annotated[str, Positional, "domain-or-imid"]
    level: Level = None


@command("PUSH DENY", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *PUSH_CODES), summary="Decline a sender")
class PushDeny(Request[r.Ok], frozen=True, kw_only=True):
    """A domain, or one sender by IMID: it is refused from now on."""

    origin: Annotated[str, Positional, "domain-or-imid"]


@command("PUSH FORGET", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *PUSH_CODES), summary="Take a decision back")
class PushForget(Request[r.Ok], frozen=True, kw_only=True):
    """It is a stranger again."""

    origin: Annotated[str, Positional, "domain-or-imid"]


@command(
    "PUSH ORIGINS",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.ORIGIN, *PUSH_CODES),
    summary="Who was approved or declined",
)
class PushOrigins(Request[r.Origins], frozen=True, kw_only=True):
    """A row a decision."""


@command(
    "PUSH TOKEN ADD",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.TOKEN, *PUSH_CODES),
    summary="Make a secret that may only notify you",
)
class PushTokenAdd(Request[r.NewToken], frozen=True, kw_only=True):
    """For a device or script; it is shown once. EVERY: it promises a sign of life in each span of so many seconds."""

    name: Annotated[str, Positional, "name"]
    level: Level = None
    every: Annotated[int | None, "seconds"] = None


@command("PUSH TOKEN LIST", states=MEMBER, shape=Shape.UNIT, codes=(Code.TOKEN, *PUSH_CODES), summary="Your tokens")
class PushTokenList(Request[r.Tokens], frozen=True, kw_only=True):
    """A row a token, without its secret."""


@command("PUSH TOKEN REMOVE", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *PUSH_CODES), summary="Remove a token")
class PushTokenRemove(Request[r.Ok], frozen=True, kw_only=True):
    """It can do nothing from now on."""

    name: Annotated[str, Positional, "name"]


@command(
    "GRANT ADD",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.GRANT, *PUSH_CODES),
    summary="Make an address to hand out once",
)
class GrantAdd(Request[r.NewGrant], frozen=True, kw_only=True):
    """It lets the domain named, or the first that uses it, notify you so often."""

    for_: Annotated[str | None, "domain"] = None
    uses: int | None = None
    until: Annotated[str | None, "time"] = None


@command("GRANT LIST", states=MEMBER, shape=Shape.UNIT, codes=(Code.GRANT, *PUSH_CODES), summary="Your grants")
class GrantList(Request[r.Grants], frozen=True, kw_only=True):
    """A row a grant."""


@command("GRANT REMOVE", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *PUSH_CODES), summary="Take a grant back")
class GrantRemove(Request[r.Ok], frozen=True, kw_only=True):
    """By its address."""

    address: Annotated[Imid, Positional, "address"]


@command(
    "REQUEST LIST", states=MEMBER, shape=Shape.UNIT, codes=(Code.REQUEST, *PUSH_CODES), summary="Strangers that wait"
)
class RequestList(Request[r.Requests], frozen=True, kw_only=True):
    """A row a domain; each got one notification through."""


@command(
    "REQUEST ACCEPT", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *PUSH_CODES), summary="Let a stranger notify you"
)
class RequestAccept(Request[r.Ok], frozen=True, kw_only=True):
    """Its domain is approved."""

    id: Id


@command("REQUEST DECLINE", states=MEMBER, shape=Shape.UNIT, codes=(Code.OK, *PUSH_CODES), summary="Refuse a stranger")
class RequestDecline(Request[r.Ok], frozen=True, kw_only=True):
    """Its domain is declined."""

    id: Id


@command(
    "SET GLOBAL",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.SETTING, *PUSH_CODES),
    summary="What you set for your account",
)
class SetGlobal(Request[r.Settings], frozen=True, kw_only=True):
    """name=value sets it, name= takes it back, name shows it; alone it shows all."""

    setting: Annotated[str, Positional, "name=value"] = ""
