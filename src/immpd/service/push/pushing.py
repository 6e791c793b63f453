"""PUSH: a notification to people, at once or after DATA and DONE.

Rules: who sends is proven (the log-in, or a token), never said; what lets it in is decided where it is stored,
in one transaction; a level is capped and never raised; 273 comes after the commit, and watchers are told after
it, too (docs/protocol.md, "PUSH").
"""

import hashlib
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from datetime import datetime
from hmac import compare_digest
from uuid import UUID

import msgspec

from immpd.model.characters import is_shown
from immpd.model.imid import Imid
from immpd.model.message import Envelope, Part
from immpd.model.network import network_of
from immpd.model.notification import MEDIA_TYPE, Level, NotificationError, check_title, read_card, read_level
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import Push
from immpd.protocol.errors import Refused
from immpd.protocol.states import State
from immpd.service.acceptance import NOTHING_SAID, Addressee, Incoming, Verdicts, accepted, parts_of, refusal
from immpd.service.accounts.auth import counted_failure
from immpd.service.feeds.events import node_name, noted
from immpd.service.feeds.nodes import account_of
from immpd.service.floods import pace_refusal, tell_operator
from immpd.service.ids import time_text
from immpd.service.mail.delivery import check_lengths
from immpd.service.mail.drafts import Draft, WholeDraft, drafts_of, message_open
from immpd.service.mail.sending import finish, finishes
from immpd.service.outcome import Outcome, Step
from immpd.service.session import Session, handles, on_arrival
from immpd.store.feeds.items import CheckPublisher, check_publisher
from immpd.store.mail.deliver import retry_key
from immpd.store.push.consent import Asking, FindToken, Token, find_token
from immpd.store.push.pushes import NewPush, Pushed, PushTo, push

MAX_BEFORE_LOGIN = 16 * 1024
"""Octets of the data block where a token is all that is shown."""
TTL = 7 * 86_400
MAX_TTL = 90 * 86_400
MAX_DELAY = 30 * 86_400
MAX_TAG = 64
SHORTEST_TIMER = 60_000
"""Milliseconds after which, at the earliest, something happens to a notification that is shown."""
TOKEN_PUBLIC = 9
"""Octets of the half that names a token."""
_TYPES = ("text/plain", MEDIA_TYPE)


_Planned = Callable[[Asking, bytes | None], Outcome]


class _Plan(msgspec.Struct):
    """What was found out when PUSH began, for its end."""

    asking: Asking
    to: list[Imid]
    level: int
    due: int
    expires: int
    token: bytes | None = None


@on_arrival(Push)
def open_push(session: Session, pid: str | None, request: Push) -> Draft | None:
    """With LENGTH its octets are awaited; without it the pipeline has an open notification."""
    limit = session.services.limits.max_notification
    if request.length is not None:
        limit = limit if session.state >= State.USER else MAX_BEFORE_LOGIN
        return WholeDraft(drafts_of(session), None, request, limit)
    return drafts_of(session).open(pid, request, limit) if session.state >= State.USER else None


@handles(Push)
def begin_push(session: Session, request: Push, draft: Draft | None) -> Outcome:
    """Check all that can be checked before the data block is there."""
    if draft is None and session.state < State.USER:
        raise Refused(Code.DENIED, "LOG-IN", "Log in first; with TOKEN, give the octets at once with LENGTH")
    if draft is None:
        raise message_open()
    try:
        return _begin(session, request, draft)
    except Refused as error:
        draft.refuse(error)
        raise


def _begin(session: Session, request: Push, draft: Draft) -> Outcome:
    _check_words(request)
    due, expires = _times(session, request)
    level = _level(request)
    wanted = list({imid.address: imid for imid in request.to}.values())
    check_lengths(wanted)
    limit = session.services.limits.max_recipients
    if not wanted:
        raise Refused(Code.BAD_VALUE, "NO-RECIPIENT", "PUSH needs at least one TO")
    if len(wanted) > limit:
        raise Refused(Code.LIMIT, "TOO-MANY-RECIPIENTS", f"A notification has at most {limit} recipients here")

    def planned(asking: Asking, token: bytes | None) -> Outcome:
        draft.found = _Plan(asking, wanted, level, due, expires, token)
        return replies.Opened() if request.length is None else finish(session, draft)

    if request.token is not None:
        return _with_token(session, request, draft, planned)
    account = session.account
    if account is None:
        raise Refused(Code.DENIED, "LOG-IN", "Log in first, or show a TOKEN")
    limit = session.services.limits.pushes_per_minute
    sender = request.from_
    if sender is not None and sender.domain and ("/" in sender.local or sender.path):
        return _from_node(session, draft, node_name(session, sender).address, planned)
    if sender is not None and (sender.address != account.address or sender.path or sender.ids):
        raise Refused(Code.DENIED, "NOT-YOURS", f"{account.address} has no right to send as {sender}")
    asking = Asking(account.domain, account.address, account.mailbox, None, Level.CRITICAL)
    _pace(session, asking, session.services.limits.pushes_per_minute)
    return planned(asking, None)


