"""The sessions of accounts that are open in this process, and their end.

Rules: what ends sessions says so over the bus, for another process may have some of them; where that may have been
lost, the store is asked whether each account still is what its sessions logged in to; a session is here from the
moment in which it becomes somebody; one that ends hears why, with 751, and nothing more (docs/protocol.md,
"SESSION END").
"""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial

from immpd.bus import Bus
from immpd.model.news import SessionsEnd, WhyEnded
from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
from immpd.service.session import Session
from immpd.store.accounts.directory import Account, ByAddress, account_by_address
from immpd.store.contract import Store

AT_ONCE = 100
"""Accounts that are asked for before others have their turn."""
_REASONS: dict[WhyEnded, tuple[Code, str, str]] = {
    "disabled": (Code.SHUTDOWN, "DISABLED", "The account was disabled"),
    "removed": (Code.SHUTDOWN, "REMOVED", "The account was removed"),
    "password": (Code.SHUTDOWN, "PASSWORD-CHANGED", "The account has another password; log in again"),
    "ended": (Code.SHUTDOWN, "SESSION-ENDED", "Another session of the account, or the operator, ended this one"),
}


class OpenSessions:
    """By account and id, the sessions of this process that have logged in over a connection."""

    def __init__(self, bus: Bus, store: Store) -> None:
        self._by_account: dict[str, dict[bytes, Session]] = {}
        self._store = store
        bus.on_ends(self._told)

    def __len__(self) -> int:
        return sum(map(len, self._by_account.values()))

    def add(self, session: Session) -> None:
        """It has logged in."""
        account = session.principal.account
        if account is not None and session.connection is not None:
            self._by_account.setdefault(account.address, {})[session.id] = session

    def remove(self, session: Session) -> None:
        """Its connection is gone, or ends."""
        account = session.principal.account
        if account is not None:
            sessions = self._by_account.get(account.address, {})
            sessions.pop(session.id, None)
            if not sessions:
                self._by_account.pop(account.address, None)

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

    def _told(self, ends: Sequence[SessionsEnd]) -> None:
        for end in ends:
            for session in self.meant(end):
                self._end(session, end.why)
        if not ends:
            self._check(tuple(self._by_account), 0)

    def _end(self, session: Session, why: WhyEnded) -> None:
        self.remove(session)  # it may be some time until its connection is gone
        if session.connection is not None:
            session.connection.end(Refused(*_REASONS[why]))

    def _check(self, accounts: tuple[str, ...], at: int) -> None:
        """Ends may have been lost: ask the store for these accounts, some now and the others later."""
        for address in accounts[at : at + AT_ONCE]:
            self._store.submit(account_by_address(ByAddress(address)), partial(self._checked, address))
        if at + AT_ONCE < len(accounts):
            asyncio.get_running_loop().call_soon(self._check, accounts, at + AT_ONCE)

    def _checked(self, address: str, now: Account | None, error: BaseException | None) -> None:
        """End the sessions that logged in to what the account is no longer; what cannot be read ends nobody's.

        Sessions that stayed when the password changed end now, too: nothing tells them from those that did not.
        """
        for session in tuple(self.of(address)) if error is None else ():
            then = session.principal.account
            assert then is not None
            if now is None or now.id != then.id:
                self._end(session, "removed")
            elif now.disabled:
                self._end(session, "disabled")
            elif now.stored_key != then.stored_key:
                self._end(session, "password")
