"""The sessions of accounts that are open in this process, and their end.

Rules: what ends sessions says so over the bus, after its commit, for another process may have some of them; a
session that ends hears why, with 751, and nothing more (docs/protocol.md, "SESSION END").
"""

from collections.abc import Iterable
from typing import Protocol

from immpd.bus import EndBus
from immpd.model.ending import SessionsEnd, WhyEnded
from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused

from .session import Session

_REASONS: dict[WhyEnded, tuple[Code, str, str]] = {
    "disabled": (Code.SHUTDOWN, "DISABLED", "The account was disabled"),
    "password": (Code.SHUTDOWN, "PASSWORD-CHANGED", "The account has another password; log in again"),
    "ended": (Code.SHUTDOWN, "SESSION-ENDED", "Another session of the account, or the operator, ended this one"),
}


class Open(Protocol):
    """The connection of a session."""

    session: Session
    seen: float
    """Monotonic seconds: when something of the client came last."""

    def end(self, error: Refused) -> None:
        """Say why, and hang up."""


class OpenSessions:
    """By account and id, the sessions of this process that are logged in."""

    def __init__(self, bus: EndBus) -> None:
        self._by_account: dict[str, dict[bytes, Open]] = {}
        bus.listen(self._end)

    def __len__(self) -> int:
        return sum(map(len, self._by_account.values()))

    def add(self, connection: Open) -> None:
        """A session has logged in."""
        session = connection.session
        if session.account is not None:
            self._by_account.setdefault(session.account.address, {})[session.id] = connection

    def remove(self, connection: Open) -> None:
        """Its connection is gone."""
        session = connection.session
        if session.account is not None:
            sessions = self._by_account.get(session.account.address, {})
            sessions.pop(session.id, None)
            if not sessions:
                self._by_account.pop(session.account.address, None)

    def of(self, account: str) -> Iterable[Open]:
        """Those of an account."""
        return self._by_account.get(account, {}).values()

    def all(self) -> Iterable[Open]:
        """Those of all accounts."""
        return (one for sessions in self._by_account.values() for one in sessions.values())

    def account_of(self, session: bytes) -> str | None:
        """Whose session has this id, where it is open here."""
        return next((account for account, sessions in self._by_account.items() if session in sessions), None)

    def meant(self, end: SessionsEnd) -> list[Open]:
        """Those that an end means."""
        sessions = self._by_account.get(end.account, {})
        if end.only is not None:
            return [sessions[end.only]] if end.only in sessions else []
        return [connection for id_, connection in sessions.items() if id_ != end.but]

    def _end(self, end: SessionsEnd) -> None:
        for connection in self.meant(end):
            self.remove(connection)  # it may be some time until its connection is gone
            connection.end(Refused(*_REASONS[end.why]))
