"""What a PUSH asks, as far as its line says: who, at what pace, whom, how urgent, and when.

Rules: who it is, is proven (the log-in, or a token) and never said; a token reaches its owner and nobody else; nodes do
not multiply what their publisher may; who does not keep to the pace is named to the operator once a period
(docs/protocol.md, "PUSH" and "Who may push").
"""

import hashlib
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from datetime import datetime
from hmac import compare_digest

import msgspec

from immpd.model.characters import is_shown
from immpd.model.imid import Imid
from immpd.model.network import network_of
from immpd.model.notification import MEDIA_TYPE, Level, NotificationError, check_title, read_level
from immpd.protocol.codes import Code
from immpd.protocol.commands import Push
from immpd.protocol.errors import Refused
from immpd.service.accounts.auth import counted_failure
from immpd.service.feeds.events import noted
from immpd.service.floods import pace_refusal, tell_operator
from immpd.service.mail.delivery import check_lengths
from immpd.service.mail.drafts import Draft
from immpd.service.mail.sending import dropping
from immpd.service.outcome import Outcome, Step
from immpd.service.routing import PUSH, Remote, no_route, node_name
from immpd.service.session import Services, Session
from immpd.store.accounts.directory import Account
from immpd.store.feeds.items import CheckPublisher, check_publisher
from immpd.store.push.admission import Asking
from immpd.store.push.consent import FindToken, Token, find_token

TTL = 7 * 86_400
MAX_TTL = 90 * 86_400
MAX_DELAY = 30 * 86_400
MAX_TAG = 64
TYPES = ("text/plain", MEDIA_TYPE)
TOKEN_PUBLIC = 9
"""Octets of the half that names a token."""


class Plan(msgspec.Struct):
    """What a PUSH asks; times are milliseconds UTC, ``token`` is the public half of the one that was shown."""

    to: list[Imid]
    against: list[Refused | None]
    """Of each, why nobody here can be notified by this name."""
    level: int
    due: int
    expires: int
    asking: Asking
    token: bytes | None


Then = Callable[[Asking, bytes | None], Outcome]
"""Goes on with who asks, and the public half of the token that was shown."""


def plan_of(session: Session, request: Push, draft: Draft, then: Callable[[Plan], Outcome]) -> Outcome:
    """Read the line, find out who asks, and go on; raises Refused. Where that happens later the draft is dropped."""
    check_words(request)
    due, expires = times_of(request, session.services.clock.now())
    level = level_asked(request)
    wanted = list({imid.address: imid for imid in request.to}.values())
    check_lengths(wanted)
    limit = session.services.limits.max_recipients
    if not wanted:
        raise Refused(Code.BAD_VALUE, "NO-RECIPIENT", "PUSH needs at least one TO")
    if len(wanted) > limit:
        raise Refused(Code.LIMIT, "TOO-MANY-RECIPIENTS", f"A notification has at most {limit} recipients here")
    against = [_reason_against(session.services, imid) for imid in wanted]
    return _who_asks(
        session, request, draft, lambda asking, token: then(Plan(wanted, against, level, due, expires, asking, token))
    )


def _reason_against(services: Services, imid: Imid) -> Refused | None:
    place = services.routes.lead(imid, PUSH)
    if isinstance(place, Remote):
        return no_route(place, PUSH)
    return place if isinstance(place, Refused) else None


# --- who asks


def _who_asks(session: Session, request: Push, draft: Draft, then: Then) -> Outcome:
    if request.token is not None:
        return _by_token(session, request, request.token, draft, then)
    account = session.principal.account
    if account is None:
        raise Refused(Code.DENIED, "LOG-IN", "Log in first, or show a TOKEN")
    sender = request.from_
    if sender is not None and sender.domain and ("/" in sender.local or sender.path):
        return _as_node(session, account, node_name(session, sender).address, draft, then)
    if sender is not None and (sender.address != account.address or sender.path or sender.ids):
        raise Refused(Code.DENIED, "NOT-YOURS", f"{account.address} has no right to send as {sender}")
    asking = _as_account(account)
    _keep_pace(session, asking, session.services.limits.pushes_per_minute)
    return then(asking, None)


def _as_account(account: Account) -> Asking:
    return Asking(account.domain, account.address, account.mailbox, None, Level.CRITICAL)


