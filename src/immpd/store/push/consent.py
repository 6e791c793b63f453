"""Who may send a person notifications: approvals, requests, tokens, grants, and what the person set.

Rules: what allows is looked at in one order, in the transaction that delivers, so that a grant is used
once and a stranger gets one notification through; nothing here raises a level (docs/protocol.md,
"Who may push").
"""

from typing import Literal

import msgspec

from immpd.model.notification import Level
from immpd.store.errors import Conflict, NotFound
from immpd.store.units import Tx, freeing_unit, read_unit, write_unit

from .due import set_timer

MAX_REQUESTS = 100
"""Strangers that may wait at one mailbox."""
MAX_TOKENS = 100
MAX_GRANTS = 1000
MAX_ORIGINS = 1000

Why = Literal["own", "subscribed", "approved", "token", "grant", "domain", "answer", "request"]
Refusal = Literal["declined", "no-subscription", "pending", "bad-grant", "too-many-requests"]


class TooMany(Conflict):
    """There are as many of these as a mailbox may have."""


class NameTaken(Conflict):
    """The mailbox has one of that name already."""


class NothingNamed(NotFound):
    """There is no token, grant, request or approval of that name."""


class Permit(msgspec.Struct, frozen=True):
    """It may come; ``cap``: no level above it."""

    why: Why
    cap: int


class Asking(msgspec.Struct, frozen=True):
    """Who asks to notify a mailbox."""

    origin: str
    sender: str
    author: int | None
    """The sender's own mailbox, where it is of this server."""
    token_of: int | None
    """The mailbox whose token it showed."""
    cap: int
    """Of its token."""
    publisher: tuple[int, str] | None = None
    """The sender is a node, in whose name this account (its number and address) notifies subscribers."""


class Asked(msgspec.Struct, frozen=True):
    """What a request is made of: its id, the title of what got through, and when; milliseconds UTC."""

    id: bytes
    title: str
    now: int


def standing_permit(tx: Tx, mailbox: int, domain: str, asking: Asking) -> Permit | Refusal | None:
    """What allows or refuses this sender at any time, in the protocol's order; None: nothing does."""
    said = {
        origin: (allowed, cap)
        for origin, allowed, cap in tx.rows(
            "SELECT origin, allowed, cap FROM push_allow WHERE mailbox = ? AND origin IN (?, ?)",
            (mailbox, asking.sender, asking.origin),
        )
    }
    decided = said.get(asking.sender) or said.get(asking.origin)
    if asking.token_of is not None:
        return Permit("token", asking.cap) if asking.token_of == mailbox else "declined"
    if asking.publisher is not None:
        if decided is not None and not decided[0]:
            return "declined"
        return _subscribed(tx, mailbox, asking.sender, said.get(asking.sender))
    if asking.author == mailbox:
        return Permit("own", Level.CRITICAL)
    if decided is not None:
        return Permit("approved", decided[1]) if decided[0] else "declined"
    return Permit("domain", Level.HIGH) if asking.origin == domain else None


def _subscribed(tx: Tx, mailbox: int, node: str, decided: tuple[int, int] | None) -> Permit | Refusal:
    """A node reaches who subscribes to it and nobody else; who wants no notifications of it is not disturbed."""
    row = tx.one(
        "SELECT s.muted OR s.form <> 'notification' FROM node n JOIN subscription s ON s.node = n.id"
        " WHERE n.imid = ? AND s.mailbox = ? AND s.state = 'active'",
        (node, mailbox),
    )
    if row is None:
        return "no-subscription"
    return Permit("subscribed", Level.SILENT if row[0] else Level.HIGH if decided is None else decided[1])


def use_grant(tx: Tx, mailbox: int, origin: str, code: str, now: int) -> Permit | Refusal:
    """Use a grant once, and bind it to the first domain that does."""
    row = tx.one(
        "UPDATE push_grant SET uses = uses - 1, domain = ? WHERE mailbox = ? AND code = ? AND uses > 0"
        " AND domain IN ('', ?) AND (until IS NULL OR until > ?) RETURNING uses",
        (origin, mailbox, code, origin, now),
    )
    return "bad-grant" if row is None else Permit("grant", Level.HIGH)


def ask(tx: Tx, mailbox: int, asking: Asking, asked: Asked) -> Permit | Refusal:
    """A stranger: one gets through and is the request, until it is answered."""
    waiting = tx.rows("SELECT origin FROM push_request WHERE mailbox = ?", (mailbox,))
    if (asking.origin,) in waiting:
        return "pending"
    if len(waiting) >= MAX_REQUESTS:
        return "too-many-requests"
    tx.execute(
        "INSERT INTO push_request (mailbox, origin, id, sender, title, since) VALUES (?, ?, ?, ?, ?, ?)",
        (mailbox, asking.origin, asked.id, asking.sender, asked.title, asked.now),
    )
    return Permit("request", Level.NORMAL)


