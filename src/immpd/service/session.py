"""One session with the system, whoever holds it: a connection, a command of the operator, a test.

Rules: everything that a session remembers between commands is here; ``begin`` never touches a
connection; what is wrong comes out as ``Refused``; store errors get their protocol words in one
place (docs/protocol.md, "Sessions").
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakValueDictionary

import msgspec

from immpd.bus import Bus
from immpd.model.flags import MAX_KEYWORDS
from immpd.protocol.capabilities import CAPABILITIES
from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
from immpd.protocol.lines import Words
from immpd.protocol.registry import Request
from immpd.protocol.replies import Capabilities, Reply
from immpd.protocol.states import State
from immpd.store import errors as store_errors
from immpd.store.contract import Store
from immpd.store.push import consent, notifications
from immpd.store.units import Work

from .id_maker import IdMaker
from .outcome import Outcome, Page, Rows, Step, Wait
from .ports import Clock, Log, Randomness
from .principal import NOBODY, OPERATOR
from .settings import Authentication, Limits

if TYPE_CHECKING:
    from immpd.service.acceptance import Stage
    from immpd.service.accounts.auth import AuthDesk, Exchange
    from immpd.service.accounts.open_sessions import OpenSessions
    from immpd.service.feeds.cursors import ItemCursors
    from immpd.service.feeds.events import HintEvents
    from immpd.service.mail.drafts import Drafts
    from immpd.store.integrity.damage import Damage
    from immpd.store.mail.bodies import BodyFiles
    from immpd.store.room import Room

    from .bulk import BulkQueue
    from .pacing import Pace
    from .routing import Routes

R = TypeVar("R", bound=Reply)


class FolderPaths(dict[int, str]):
    """Paths of a mailbox's folders by number; never changed, so that all its watches share one."""


class Services(msgspec.Struct, kw_only=True, gc=False):
    """What all sessions of a server share."""

    store: Store
    bodies: "BodyFiles"
    room: "Room"
    damage: "Damage"
    bus: Bus
    clock: Clock
    random: Randomness
    ids: IdMaker
    domains: frozenset[str]
    routes: "Routes"
    limits: Limits
    authentication: Authentication
    desk: "AuthDesk"
    pace: "Pace"
    bulk: "BulkQueue"
    large: "BulkQueue"
    """Of large messages that are rendered, which takes some times their size."""
    writing: Counter[int]
    """By mailbox, how many files of parts are being written."""
    cursors: "ItemCursors"
    hint_events: "HintEvents"
    log: Log
    rendering: Executor
    """One thread for what would hold up the loop."""
    folder_paths: WeakValueDictionary[int, FolderPaths] = msgspec.field(default_factory=WeakValueDictionary)
    """By mailbox, what its watches know of its folders: long names of many folders are there once."""
    sessions: "OpenSessions"
    stages: Mapping[str, "Stage"] = {}
    """By name, what is asked of each message before it is stored, in this order (acceptance.py)."""


class Connected(Protocol):
    """The connection of a session."""

    seen: float
    """Monotonic seconds: when something of the client came last."""

    def end(self, error: Refused) -> None:
        """Say why, and hang up."""