def _from_node(session: Session, draft: Draft, node: str, planned: _Planned) -> Outcome:
    """A publisher notifies subscribers of the node, in its name."""
    account = account_of(session)
    asking = Asking(
        node.partition("@")[2], node, account.mailbox, None, Level.CRITICAL, publisher=(account.id, account.address)
    )
    refused = noted(session, "push refused", node)

    def failed(error: BaseException) -> Outcome:
        try:
            return refused(error)
        except Refused as refusal:
            draft.refuse(refusal)
            raise

    def checked(_: None) -> Outcome:
        try:
            own = Asking(account.domain, account.address, account.mailbox, None, Level.CRITICAL)
            _pace(session, own, session.services.limits.pushes_per_minute)  # nodes do not multiply it
            return planned(asking, None)
        except Refused as refusal:
            draft.refuse(refusal)
            raise

    return Step(check_publisher(CheckPublisher(node, account.id, account.address, named=True)), checked, failed)


def _with_token(session: Session, request: Push, draft: Draft, planned: _Planned) -> Outcome:
    """The token says who sends; it reaches its owner and nobody else."""
    public, secret = _halves(request.token or "")

    def found(token: Token | None) -> Outcome:
        good = compare_digest(hashlib.sha256(secret).digest(), token.hash if token is not None else bytes(32))
        try:
            if token is None or not good or token.disabled:
                tell_operator(session, "push token refused", network_of(session.peer))
                raise counted_failure(session)
            owner, at, domain = token.address.partition("@")
            if [imid.address for imid in request.to] != [token.address]:
                raise Refused(Code.DENIED, "TOKEN-OWNER", "A token notifies the one who made it, and nobody else")
            sender = f"{owner}/{token.name}{at}{domain}"
            asking = Asking(domain, sender, token.mailbox, token.mailbox, token.cap)
            _pace(session, asking, session.services.limits.token_pushes_per_minute)
            return planned(asking, token.public)
        except Refused as error:
            draft.refuse(error)
            raise

    return Step(find_token(FindToken(public)), found)


def _halves(text: str) -> tuple[bytes, bytes]:
    public, _, secret = text.partition(".")
    try:
        return urlsafe_b64decode(public), urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
    except (Base64Error, ValueError):
        return b"", b""


def _pace(session: Session, asking: Asking, per_minute: int) -> None:
    refused = pace_refusal(session, asking.sender, per_minute, "notifications")
    if refused is not None:
        _tell_of(session, "pushes too fast", asking)
        raise refused


def _tell_of(session: Session, event: str, asking: Asking) -> None:
    """Tell the operator who floods."""
    by_token = asking.token_of is not None
    tell_operator(session, event, asking.sender, sender=asking.sender, origin=asking.origin, token=by_token)


# --- what the line says


def _check_words(request: Push) -> None:
    try:
        check_title(request.title or "")
    except NotificationError as error:
        raise Refused(Code.BAD_VALUE, "BAD-NOTIFICATION", str(error)) from None
    if _type(request) not in _TYPES:
        raise Refused(Code.BAD_VALUE, "BAD-TYPE", f"A notification is {' or '.join(_TYPES)}")
    if request.tag is not None and not (0 < len(request.tag) <= MAX_TAG and is_shown(request.tag)):
        raise Refused(Code.BAD_VALUE, "BAD-TAG", f"A tag has 1 to {MAX_TAG} printable characters")


def _type(request: Push) -> str:
    return (request.type or "text/plain").partition(";")[0].strip().lower()


def _level(request: Push) -> int:
    if request.level is not None:
        return level_of(request.level)
    if request.important is not None:
        return Level.HIGH if request.important else Level.LOW
    return Level.NORMAL


def level_of(text: str) -> Level:
    """A level by its name; raises Refused."""
    try:
        return read_level(text)
    except NotificationError as error:
        raise Refused(Code.BAD_VALUE, "BAD-LEVEL", str(error)) from None