def settings_of(tx: Tx, mailbox: int) -> dict[str, str]:
    """What the person set about notifications."""
    return dict(tx.rows("SELECT name, value FROM setting WHERE mailbox = ? AND name LIKE 'push.%'", (mailbox,)))


# --- approvals


class Allow(msgspec.Struct, frozen=True):
    """Arguments of ``allow``: a domain or a sender's IMID; ``allowed`` False declines it."""

    mailbox: int
    origin: str
    allowed: bool
    cap: int
    now: int


class Origin(msgspec.Struct, frozen=True):
    """An origin and what was decided about it."""

    origin: str
    allowed: bool
    cap: int
    since: int


class OfMailbox(msgspec.Struct, frozen=True):
    """Arguments of the lists: whose."""

    mailbox: int


class Named(msgspec.Struct, frozen=True):
    """Arguments of the removals: whose, and its name, code or origin."""

    mailbox: int
    name: str


@write_unit
def allow(tx: Tx, args: Allow) -> None:
    """Approve or decline an origin; its request is answered by it. Raises TooMany."""
    others = tx.one("SELECT count(*) FROM push_allow WHERE mailbox = ? AND origin != ?", (args.mailbox, args.origin))
    if others is not None and others[0] >= MAX_ORIGINS:
        raise TooMany
    tx.execute(
        "INSERT INTO push_allow (mailbox, origin, allowed, cap, since) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (mailbox, origin) DO UPDATE SET allowed = excluded.allowed, cap = excluded.cap",
        (args.mailbox, args.origin, args.allowed, args.cap, args.now),
    )
    tx.execute("DELETE FROM push_request WHERE mailbox = ? AND origin = ?", (args.mailbox, args.origin))


@freeing_unit
def forget_origin(tx: Tx, args: Named) -> None:
    """Take a decision back. Raises NothingNamed."""
    if not tx.rows(
        "DELETE FROM push_allow WHERE mailbox = ? AND origin = ? RETURNING origin", (args.mailbox, args.name)
    ):
        raise NothingNamed


@read_unit
def origins(tx: Tx, args: OfMailbox) -> list[Origin]:
    """All decisions, by origin."""
    return [
        Origin(origin, bool(allowed), cap, since)
        for origin, allowed, cap, since in tx.rows(
            "SELECT origin, allowed, cap, since FROM push_allow WHERE mailbox = ? ORDER BY origin", (args.mailbox,)
        )
    ]


# --- requests


class PushRequest(msgspec.Struct, frozen=True):
    """A stranger domain that waits for an answer."""

    id: bytes
    origin: str
    sender: str
    title: str
    since: int


class AnswerRequest(msgspec.Struct, frozen=True):
    """Arguments of ``answer_request``."""

    mailbox: int
    id: bytes
    accepted: bool
    now: int


@read_unit
def requests(tx: Tx, args: OfMailbox) -> list[PushRequest]:
    """Who waits, the oldest first."""
    return [
        PushRequest(*row)
        for row in tx.rows(
            "SELECT id, origin, sender, title, since FROM push_request WHERE mailbox = ? ORDER BY since, origin",
            (args.mailbox,),
        )
    ]


@write_unit
def answer_request(tx: Tx, args: AnswerRequest) -> str:
    """Accept or decline a domain; returns which. Raises NothingNamed, TooMany."""
    row = tx.one("SELECT origin FROM push_request WHERE mailbox = ? AND id = ?", (args.mailbox, args.id))
    if row is None:
        raise NothingNamed
    origin: str = row[0]
    allow.run(tx, Allow(args.mailbox, origin, args.accepted, Level.HIGH, args.now))
    return origin


# --- tokens


class NewToken(msgspec.Struct, frozen=True):
    """Arguments of ``add_token``. ``hash``: SHA-256 of the secret half; ``every``: seconds, 0 for no promise."""

    mailbox: int
    name: str
    public: bytes
    hash: bytes
    cap: int
    every: int
    now: int


class Token(msgspec.Struct, frozen=True):
    """A token without its secret."""

    id: int
    mailbox: int
    name: str
    hash: bytes
    cap: int
    every: int
    created: int
    used: int | None
    address: str
    """Whose it is."""
    disabled: bool
    public: bytes
    """The half that names it."""


class FindToken(msgspec.Struct, frozen=True):
    """Arguments of ``find_token``: the public half."""

    public: bytes


_COLUMNS = (
    "SELECT t.id, t.mailbox, t.name, t.hash, t.cap, t.every, t.created, t.used, a.address, a.disabled,"
    " t.public"
    " FROM push_token t JOIN account a ON a.mailbox = t.mailbox"
)