class Session:
    """One session: who acts, what it has open."""

    __slots__ = (
        "authenticated_at",
        "channel_binding",
        "closed",
        "connection",
        "domain",
        "drafts",
        "exchange",
        "failures",
        "id",
        "peer",
        "principal",
        "services",
        "since",
        "state",
    )

    def __init__(
        self, services: Services, state: State, *, peer: str = "", channel_binding: bytes | None = None
    ) -> None:
        self.services = services
        self.state = state
        self.peer = peer
        """Address of the other side, for delays and the log."""
        self.channel_binding = channel_binding
        """tls-server-end-point data, None outside TLS (RFC 5929)."""
        self.connection: Connected | None = None
        """The connection that it has with a client; a caller inside the process has none."""
        self.domain = ""
        """The served domain that the client asked for by SNI."""
        self.principal = OPERATOR if state is State.OPERATOR else NOBODY
        """Who acts."""
        self.authenticated_at = 0.0
        """Monotonic seconds of the last log-in."""
        self.id = b""
        """What SESSION LIST calls it: a version-7 UUID, from the log-in on."""
        self.since = 0
        """When it logged in, milliseconds UTC."""
        self.exchange: Exchange | None = None
        """A challenge that waits for AUTH RESPONSE."""
        self.failures = 0
        self.drafts: Drafts | None = None
        """Messages being sent, made with the first one."""
        self.closed = False
        """Nobody hears any more what it is answered."""

    def arrive(self, pid: str | None, request: Request[Any]) -> Any:
        """What must happen when a line is read, before its turn: open messages and the order of parts."""
        on_arrival = ARRIVALS.get(type(request))
        return None if on_arrival is None else on_arrival(self, pid, request)

    def begin(self, request: Request[Any], attached: Any = None) -> Outcome:
        """Start a command; raises ``Refused``."""
        return HANDLERS[type(request)](self, request, attached)

    async def call(self, request: Request[R]) -> R:
        """Run one command to its reply, for callers inside the process; raises ``Refused``."""
        outcome = self.begin(request, self.arrive(None, request))
        rows: list[Words] = []
        while not isinstance(outcome, Reply):
            if isinstance(outcome, Step):
                step = outcome
                store = self.services.store
                try:
                    result = await (store.write if step.unit.work.writes else store.read)(step.unit)
                except store_errors.StoreError as error:
                    if step.failed is None:
                        raise refusal_of(error) from error
                    outcome = step.failed(error)
                else:
                    outcome = step.then(result)
            elif isinstance(outcome, Page):
                outcome = outcome.then()
            elif isinstance(outcome, Rows):
                rows += outcome.rows
                outcome = outcome.then()
            elif isinstance(outcome, Wait):
                raise TypeError("a watch has no single reply")
            else:
                outcome = await asyncio.ensure_future(outcome)
        return outcome.preceded(rows)  # type: ignore[return-value] # the registry ties a request to its reply

    def close(self) -> None:
        """Drop what is unfinished."""
        self.closed = True
        if self.drafts is not None:
            self.drafts.close()


Handler = Callable[[Session, Any, Any], Outcome]
Arrival = Callable[[Session, str | None, Any], Any]

HANDLERS: dict[type[Request[Any]], Handler] = {}
ARRIVALS: dict[type[Request[Any]], Arrival] = {}
H = TypeVar("H", bound=Handler)
A = TypeVar("A", bound=Arrival)


def handles(*requests: type[Request[Any]]) -> Callable[[H], H]:
    """Register the decorated function as the handler of these commands."""

    def register(handler: H) -> H:
        for request in requests:
            if request in HANDLERS:
                raise ValueError(f"{request.__name__} has a handler already")
            HANDLERS[request] = handler
        return handler

    return register


def on_arrival(*requests: type[Request[Any]]) -> Callable[[A], A]:
    """Register what happens when these commands are read."""

    def register(arrival: A) -> A:
        for request in requests:
            ARRIVALS[request] = arrival
        return arrival

    return register


def check_room(store: Store, work: Work[Any, Any]) -> None:
    """Before octets come that a unit of this work is to keep: raises Refused where it would be refused now."""
    against = store.reason_against(work)
    if against is not None:
        raise refusal_of(against)


def refusal_of(error: BaseException) -> Refused:
    """The protocol's words for an error of the store."""
    for kind, code, word, text, retry in _STORE_WORDS:
        if isinstance(error, kind):
            return Refused(code, word, text, retry)
    raise error


