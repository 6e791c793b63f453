"""Who may notify a person: PUSH ALLOW and its kin, push tokens, grants, requests; and SET GLOBAL.

Rules: everything here belongs to the account that is logged in; a token's secret is shown once and kept as a
hash; a grant's code is 26 letters of base32 and says nothing about anybody (docs/protocol.md, "Who may push").
"""

import hashlib
import re
from base64 import b32encode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

from immpd.model.imid import Imid, ImidError, parse_domain, parse_imid
from immpd.model.notification import LEVELS, Level
from immpd.model.quiet import QuietHours
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import (
    GrantAdd,
    GrantList,
    GrantRemove,
    PushAllow,
    PushDeny,
    PushForget,
    PushOrigins,
    PushTokenAdd,
    PushTokenList,
    PushTokenRemove,
    RequestAccept,
    RequestDecline,
    RequestList,
    SetGlobal,
)
from immpd.protocol.errors import Refused
from immpd.service.access import mailbox_of
from immpd.service.outcome import Outcome, Step, in_pages
from immpd.service.session import Session, handles
from immpd.service.timestamps import time_text
from immpd.store.ids import uuid_text
from immpd.store.push import consent as store

from .asking import TOKEN_PUBLIC, moment, named_level

MAX_USES = 1000
MAX_EVERY = 90 * 86_400
_TOKEN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


def _ok(text: str) -> Callable[[Any], replies.Ok]:
    return lambda _: replies.Ok(text=text)


# --- approvals


def _origin(text: str) -> str:
    """A domain or a sender's IMID, canonical; raises Refused."""
    try:
        return parse_imid(text).bare().address if "@" in text else parse_domain(text)
    except ImidError as error:
        raise Refused(Code.BAD_VALUE, "BAD-ORIGIN", f"{text[:80]} is no domain or IMID: {error}") from None


@handles(PushAllow)
def allow(session: Session, request: PushAllow, _: Any) -> Outcome:
    """Approve a sender."""
    cap = Level.HIGH if request.level is None else named_level(request.level)
    origin = _origin(request.origin)
    unit = store.allow(store.Allow(mailbox_of(session, request), origin, True, cap, session.services.clock.now()))
    return Step(unit, _ok(f"{origin} may notify you"))


@handles(PushDeny)
def deny(session: Session, request: PushDeny, _: Any) -> Outcome:
    """Decline a sender."""
    origin = _origin(request.origin)
    unit = store.allow(
        store.Allow(mailbox_of(session, request), origin, False, Level.SILENT, session.services.clock.now())
    )
    return Step(unit, _ok(f"{origin} may not notify you"))


@handles(PushForget)
def forget(session: Session, request: PushForget, _: Any) -> Outcome:
    """Take a decision back."""
    origin = _origin(request.origin)
    return Step(
        store.forget_origin(store.Named(mailbox_of(session, request), origin)), _ok(f"{origin} is a stranger again")
    )


@handles(PushOrigins)
def origins(session: Session, request: PushOrigins, _: Any) -> Outcome:
    """All decisions."""

    def listed(found: list[store.Origin]) -> Outcome:
        return in_pages(found, row, lambda: replies.Origins(before=len(found)))

    def row(one: store.Origin) -> replies.OriginRow:
        return replies.OriginRow(
            origin=one.origin, allowed=one.allowed, level=LEVELS[one.cap], since=time_text(one.since)
        )

    return Step(store.origins(store.OfMailbox(mailbox_of(session, request))), listed)


# --- requests


@handles(RequestList)
def requests(session: Session, request: RequestList, _: Any) -> Outcome:
    """Strangers that wait."""

    def listed(found: list[store.PushRequest]) -> replies.Requests:
        return replies.Requests(
            rows=tuple(
                replies.RequestRow(
                    id=uuid_text(one.id),
                    origin=one.origin,
                    sender=one.sender,
                    since=time_text(one.since),
                    text=one.title,
                )
                for one in found
            )
        )

    return Step(store.requests(store.OfMailbox(mailbox_of(session, request))), listed)


@handles(RequestAccept, RequestDecline)
def answer_request(session: Session, request: RequestAccept | RequestDecline, _: Any) -> Outcome:
    """Approve or decline a stranger's domain."""
    accepted = isinstance(request, RequestAccept)
    unit = store.answer_request(
        store.AnswerRequest(mailbox_of(session, request), request.id.bytes, accepted, session.services.clock.now())
    )
    return Step(unit, lambda origin: replies.Ok(text=f"{origin} may {'' if accepted else 'not '}notify you"))


# --- tokens


@handles(PushTokenAdd)
def add_token(session: Session, request: PushTokenAdd, _: Any) -> Outcome:
    """Make one and show it, this once."""
    if not _TOKEN_NAME.fullmatch(request.name):
        raise Refused(Code.BAD_VALUE, "BAD-NAME", "A token's name has 1 to 32 of a-z, 0-9, ., _ and -")
    every = request.every or 0
    if every and not 60 <= every <= MAX_EVERY:
        raise Refused(Code.BAD_VALUE, "BAD-TIME", f"EVERY is 60 to {MAX_EVERY} seconds")
    services = session.services
    first, *rest = services.random(TOKEN_PUBLIC)
    # Six bits make the first character: 62 would be a hyphen, and the token look like an option of a command.
    public, secret = bytes([first ^ 0x80 if first >> 2 == 62 else first, *rest]), services.random(32)
    cap = Level.CRITICAL if request.level is None else named_level(request.level)
    new = store.NewToken(
        mailbox_of(session, request),
        request.name,
        public,
        hashlib.sha256(secret).digest(),
        cap,
        every,
        services.clock.now(),
    )
    text = f"{urlsafe_b64encode(public).decode()}.{urlsafe_b64encode(secret).decode().rstrip('=')}"
    return Step(store.add_token(new), lambda _: replies.NewToken(name=request.name, token=text))