@write_unit
def add_token(tx: Tx, args: NewToken) -> None:
    """Keep a new token. Raises TooMany, NameTaken."""
    names = tx.rows("SELECT name FROM push_token WHERE mailbox = ?", (args.mailbox,))
    if len(names) >= MAX_TOKENS:
        raise TooMany
    if (args.name,) in names:
        raise NameTaken
    made = tx.one(
        "INSERT INTO push_token (mailbox, name, public, hash, cap, every, created) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " RETURNING id",
        (args.mailbox, args.name, args.public, args.hash, args.cap, args.every, args.now),
    )
    if args.every and made is not None:
        set_timer(tx, args.now + args.every * 1000, "silence", made[0])


@read_unit
def find_token(tx: Tx, args: FindToken) -> Token | None:
    """The token that this half names, or None."""
    row = tx.one(_COLUMNS + " WHERE t.public = ?", (args.public,))
    return None if row is None else Token(*row)


@read_unit
def tokens(tx: Tx, args: OfMailbox) -> list[Token]:
    """All of a mailbox, by name."""
    return [Token(*row) for row in tx.rows(_COLUMNS + " WHERE t.mailbox = ? ORDER BY t.name", (args.mailbox,))]


@freeing_unit
def remove_token(tx: Tx, args: Named) -> None:
    """It can do nothing from now on. Raises NothingNamed."""
    if not tx.rows("DELETE FROM push_token WHERE mailbox = ? AND name = ? RETURNING id", (args.mailbox, args.name)):
        raise NothingNamed


def names_of_tokens(tx: Tx, mailbox: int) -> tuple[str, ...]:
    """What a mailbox calls its tokens."""
    return tuple(row[0] for row in tx.rows("SELECT name FROM push_token WHERE mailbox = ? ORDER BY name", (mailbox,)))


def remove_tokens(tx: Tx, mailbox: int) -> None:
    """None of a mailbox's tokens, of which there are at most MAX_TOKENS, can do anything from now on."""
    tx.execute("DELETE FROM push_token WHERE mailbox = ?", (mailbox,))


# --- grants


class NewGrant(msgspec.Struct, frozen=True):
    """Arguments of ``add_grant``. ``domain`` empty: the first that uses it; ``until``: milliseconds UTC."""

    mailbox: int
    code: str
    domain: str
    uses: int
    until: int | None
    now: int


class Grant(msgspec.Struct, frozen=True):
    """A grant and what is left of it."""

    code: str
    domain: str
    uses: int
    until: int | None
    created: int


@write_unit
def add_grant(tx: Tx, args: NewGrant) -> None:
    """Keep a new grant; those that are used up or over go. Raises TooMany."""
    tx.execute(
        "DELETE FROM push_grant WHERE mailbox = ? AND (uses = 0 OR (until IS NOT NULL AND until <= ?))",
        (args.mailbox, args.now),
    )
    count = tx.one("SELECT count(*) FROM push_grant WHERE mailbox = ?", (args.mailbox,))
    if count is not None and count[0] >= MAX_GRANTS:
        raise TooMany
    tx.execute(
        "INSERT INTO push_grant (mailbox, code, domain, uses, until, created) VALUES (?, ?, ?, ?, ?, ?)",
        (args.mailbox, args.code, args.domain, args.uses, args.until, args.now),
    )


@read_unit
def grants(tx: Tx, args: OfMailbox) -> list[Grant]:
    """Those that can still be used, the newest first, and those that were not cleared away yet."""
    return [
        Grant(*row)
        for row in tx.rows(
            "SELECT code, domain, uses, until, created FROM push_grant WHERE mailbox = ? ORDER BY created DESC, code",
            (args.mailbox,),
        )
    ]


@freeing_unit
def remove_grant(tx: Tx, args: Named) -> None:
    """It opens nothing from now on. Raises NothingNamed."""
    if not tx.rows("DELETE FROM push_grant WHERE mailbox = ? AND code = ? RETURNING code", (args.mailbox, args.name)):
        raise NothingNamed


# --- what a person set


class SetSetting(msgspec.Struct, frozen=True):
    """Arguments of ``set_setting``; an empty value takes it back."""

    mailbox: int
    name: str
    value: str


@write_unit
def set_setting(tx: Tx, args: SetSetting) -> None:
    """Keep a setting."""
    if args.value:
        tx.execute(
            "INSERT INTO setting (mailbox, name, value) VALUES (?, ?, ?)"
            " ON CONFLICT (mailbox, name) DO UPDATE SET value = excluded.value",
            (args.mailbox, args.name, args.value),
        )
    else:
        tx.execute("DELETE FROM setting WHERE mailbox = ? AND name = ?", (args.mailbox, args.name))


@read_unit
def settings(tx: Tx, args: OfMailbox) -> dict[str, str]:
    """All that was set."""
    return dict(tx.rows("SELECT name, value FROM setting WHERE mailbox = ? ORDER BY name", (args.mailbox,)))
