"""Sending what waits in a spool, in order.

Rules: what concerns the connection or the log-in holds up all that goes the same way, what concerns a recipient
holds up what goes to the same one, and both wait longer after each try; what concerns the notification sets it
aside. A new notification is tried at once, and what waits before it goes first. Where the answer was lost it goes
again with the same ID in the same words, so that it is shown once.
"""

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec

from .common import NOT_LOGGED_IN, NOT_REACHED, OK, REFUSED, TEMPORARY, NotLoggedIn, describe_error, exit_code
from .push_route import Card, Route, in_time
from .spool import Kept, Spool, SpoolBusy

if TYPE_CHECKING:
    from immpd.client import Client
    from immpd.protocol.errors import Refused

TTL = 7 * 86_400
"""Seconds that a notification is kept where nothing was said (docs/protocol.md, "PUSH")."""
FIRST_WAIT = 5
LONGEST_WAIT = 900
_ONE_RECIPIENT = ("REQUEST-PENDING", "TOO-MANY-REQUESTS", "TOO-MANY-NOTIFICATIONS")


class Told(msgspec.Struct, frozen=True):
    """What became of one notification."""

    id: str
    recipient: str
    outcome: str
    """delivered, kept or refused."""
    text: str
    code: int = OK
    """The exit code that says so."""


class _Trouble(msgspec.Struct, frozen=True):
    text: str
    code: int
    reach: str
    """What it holds up: way, recipient, one; or none, then the notification itself is refused."""
    retry: int = 0
    unsure: bool = False


def kept_now(card: Card, to: str, route: Route) -> Kept:
    """A notification that is made now, and about to be sent."""
    from datetime import datetime

    now = _now()
    shown = now if card.at is None else max(now, round(datetime.fromisoformat(card.at).timestamp() * 1000))
    ttl = TTL if card.ttl is None else card.ttl
    return Kept(to=to, card=msgspec.structs.replace(card, ttl=ttl), route=route, made=now, ttl=ttl, shown=shown)


async def send_kept(spool: Spool, new: Mapping[str, Kept], patience: int) -> dict[str, Told]:
    """Send what waits; ``new`` are those just made, by name, which are tried at once. What became of each.

    ``patience`` is for how many seconds a server may be silent.

    Where another process has sent new ones meanwhile, it is told what that one learnt.
    """
    try:
        async with spool.sending(), AsyncExitStack() as stack:
            told = await _Sending(spool, new, patience, stack).send()
    except SpoolBusy as error:
        told = {name: _told(kept, "kept", str(error), TEMPORARY) for name in new if (kept := spool.read(name))}
    for name, kept in new.items():
        if name not in told:
            aside = spool.was_set_aside(name)
            told[name] = (
                _told(kept, "delivered", "Delivered")
                if aside is None
                else _told(kept, "refused", aside.why, aside.code)
            )
    return told