def _by_token(session: Session, request: Push, text: str, draft: Draft, then: Then) -> Outcome:
    """The token says who sends."""
    public, secret = _halves(text)

    def found(token: Token | None) -> Outcome:
        good = compare_digest(hashlib.sha256(secret).digest(), token.hash if token is not None else bytes(32))
        if token is None or not good or token.disabled:
            tell_operator(session, "push token refused", network_of(session.peer))
            raise counted_failure(session)
        owner, at, domain = token.address.partition("@")
        if [imid.address for imid in request.to] != [token.address]:
            raise Refused(Code.DENIED, "TOKEN-OWNER", "A token notifies the one who made it, and nobody else")
        sender = f"{owner}/{token.name}{at}{domain}"
        asking = Asking(domain, sender, token.mailbox, token.mailbox, token.cap)
        _keep_pace(session, asking, session.services.limits.token_pushes_per_minute)
        return then(asking, token.public)

    return Step(find_token(FindToken(public)), dropping(draft, found))


def _as_node(session: Session, account: Account, node: str, draft: Draft, then: Then) -> Outcome:
    """A publisher notifies subscribers of the node, in its name."""
    publisher = (account.id, account.address)
    asking = Asking(node.partition("@")[2], node, account.mailbox, None, Level.CRITICAL, publisher)

    def checked(_: None) -> Outcome:
        _keep_pace(session, _as_account(account), session.services.limits.pushes_per_minute)
        return then(asking, None)

    unit = check_publisher(CheckPublisher(node, account.id, account.address, named=True))
    return Step(unit, dropping(draft, checked), dropping(draft, noted(session, "push refused", node)))


def _halves(text: str) -> tuple[bytes, bytes]:
    public, _, secret = text.partition(".")
    try:
        return urlsafe_b64decode(public), urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
    except (Base64Error, ValueError):
        return b"", b""


def _keep_pace(session: Session, asking: Asking, per_minute: int) -> None:
    refused = pace_refusal(session, asking.sender, per_minute, "notifications")
    if refused is not None:
        tell_of_flood(session, "pushes too fast", asking)
        raise refused


def tell_of_flood(session: Session, event: str, asking: Asking) -> None:
    """Tell the operator who floods."""
    by_token = asking.token_of is not None
    tell_operator(session, event, asking.sender, sender=asking.sender, origin=asking.origin, token=by_token)


# --- what the line says


def check_words(request: Push) -> None:
    """Title, type and tag can be those of a notification."""
    try:
        check_title(request.title or "")
    except NotificationError as error:
        raise Refused(Code.BAD_VALUE, "BAD-NOTIFICATION", str(error)) from None
    checked_type(request.type)
    if request.tag is not None and not (0 < len(request.tag) <= MAX_TAG and is_shown(request.tag)):
        raise Refused(Code.BAD_VALUE, "BAD-TAG", f"A tag has 1 to {MAX_TAG} printable characters")


def checked_type(given: str | None) -> str:
    """The media type without its parameters."""
    kind = (given or "text/plain").partition(";")[0].strip().lower()
    if kind not in TYPES:
        raise Refused(Code.BAD_VALUE, "BAD-TYPE", f"A notification is {' or '.join(TYPES)}")
    return kind


def level_asked(request: Push) -> int:
    """How urgent its sender wants it."""
    if request.level is not None:
        return named_level(request.level)
    if request.important is not None:
        return Level.HIGH if request.important else Level.LOW
    return Level.NORMAL


def named_level(text: str) -> Level:
    """A level by its name."""
    try:
        return read_level(text)
    except NotificationError as error:
        raise Refused(Code.BAD_VALUE, "BAD-LEVEL", str(error)) from None


def moment(text: str) -> int:
    """A time of RFC 3339 as milliseconds UTC."""
    try:
        read = datetime.fromisoformat(text.upper())
        if read.tzinfo is None:
            raise ValueError
        return int(read.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Refused(
            Code.BAD_VALUE, "BAD-TIME", f"{text[:40]} is no time; one is written as in 2026-01-31T08:00:00Z"
        ) from None


def times_of(request: Push, now: int) -> tuple[int, int]:
    """When it is shown and when it ends, milliseconds UTC."""
    due = now if request.at is None else max(now, moment(request.at))
    if due - now > MAX_DELAY * 1000:
        raise Refused(Code.BAD_VALUE, "BAD-TIME", f"AT is at most {MAX_DELAY // 86_400} days away")
    ttl = TTL if request.ttl is None else request.ttl
    if not 0 < ttl <= MAX_TTL:
        raise Refused(Code.BAD_VALUE, "BAD-TIME", f"TTL is 1 to {MAX_TTL} seconds")
    return due, due + ttl * 1000