def moment(text: str) -> int:
    """A time of RFC 3339 as milliseconds UTC; raises Refused."""
    try:
        read = datetime.fromisoformat(text.upper())
        if read.tzinfo is None:
            raise ValueError
        return int(read.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Refused(
            Code.BAD_VALUE, "BAD-TIME", f"{text[:40]} is no time; one is written as in 2026-01-31T08:00:00Z"
        ) from None


def _times(session: Session, request: Push) -> tuple[int, int]:
    """When it is shown and when it ends."""
    now = session.services.clock.now()
    due = now if request.at is None else max(now, moment(request.at))
    if due - now > MAX_DELAY * 1000:
        raise Refused(Code.BAD_VALUE, "BAD-TIME", f"AT is at most {MAX_DELAY // 86_400} days away")
    ttl = TTL if request.ttl is None else request.ttl
    if not 0 < ttl <= MAX_TTL:
        raise Refused(Code.BAD_VALUE, "BAD-TIME", f"TTL is 1 to {MAX_TTL} seconds")
    return due, due + ttl * 1000


def _reason_against(session: Session, imid: Imid) -> Refused | None:
    if imid.is_own_box or imid.path or imid.ids or imid.filter is not None or imid.options:
        return Refused(Code.BAD_VALUE, "BAD-RECIPIENT", f"{imid} names no person: name@domain")
    if imid.folder is not None and imid.grant is None:
        return Refused(Code.BAD_VALUE, "BAD-RECIPIENT", f"A notification goes into no folder: {imid.bare()}")
    if imid.domain not in session.services.domains:
        text = f"{imid.domain} is not served here, and other domains cannot be notified yet"
        return Refused(Code.NO_ROUTE, "NO-ROUTE", text)
    return None


# --- the end


@finishes(Push)
def send_push(session: Session, draft: Draft) -> Outcome:
    """Have it judged, and put it to its recipients."""
    content = _content(draft.request, draft)
    identity = draft.request.id or session.services.ids.uuid()
    if not session.services.stages:
        return _put(session, draft, identity, content, NOTHING_SAID)
    incoming = _incoming(session, draft, identity, content)
    return accepted(draft, incoming, lambda verdicts: _put(session, draft, identity, content, verdicts))


def _incoming(session: Session, draft: Draft, identity: UUID, content: tuple[str, str, bytes]) -> Incoming:
    """What a stage sees of it. Whose token it is, or who sends, is not asked about the own notifications."""
    plan: _Plan = draft.found
    asking = plan.asking
    title, kind, body = content
    now = time_text(session.services.clock.now())
    envelope = Envelope(
        id=str(identity),
        from_=asking.sender,
        date=now,
        to=tuple([imid.text for imid in plan.to]),
        subject=title,
        importance="high" if plan.level >= Level.HIGH else "normal" if plan.level == Level.NORMAL else "low",
        origin=asking.origin,
        received_date=now,
        verified=True,
    )
    own = asking.token_of if asking.token_of is not None else asking.author
    address = "" if session.account is None else session.account.address
    to = [
        Addressee(imid.text, own if asking.token_of is not None or imid.address == address else None)
        for imid in plan.to
        if _reason_against(session, imid) is None
    ]
    parts = parts_of(session.services, [Part(1, "body", kind, len(body))], draft.parts)
    return Incoming("notification", session, own, envelope, parts, tuple(to))


def _put(
    session: Session, draft: Draft, identity: UUID, content: tuple[str, str, bytes], verdicts: Verdicts
) -> Outcome:
    request: Push = draft.request
    plan: _Plan = draft.found
    services = session.services
    title, kind, body = content
    asking = plan.asking
    rows: list[Refused | None] = []
    to = []
    for imid in plan.to:
        reason = _reason_against(session, imid) or refusal(verdicts.get(imid.text), imid.text, has_folders=False)
        rows.append(reason)
        if reason is None:
            key = retry_key(asking.origin, asking.sender, imid.address, str(identity))
            tag = None
            if request.tag is not None:
                said = "\0".join((asking.origin, asking.sender, imid.address, request.tag))
                tag = hashlib.sha256(said.encode()).digest()[:20]
            to.append(
                PushTo(
                    imid.address,
                    imid.domain,
                    imid.text,
                    services.ids.octets(),
                    services.ids.octets(),
                    key,
                    tag,
                    imid.grant or "",
                )
            )
    if not to:
        assert rows[0] is not None
        raise rows[0]
    said_all = msgspec.json.encode((title, kind, plan.level, request.at, request.ttl, request.tag))
    unit = push(
        NewPush(
            push=identity.bytes,
            asking=asking,
            title=title,
            type=kind,
            body=body,
            level=plan.level,
            digest=hashlib.sha256(said_all + body).digest(),
            to=tuple(to),
            now=services.clock.now(),
            due=plan.due,
            expires=plan.expires,
            token=plan.token,
        )
    )

    def pushed(results: tuple[Pushed, ...]) -> replies.Delivered:
        services.bus.publish([change for one in results for change in one.changes])
        now = services.clock.now()
        services.alarm.sooner(min(plan.expires, plan.due if plan.due > now else now + SHORTEST_TIMER))
        for part in draft.parts:
            part.discard()
        outcomes = iter(results)
        if any(one.outcome == "no-subscription" for one in results):
            _tell_of(session, "pushes without a subscription", asking)
        if any(one.outcome == "too-many" for one in results):
            _tell_of(session, "too many notifications of one sender", asking)
        lines = [_outcome(imid, reason or next(outcomes)) for imid, reason in zip(plan.to, rows, strict=True)]
        first = lines[0]
        if all(isinstance(line, Refused) for line in lines):
            assert isinstance(first, Refused)
            raise first
        told = [
            replies.RecipientOutcome(imid=imid.text, outcome="refused", code=int(line.code), text=line.line_text())
            if isinstance(line, Refused)
            else replies.RecipientOutcome(imid=imid.text, outcome="delivered", code=int(Code.DELIVERED), text=line)
            for imid, line in zip(plan.to, lines, strict=True)
        ]
        services.log.debug("notification accepted", id=str(identity), recipients=len(told), peer=session.peer)
        return replies.Delivered(id=str(identity), rows=tuple(told))

    return Step(unit, pushed)


def _content(request: Push, draft: Draft) -> tuple[str, str, bytes]:
    """Title, type and data block; raises Refused where they make no notification."""
    if len(draft.parts) != 1:
        raise Refused(Code.BAD_VALUE, "BAD-NOTIFICATION", "A notification has exactly one data block")
    part = draft.parts[0]
    body = part.octets or b""
    title = request.title or ""
    kind = _type(request)
    if request.length is None and part.request.type is not None and request.type is None:
        kind = part.request.type.partition(";")[0].strip().lower()
    try:
        if kind == MEDIA_TYPE:
            card = read_card(body)
            title = title or card.title
        elif kind == "text/plain":
            body.decode()
        else:
            raise Refused(Code.BAD_VALUE, "BAD-TYPE", f"A notification is {' or '.join(_TYPES)}")
    except NotificationError as error:
        raise Refused(Code.BAD_VALUE, "BAD-NOTIFICATION", str(error)) from None
    except UnicodeDecodeError:
        raise Refused(Code.BAD_VALUE, "BAD-NOTIFICATION", "Text is UTF-8, and this is not") from None
    return title, kind, body


_TOLD = {"delivered": "Delivered", "updated": "Updated", "duplicate": "Delivered before"}


def _outcome(imid: Imid, what: Refused | Pushed) -> Refused | str:
    """What the sender is told of one recipient."""
    if isinstance(what, Refused):
        return what
    if what.outcome in _TOLD:
        return _TOLD[what.outcome]
    who = imid.address
    if what.outcome == "no-mailbox":
        return Refused(Code.NOT_FOUND, "NO-RECIPIENT", f"There is no mailbox {who} here")
    if what.outcome == "declined":
        return Refused(Code.DENIED, "DECLINED", f"{who} does not want notifications from you")
    if what.outcome == "no-subscription":
        return Refused(Code.NOT_FOUND, "NO-SUBSCRIPTION", f"{who} does not subscribe to this node, or has left it")
    if what.outcome == "not-publisher":
        return Refused(Code.DENIED, "NOT-PUBLISHER", "You have no right to publish on this node")
    if what.outcome == "id-reused":
        return Refused(Code.CONFLICT, "ID-REUSED", "Another publisher of this node used the ID or the tag")
    if what.outcome == "bad-grant":
        return Refused(Code.DENIED, "BAD-GRANT", f"{imid} is used up, over, or not for your domain")
    if what.outcome == "pending":
        text = f"{who} has been asked whether you may, and has not answered yet"
        return Refused(Code.TEMPORARY, "REQUEST-PENDING", text, 86_400)
    if what.outcome == "too-many-requests":
        return Refused(Code.TEMPORARY, "TOO-MANY-REQUESTS", f"Too many strangers wait for an answer of {who}", 86_400)
    yours = " of yours" if what.outcome == "too-many" else ""
    text = f"{who} has too many unanswered notifications{yours}"
    return Refused(Code.TEMPORARY, "TOO-MANY-NOTIFICATIONS", text, 3600)