class _Sending:
    """One pass over the spool."""

    def __init__(self, spool: Spool, new: Mapping[str, Kept], patience: int, stack: AsyncExitStack) -> None:
        self._spool = spool
        self._new = new
        self._patience = patience
        self._stack = stack
        self._sessions: dict[tuple[Route, str], Client] = {}
        self._ways: dict[tuple[Route, str], _Trouble] = {}
        self._recipients: dict[tuple[Route, str], _Trouble] = {}

    async def send(self) -> dict[str, Told]:
        told = {}
        ways, recipients = set(map(_way, self._new.values())), {(one.route, one.to) for one in self._new.values()}
        for name in self._spool.names():
            kept = self._spool.read(name)
            if kept is None:
                told[name] = Told("", name, "refused", "Its file cannot be read", REFUSED)
                continue
            way, recipient = _way(kept), (kept.route, kept.to)
            now = _now()
            trouble = self._ways.get(way) or self._recipients.get(recipient)
            if kept.left(now) <= 0:
                over = _Trouble(f"Its time is over. {kept.why}".rstrip(), REFUSED, "none")
                told[name] = self._keep(name, kept, over, kept.unsure)
            elif trouble is not None:
                told[name] = _told(kept, "kept", trouble.text, trouble.code)
            elif not kept.is_due(now) and not (recipient in recipients or (kept.whole and way in ways)):
                held = _Trouble(kept.why, kept.code, "way" if kept.whole else "recipient")
                self._hold_up(kept, held)
                told[name] = _told(kept, "kept", kept.why, kept.code)
            else:
                told[name] = await self._send_one(name, kept)
        return told

    async def _send_one(self, name: str, kept: Kept) -> Told:
        unsure = kept.unsure and name not in self._new
        try:
            me = await self._session(kept)
            token = kept.route.token()
        except Exception as error:
            trouble = _trouble(error, connecting=True)
            if trouble is None:
                raise
            return self._keep(name, kept, trouble, unsure)
        if not kept.unsure:
            # It is known not to have arrived: what is left of its time may be said.
            card = msgspec.structs.replace(kept.card, ttl=kept.left(_now()))
            said = msgspec.structs.replace(kept, card=card, unsure=True)
            if self._note(name, said):  # else it goes in the words that are on disk, in which it may go again
                kept = said
        try:
            delivered = await in_time(kept.card.push(me, (kept.to,), token), self._patience)
        except Exception as error:
            trouble = _trouble(error, connecting=False)
            if trouble is None:
                raise
            return self._keep(name, kept, trouble, unsure or trouble.unsure)
        self._spool.done(name)
        (row,) = delivered.rows
        return _told(kept, "delivered", row.text or "Delivered")

    async def _session(self, kept: Kept) -> "Client":
        way = _way(kept)
        if way not in self._sessions:
            opening = self._stack.enter_async_context(kept.route.connect(kept.to))
            self._sessions[way] = await in_time(opening, self._patience)
        return self._sessions[way]

    def _keep(self, name: str, kept: Kept, trouble: _Trouble, unsure: bool) -> Told:
        """Note what stood in the way, and hold up what must wait for the same reason."""
        now = _now()
        wait = max(min(FIRST_WAIT << min(kept.tries, 10), LONGEST_WAIT), trouble.retry)
        kept = msgspec.structs.replace(
            kept,
            unsure=unsure,
            tries=kept.tries + 1,
            tried=now,
            wait=wait,
            whole=trouble.reach == "way",
            why=trouble.text,
            code=trouble.code,
        )
        if trouble.reach == "none":
            try:
                self._spool.set_aside(name, kept)
            except OSError:
                pass  # as long as the disk takes nothing it stays, and is refused again
            return _told(kept, "refused", trouble.text, trouble.code)
        self._note(name, kept)
        self._hold_up(kept, trouble)
        return _told(kept, "kept", trouble.text, trouble.code)

    def _note(self, name: str, kept: Kept) -> bool:
        """Note what is known of it now; a disk that is full keeps nothing from being sent."""
        try:
            self._spool.change(name, kept)
        except OSError:
            return False
        return True

    def _hold_up(self, kept: Kept, trouble: _Trouble) -> None:
        if trouble.reach == "way":
            self._ways[_way(kept)] = trouble
        elif trouble.reach == "recipient":
            self._recipients[kept.route, kept.to] = trouble


def _way(kept: Kept) -> tuple[Route, str]:
    """What shares a connection: a log-in, or a token, whose server is found by its owner."""
    return kept.route, kept.to if kept.route.token_file else ""


def _told(kept: Kept, outcome: str, text: str, code: int = OK) -> Told:
    return Told(str(kept.card.id), kept.to, outcome, text, code)


def _trouble(error: Exception, *, connecting: bool) -> _Trouble | None:
    """What an error means for what waits; None for what nobody foresaw."""
    from immpd.protocol.errors import Refused

    if isinstance(error, Refused):
        return _refusal(error, connecting)
    code = exit_code(error)
    if code is None:
        return None
    if isinstance(error, NotLoggedIn):
        code = NOT_LOGGED_IN
    return _Trouble(describe_error(error), code, "way", unsure=not connecting and not isinstance(error, NotLoggedIn))


def _refusal(error: "Refused", connecting: bool) -> _Trouble:
    from immpd.protocol.codes import Code

    text = describe_error(error)
    code = exit_code(error) or REFUSED
    if error.code is Code.INTERNAL:
        return _Trouble(text, TEMPORARY, "one", unsure=True)
    if code == TEMPORARY and error.word in _ONE_RECIPIENT:
        return _Trouble(text, code, "recipient", error.retry or 0)
    if code != REFUSED or connecting:
        return _Trouble(text, code, "way", error.retry or 0, unsure=code == NOT_REACHED and not connecting)
    return _Trouble(text, code, "none")


def _now() -> int:
    """Milliseconds UTC."""
    return time.time_ns() // 1_000_000
