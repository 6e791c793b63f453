"""What a person decided of senders, handed out and set: approvals, answers to requests, tokens, grants, settings.

Rules: all of it is of one mailbox and bounded; a token's secret is kept as a hash; what comes of it is decided where a
notification is put (admission.py; docs/protocol.md, "Who may push").
"""

import msgspec

from immpd.model.notification import Level
from immpd.store.errors import Conflict, NotFound
from immpd.store.units import Tx, freeing_unit, read_unit, write_unit

from .schedule import set_timer

MAX_TOKENS = 100
MAX_GRANTS = 1000
MAX_ORIGINS = 1000


class TooMany(Conflict):
    """There are as many of these as a mailbox may have."""


class NameTaken(Conflict):
    """The mailbox has one of that name already."""


class NothingNamed(NotFound):
    """There is no token, grant, request or approval of that name."""


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
