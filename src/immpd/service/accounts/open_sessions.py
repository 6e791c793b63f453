"""The sessions of accounts that are open in this process, and their end.

Rules: what ends sessions says so over the bus, after its commit, for another process may have some of them; a
session is here from the moment in which it becomes somebody; one that ends hears why, with 751, and nothing more
(docs/protocol.md, "SESSION END").
"""

from collections.abc import Iterable, Sequence

from immpd.bus import Bus
from immpd.model.news import SessionsEnd, WhyEnded
from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
from immpd.service.session import Session

_REASONS: dict[WhyEnded, tuple[Code, str, str]] = {
    "disabled": (Code.SHUTDOWN, "DISABLED", "The account was disabled"),
    "removed": (Code.SHUTDOWN, "REMOVED", "The account was removed"),
    "password": (Code.SHUTDOWN, "PASSWORD-CHANGED", "The account has another password; log in again"),
    "ended": (Code.SHUTDOWN, "SESSION-ENDED", "Another session of the account, or the operator, ended this one"),
}


class OpenSessions:
    """By account and id, the sessions of this process that have logged in over a connection."""

    def __init__(self, bus: Bus) -> None:
        self._by_account: dict[str, dict[bytes, Session]] = {}
        bus.on_ends(self._end)

    def __len__(self) -> int:
        return sum(map(len, self._by_account.values()))

    def add(self, session: Session) -> None:
        """It has logged in."""
        if session.account is not None and session.connection is not None:
            self._by_account.setdefault(session.account.address, {})[session.id] = session

    def remove(self, session: Session) -> None:
        """Its connection is gone, or ends."""
        if session.account is not None:
            sessions = self._by_account.get(session.account.address, {})
            sessions.pop(session.id, None)
            if not sessions:
                self._by_account.pop(session.account.address, None)

    def of(self, account: str) -> Iterable[Session]:
        """Those of an account."""
        return self._by_account.get(account, {}).values()

    def all(self) -> Iterable[Session]:
        """Those of all accounts."""
        return (one for sessions in self._by_account.values() for one in sessions.values())

    def account_of(self, session: bytes) -> str | None:
        """Whose session has this id, where it is open here."""
        return next((account for account, sessions in self._by_account.items() if session in sessions), None)

    def meant(self, end: SessionsEnd) -> list[Session]:
        """Those that an end means."""
        sessions = self._by_account.get(end.account, {})
        if end.only is not None:
            return [sessions[end.only]] if end.only in sessions else []
        return [session for id_, session in sessions.items() if id_ != end.but]

    def _end(self, ends: Sequence[SessionsEnd]) -> None:
        for end in ends:
            for session in self.meant(end):
                self.remove(session)  # it may be some time until its connection is gone
                if session.connection is not None:
                    session.connection.end(Refused(*_REASONS[end.why]))