@handles(PushTokenList)
def tokens(session: Session, request: PushTokenList, _: Any) -> Outcome:
    """Without their secrets."""

    def listed(found: list[store.Token]) -> replies.Tokens:
        return replies.Tokens(
            rows=tuple(
                replies.TokenRow(
                    name=one.name,
                    level=LEVELS[one.cap],
                    every=one.every,
                    created=time_text(one.created),
                    used=time_text(one.used) if one.used is not None else "",
                )
                for one in found
            )
        )

    return Step(store.tokens(store.OfMailbox(mailbox_of(session, request))), listed)


@handles(PushTokenRemove)
def remove_token(session: Session, request: PushTokenRemove, _: Any) -> Outcome:
    """It can do nothing from now on."""
    return Step(
        store.remove_token(store.Named(mailbox_of(session, request), request.name)), _ok(f"{request.name} is removed")
    )


# --- grants


def _grant_address(session: Session, code: str) -> str:
    account = session.principal.person
    return str(Imid(account.local, account.domain, f"g-{code}"))


@handles(GrantAdd)
def add_grant(session: Session, request: GrantAdd, _: Any) -> Outcome:
    """An address to hand to somebody who shall notify you a few times."""
    uses = 1 if request.uses is None else request.uses
    if not 1 <= uses <= MAX_USES:
        raise Refused(Code.BAD_VALUE, "BAD-VALUE", f"USES is 1 to {MAX_USES}")
    until = None if request.until is None else moment(request.until)
    if until is not None and until <= session.services.clock.now():
        raise Refused(Code.BAD_VALUE, "BAD-TIME", "UNTIL has passed already")
    domain = "" if request.for_ is None else _origin(request.for_)
    if "@" in domain:
        raise Refused(Code.BAD_VALUE, "BAD-ORIGIN", "A grant is for a domain")
    code = b32encode(session.services.random(16)).decode().rstrip("=").lower()
    new = store.NewGrant(mailbox_of(session, request), code, domain, uses, until, session.services.clock.now())
    return Step(store.add_grant(new), lambda _: replies.NewGrant(address=_grant_address(session, code)))


@handles(GrantList)
def grants(session: Session, request: GrantList, _: Any) -> Outcome:
    """What is left of them."""
    now = session.services.clock.now()

    def listed(found: list[store.Grant]) -> Outcome:
        left = [one for one in found if one.uses and (one.until is None or one.until > now)]
        return in_pages(left, row, lambda: replies.Grants(before=len(left)))

    def row(one: store.Grant) -> replies.GrantRow:
        return replies.GrantRow(
            address=_grant_address(session, one.code),
            domain=one.domain,
            uses=one.uses,
            until=time_text(one.until) if one.until is not None else "",
            created=time_text(one.created),
        )

    return Step(store.grants(store.OfMailbox(mailbox_of(session, request))), listed)


@handles(GrantRemove)
def remove_grant(session: Session, request: GrantRemove, _: Any) -> Outcome:
    """By its address."""
    account = session.principal.person
    code = request.address.grant
    if code is None or request.address.address != account.address:
        raise Refused(Code.BAD_VALUE, "BAD-GRANT", f"{request.address} is none of your grants; GRANT LIST shows them")
    return Step(store.remove_grant(store.Named(mailbox_of(session, request), code)), _ok("It opens nothing any more"))


# --- settings of the account


def _quiet(text: str) -> str:
    hours = QuietHours.parse(text)
    return f"{hours.begin:%H:%M}-{hours.end:%H:%M} {hours.zone}"


def _seconds(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and 60 <= int(text[:9]) <= 30 * 86_400):
        raise ValueError("60 to 2592000 seconds are wanted")
    return str(int(text[:9]))


def _yes(text: str) -> str:
    if text.lower() not in ("yes", "no"):
        raise ValueError("yes or no is wanted")
    return "yes" if text.lower() == "yes" else ""


SETTINGS: dict[str, tuple[Callable[[str], str], str]] = {
    "push.quiet": (_quiet, "When notifications wait: 22:00-07:00 Europe/Berlin. The silent and the critical do not"),
    "push.repeat": (_seconds, "Seconds after which an urgent one that nobody answered is shown again, up to 20 times"),
    "push.promote": (_seconds, "Seconds after which one that nobody answered becomes a message in INBOX"),
    "push.seen": (_yes, "yes: senders may know that you dismissed what they sent"),
}
"""How the value is read and written down (ValueError says what is wrong), and what it means."""


@handles(SetGlobal)
def set_global(session: Session, request: SetGlobal, _: Any) -> Outcome:
    """Set, take back, or show."""
    name, equals, value = request.setting.partition("=")
    name = name.lower()
    if (name or equals) and name not in SETTINGS:
        known = ", ".join(SETTINGS)
        raise Refused(Code.NOT_FOUND, "NO-SETTING", f"There is no setting {name[:40]}; there are {known}")

    def listed(found: dict[str, str]) -> replies.Settings:
        rows = [(one, found.get(one, "")) for one in SETTINGS if not name or one == name]
        return replies.Settings(rows=tuple(replies.SettingRow(name=one, text=text) for one, text in rows))

    show = Step(store.settings(store.OfMailbox(mailbox_of(session, request))), listed)
    if not equals:
        return show
    try:
        kept = SETTINGS[name][0](value) if value else ""
    except ValueError as error:
        raise Refused(Code.BAD_VALUE, "BAD-SETTING", f"{name}: {error}") from None
    return Step(store.set_setting(store.SetSetting(mailbox_of(session, request), name, kept)), lambda _: show)