_STORE_WORDS: tuple[tuple[type[BaseException], Code, str, str, int | None], ...] = (
    (
        store_errors.StoreFull,
        Code.TEMPORARY,
        "STORE-FULL",
        "There is no room on the server's disk: its operator has to make some; MBOX DELETE +PURGE makes a little",
        60,
    ),
    (
        store_errors.StoreReadOnly,
        Code.TEMPORARY,
        "STORE-READ-ONLY",
        "The server's disk can only be read now, and its operator has to see to it; reading goes on",
        60,
    ),
    (
        store_errors.WritingEnded,
        Code.TEMPORARY,
        "STORE-DAMAGED",
        "The server's store is damaged and only read; its operator has to repair it",
        3600,
    ),
    (
        store_errors.StoreDamaged,
        Code.INTERNAL,
        "STORE-DAMAGED",
        "What this needs is damaged on the server's disk; its operator is told",
        None,
    ),
    (store_errors.StoreUnavailable, Code.TEMPORARY, "STORE-UNAVAILABLE", "The store cannot be reached now", 10),
    (store_errors.NoAccount, Code.NOT_FOUND, "NO-ACCOUNT", "There is no such account", None),
    (store_errors.NoMailbox, Code.NOT_FOUND, "NO-ACCOUNT", "The account is no longer there", None),
    (store_errors.NoFolder, Code.NOT_FOUND, "NO-FOLDER", "There is no such folder; MBOX LIST shows them", None),
    (store_errors.NoMessage, Code.NOT_FOUND, "NO-MESSAGE", "There is no such message in this folder", None),
    (store_errors.AccountExists, Code.CONFLICT, "EXISTS", "There is such an account already", None),
    (
        store_errors.AddressRetired,
        Code.CONFLICT,
        "REMOVED",
        "An account of this name was removed; its address is not given again",
        None,
    ),
    (store_errors.AddressConfusable, Code.CONFLICT, "CONFUSABLE", "The name looks like that of another account", None),
    (store_errors.FolderExists, Code.CONFLICT, "EXISTS", "There is such a folder already", None),
    (
        store_errors.FolderNotEmpty,
        Code.CONFLICT,
        "NOT-EMPTY",
        "The folder is not empty; +RECURSIVE removes it all",
        None,
    ),
    (
        store_errors.FolderSpecial,
        Code.CONFLICT,
        "SPECIAL-FOLDER",
        "This folder belongs to every mailbox and stays",
        None,
    ),
    (
        store_errors.StateAhead,
        Code.BAD_VALUE,
        "BAD-STATE",
        "Nothing has come as far as this cursor yet; acknowledge one that was shown",
        None,
    ),
    (
        store_errors.StateGone,
        Code.CONFLICT,
        "STATE-GONE",
        "Changes since that state are no longer known; list again",
        None,
    ),
    (notifications.Ended, Code.CONFLICT, "ENDED", "It has been answered or has ended", None),
    (
        notifications.NoNotification,
        Code.NOT_FOUND,
        "NO-NOTIFICATION",
        "There is no such notification; PUSH LIST shows them",
        None,
    ),
    (notifications.NoAction, Code.NOT_FOUND, "NO-ACTION", "It has no such button to answer; PUSH SHOW tells", None),
    (consent.NothingNamed, Code.NOT_FOUND, "NOTHING-NAMED", "There is nothing of that name here", None),
    (consent.NameTaken, Code.CONFLICT, "EXISTS", "There is one of that name already", None),
    (consent.TooMany, Code.LIMIT, "TOO-MANY", "There are as many as there may be; remove some", None),
    (store_errors.TooMuch, Code.LIMIT, "TOO-MUCH", "Too many folders lie below it; begin with those", None),
    (
        store_errors.TooManyKeywords,
        Code.LIMIT,
        "TOO-MANY-KEYWORDS",
        f"A message has at most {MAX_KEYWORDS} keywords; what was changed before it stays so",
        None,
    ),
    (store_errors.NoNode, Code.NOT_FOUND, "NO-NODE", "There is no such node", None),
    (store_errors.NoItem, Code.NOT_FOUND, "NO-ITEM", "The node has no such item", None),
    (store_errors.NoSubscription, Code.NOT_FOUND, "NO-SUBSCRIPTION", "There is no such subscription", None),
    (store_errors.NodeExists, Code.CONFLICT, "EXISTS", "There is a node or an account of that name already", None),
    (store_errors.NodeOfAnother, Code.BAD_VALUE, "BAD-NODE", "The name lies under that of another account", None),
    (
        store_errors.NodesUnderName,
        Code.CONFLICT,
        "EXISTS",
        "Nodes of another account lie under this name; their owner must remove them first",
        None,
    ),
    (store_errors.NotOwner, Code.DENIED, "NOT-OWNER", "The node belongs to somebody else", None),
    (store_errors.NotPublisher, Code.DENIED, "NOT-PUBLISHER", "You have no right to publish on this node", None),
    (store_errors.IdReused, Code.CONFLICT, "ID-REUSED", "This ID was used for another item of this node", None),
    (store_errors.FeedsFull, Code.LIMIT, "TOO-MANY-FEEDS", "There are as many already as there may be", None),
    (
        store_errors.FanOutRunning,
        Code.TEMPORARY,
        "BEING-DELIVERED",
        "An item is just on its way to you as a message",
        5,
    ),
)


def capabilities(session: Session) -> Capabilities:
    """What the greeting and CAPS say in the session's state (docs/protocol.md, "Greeting")."""
    services = session.services
    mechanisms = ["SCRAM-SHA-256-PLUS"] if session.channel_binding is not None else []
    mechanisms.append("SCRAM-SHA-256")
    if services.authentication.secret:
        mechanisms.append("SECRET")
    return Capabilities(
        d=session.domain or min(services.domains),
        auth=tuple(mechanisms),
        cb="tls-server-end-point" if session.channel_binding is not None else "",
        caps=tuple(CAPABILITIES),
        max_message=services.limits.max_message,
        max_to=services.limits.max_recipients,
    )
