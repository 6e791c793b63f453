"""SESSION LIST and SESSION END: who is logged in where, and how to be rid of it.

Rules: a person sees and ends the sessions of their own account, the operator those of all; the session that asks
is never ended by it; what is listed is what this process has open (docs/protocol.md, "SESSION LIST").
"""

from collections.abc import Callable
from heapq import nsmallest
from typing import Any
from uuid import UUID

from immpd.model.imid import Imid, ImidError, read_uuid
from immpd.model.news import SessionsEnd
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import SessionEnd, SessionList
from immpd.protocol.errors import Refused
from immpd.protocol.replies import Reply
from immpd.service.outcome import Outcome, Step
from immpd.service.session import Session, handles
from immpd.service.timestamps import time_text
from immpd.store.accounts.directory import Account, ByAddress, account_by_address
from immpd.store.errors import NoAccount
from immpd.store.ids import uuid_text

from .administration import account_address

PAGE = 200


def _account(session: Session, named: Imid | None, then: Callable[[str | None], Reply]) -> Outcome:
    """``then`` of the account whose sessions are meant; None: those of all, which only the operator may mean."""
    account = None if named is None else account_address(session, named)
    if session.principal.is_operator:
        if account is None:
            return then(None)
        return Step(account_by_address(ByAddress(account)), lambda found: then(_there(found, account).address))
    own = session.principal.person
    if account not in (None, own.address):
        raise Refused(Code.DENIED, "NO-RIGHT", "You see and end the sessions of your own account only")
    return then(own.address)


def _there(found: Account | None, address: str) -> Account:
    if found is None:
        raise NoAccount(address)
    return found


@handles(SessionList)
def list_(session: Session, request: SessionList, _: Any) -> Outcome:
    """Open sessions, by the time of their log-in: ids are made then, and rise."""
    sessions = session.services.sessions
    after = b"" if request.after is None else request.after.bytes
    limit = PAGE if request.limit is None else min(PAGE, request.limit)

    def listed(account: str | None) -> replies.Sessions:
        found = sessions.all() if account is None else sessions.of(account)
        page = nsmallest(limit + 1, (one for one in found if one.id > after), key=lambda one: one.id)
        rows = tuple(_row(session, one) for one in page[:limit])
        return replies.Sessions(rows=rows, n=len(rows), more="yes" if len(page) > limit else None)

    return _account(session, request.account, listed)


def _row(session: Session, one: Session) -> replies.SessionRow:
    clock = session.services.clock
    account, connection = one.principal.person, one.connection
    assert connection is not None
    silent = max(0.0, clock.monotonic() - connection.seen)
    return replies.SessionRow(
        id=uuid_text(one.id),
        account=account.address,
        device=one.principal.device,
        address=one.peer,
        since=time_text(one.since),
        used=time_text(max(one.since, clock.now() - round(silent * 1000))),
        own=one is session,
    )


@handles(SessionEnd)
def end(session: Session, request: SessionEnd, _: Any) -> Outcome:
    """One, or all but the one that asks."""
    return _account(session, request.account, lambda account: _end(session, request.session, account))


def _end(session: Session, named: str, account: str | None) -> replies.SessionsEnded:
    if named == "*":
        if account is None:
            raise Refused(Code.BAD_VALUE, "BAD-VALUE", "Name the account too: SESSION END * account")
        return _ended(session, SessionsEnd(account, "ended", but=session.id))
    id_ = _id(named)
    if id_.bytes == session.id:
        raise Refused(Code.BAD_VALUE, "BAD-VALUE", "This is the session that asks; QUIT ends it")
    holder = session.services.sessions.account_of(id_.bytes)
    if holder is None or account not in (None, holder):
        raise Refused(Code.NOT_FOUND, "NO-SESSION", "No such session is open; SESSION LIST shows them")
    return _ended(session, SessionsEnd(holder, "ended", only=id_.bytes))


def _id(text: str) -> UUID:
    try:
        return read_uuid(text)
    except (ImidError, ValueError) as error:
        raise Refused(Code.BAD_VALUE, "BAD-VALUE", f"SESSION is an id of SESSION LIST, or *: {error}") from None


def _ended(session: Session, end: SessionsEnd) -> replies.SessionsEnded:
    services = session.services
    ended = len(services.sessions.meant(end))
    services.bus.publish((end,))
    services.log.info("sessions ended", account=end.account, peer=session.peer, ended=ended)
    return replies.SessionsEnded(ended=ended)
