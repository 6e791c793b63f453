# ruff: noqa: S608  (SQL is put together from constants of this module only)
"""Accounts: a login and its primary mailbox with the six folders that every mailbox has.

Rules: an address is unique, and so is its skeleton within the domain (UTS 39: no two names that
look alike); passwords are never here, only what RFC 5802 lets a server keep and, where AUTH
SECRET is on, h sealed under a key outside the database (docs/protocol.md, "Authentication").
"""

from typing import Any

import msgspec

from immpd.model.news import SessionsEnd
from immpd.store.errors import AccountExists, AddressConfusable, AddressRetired, NoAccount, NodesUnderName
from immpd.store.feeds.nodes import ByNode, is_there_for, node_by_imid
from immpd.store.mail.folder_rows import add_folders
from immpd.store.push.consent import names_of_tokens, remove_tokens
from immpd.store.units import Row, Tx, read_unit, write_unit

ROLES = ("inbox", "drafts", "sent", "junk", "trash", "archive")
"""The six folders of every mailbox, in the order in which they are made and listed."""


class Account(msgspec.Struct, frozen=True):
    """An account as stored."""

    id: int
    address: str
    """Canonical IMID."""
    domain: str
    local: str
    skeleton: str
    mailbox: int
    disabled: bool
    created: int
    """Milliseconds UTC."""
    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes
    sealed: bytes | None


class NewAccount(msgspec.Struct, frozen=True):
    """Arguments of ``add_account``."""

    address: str
    domain: str
    local: str
    skeleton: str
    created: int
    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes
    folders: tuple[bytes, ...]
    """Six new UUIDs, for INBOX, DRAFTS, SENT, JUNK, TRASH and ARCHIVE."""
    sealed: bytes | None = None


class ByAddress(msgspec.Struct, frozen=True):
    """Arguments of ``account_by_address``."""

    address: str


class LogIn(msgspec.Struct, frozen=True):
    """Arguments of ``account_for_login``; ``place``: 16 octets, where among the salts an unknown name stands."""

    address: str
    place: bytes


class Found(msgspec.Struct, frozen=True):
    """What a log-in is judged by; always made of one account, so that every name costs the same."""

    account: Account
    """The account; of an unknown name another one, always the same as long as that stays."""
    is_named: bool
    """Whether it is the one that was named."""


class ListAccounts(msgspec.Struct, frozen=True):
    """Arguments of ``list_accounts``: those of ``domain`` (None: all) whose address sorts after ``after``."""

    domain: str | None = None
    after: str = ""
    limit: int = 200


class SetVerifier(msgspec.Struct, frozen=True):
    """Arguments of ``set_verifier``."""

    address: str
    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes
    sealed: bytes | None = None
    remove_tokens: bool = False
    """The mailbox's push tokens can do nothing from now on."""
    ends_sessions: bool = False
    """All sessions of the account end, but this one."""
    but: bytes | None = None


class VerifierSet(msgspec.Struct, frozen=True):
    """An account that has another verifier, and the names of the push tokens that it still has."""

    account: Account
    tokens: tuple[str, ...]


class SetDisabled(msgspec.Struct, frozen=True):
    """Arguments of ``set_disabled``."""

    address: str
    disabled: bool


class FindRecipient(msgspec.Struct, frozen=True):
    """Arguments of ``recipient``: an address and, where it named one, the folder's key (``names.folder_key``)."""

    address: str
    folder: str = ""


class Recipient(msgspec.Struct, frozen=True):
    """What a delivery has to know of a mailbox."""

    mailbox: int
    disabled: bool
    inbox: int
    sent: int
    folder: int
    """The folder named, 0 if none was or there is no such folder."""
    folder_role: str | None


_COLUMNS = (
    "id, address, domain, local, skeleton, mailbox, disabled, created, salt, iterations, stored_key, server_key, sealed"
)


def _account(row: Row) -> Account:
    values: list[Any] = list(row)
    values[6] = bool(values[6])
    return Account(*values)


@write_unit
def add_account(tx: Tx, args: NewAccount) -> Account:
    """Make an account, its mailbox and its six folders.

    Raises AccountExists (also for a node), AddressRetired, NodesUnderName and AddressConfusable.
    """
    retired = "SELECT 1 FROM account WHERE address = :address AND removed IS NOT NULL"
    if tx.one(retired, {"address": args.address}) is not None:
        raise AddressRetired(args.address)
    if tx.one("SELECT 1 FROM mailbox WHERE address = :address", {"address": args.address}) is not None:
        raise AccountExists(args.address)
    if tx.one("SELECT 1 FROM node WHERE imid = :address", {"address": args.address}) is not None:
        raise AccountExists(args.address)
    # Who lies between has the nodes under it already; "0" is the character after "/".
    below = {"from": f"{args.local}/", "to": f"{args.local}0", "at": f"@{args.domain}", "length": len(args.local)}
    under = tx.one(
        "SELECT 1 FROM node n JOIN account a ON a.id = n.owner WHERE n.imid > :from AND n.imid < :to"
        " AND substr(n.imid, length(n.imid) - length(:at) + 1) = :at AND length(a.local) < :length LIMIT 1",
        below,
    )
    if under is not None:
        raise NodesUnderName(args.address)
    twin = tx.one(
        "SELECT address FROM account WHERE domain = :domain AND skeleton = :skeleton",
        {"domain": args.domain, "skeleton": args.skeleton},
    )
    if twin is not None:
        raise AddressConfusable(twin[0])
    mailbox = make_mailbox(tx, "account", args.address, args.folders)
    rows = tx.rows(
        "INSERT INTO account (address, domain, local, skeleton, mailbox, created,"
        " salt, iterations, stored_key, server_key, sealed)"
        " VALUES (:address, :domain, :local, :skeleton, :mailbox, :created,"
        f" :salt, :iterations, :stored_key, :server_key, :sealed) RETURNING {_COLUMNS}",
        {
            "address": args.address,
            "domain": args.domain,
            "local": args.local,
            "skeleton": args.skeleton,
            "mailbox": mailbox,
            "created": args.created,
            "salt": args.salt,
            "iterations": args.iterations,
            "stored_key": args.stored_key,
            "server_key": args.server_key,
            "sealed": args.sealed,
        },
    )
    return _account(rows[0])


def make_mailbox(tx: Tx, kind: str, address: str, uuids: tuple[bytes, ...]) -> int:
    """Make a mailbox with its six folders, named by ``uuids`` in the order of ROLES; return its key."""
    made = tx.rows(
        "INSERT INTO mailbox (kind, address) VALUES (:kind, :address) RETURNING id", {"kind": kind, "address": address}
    )
    mailbox = int(made[0][0])
    tx.execute("INSERT INTO mailbox_state (mailbox) VALUES (?)", (mailbox,))
    named = [(uuid, f"/{role.upper()}", role) for role, uuid in zip(ROLES, uuids, strict=True)]
    add_folders(tx, mailbox, named)
    return mailbox


@read_unit
def account_by_address(tx: Tx, args: ByAddress) -> Account | None:
    """The account of a canonical address, or None."""
    row = tx.one(
        f"SELECT {_COLUMNS} FROM account WHERE address = :address AND removed IS NULL", {"address": args.address}
    )
    return None if row is None else _account(row)


_NOBODY = Account(0, "", "", "", "", 0, True, 0, b"", 0, b"", b"", None)
"""What there is to find where there is no account at all."""


_NEAR = (
    "SELECT id, address FROM account WHERE id = coalesce((SELECT id FROM account WHERE salt >= :place ORDER BY salt"
    " LIMIT 1), (SELECT id FROM account ORDER BY salt LIMIT 1))"
)
_NAMED = "SELECT id FROM account WHERE address = :address"


@read_unit
def account_for_login(tx: Tx, args: LogIn) -> Found:
    """The account of a canonical address, else another one; the same is read for every name, and as much.

    To find a name takes longer than not to find it: so one is found and one is not, whatever the name is.
    """
    near = tx.one(_NEAR, {"place": args.place}) or (0, "")
    named = tx.one(_NAMED, {"address": args.address})
    other = tx.one(_NAMED, {"address": near[1] if named is None else f"{args.address}."})
    (id_,) = named or other or (0,)
    row = tx.one(f"SELECT {_COLUMNS} FROM account WHERE id = :id", {"id": id_})
    account = _NOBODY if row is None else _account(row)
    return Found(account, account.address == args.address)


@read_unit
def list_accounts(tx: Tx, args: ListAccounts) -> list[Account]:
    """A page of accounts, by address."""
    return [
        _account(row)
        for row in tx.rows(
            f"SELECT {_COLUMNS} FROM account WHERE address > :after AND removed IS NULL"
            " AND (:domain IS NULL OR domain = :domain) ORDER BY address LIMIT :limit",
            {"after": args.after, "domain": args.domain, "limit": args.limit},
        )
    ]


@write_unit
def set_verifier(tx: Tx, args: SetVerifier) -> VerifierSet:
    """Replace what a password is checked against; the push tokens go or stay. Raises NoAccount."""
    row = tx.one(
        "UPDATE account SET salt = :salt, iterations = :iterations, stored_key = :stored_key,"
        " server_key = :server_key, sealed = :sealed"
        f" WHERE address = :address AND removed IS NULL RETURNING {_COLUMNS}",
        {
            "address": args.address,
            "salt": args.salt,
            "iterations": args.iterations,
            "stored_key": args.stored_key,
            "server_key": args.server_key,
            "sealed": args.sealed,
        },
    )
    if row is None:
        raise NoAccount(args.address)
    account = _account(row)
    if args.remove_tokens:
        remove_tokens(tx, account.mailbox)
    if args.ends_sessions:
        tx.tell(SessionsEnd(args.address, "password", but=args.but))
    return VerifierSet(account, names_of_tokens(tx, account.mailbox))


@write_unit
def set_disabled(tx: Tx, args: SetDisabled) -> Account:
    """Disable or enable an account: disabled, it can neither log in nor receive, and its sessions end.

    Raises NoAccount.
    """
    row = tx.one(
        f"UPDATE account SET disabled = :disabled WHERE address = :address AND removed IS NULL RETURNING {_COLUMNS}",
        {"address": args.address, "disabled": int(args.disabled)},
    )
    if row is None:
        raise NoAccount(args.address)
    account = _account(row)
    tx.execute("UPDATE mailbox_state SET closed = ? WHERE mailbox = ?", (int(args.disabled), account.mailbox))
    if args.disabled:
        tx.tell(SessionsEnd(account.address, "disabled"))
    return account


@read_unit
def recipient(tx: Tx, args: FindRecipient) -> Recipient | None:
    """What a delivery to this address needs, or None if there is no such account."""
    rows = tx.rows(
        "SELECT a.mailbox, a.disabled, f.id, f.role, f.key FROM account a JOIN folder f ON f.mailbox = a.mailbox"
        " WHERE a.address = :address AND a.removed IS NULL AND f.key IN ('/inbox', '/sent', :key)",
        {"address": args.address, "key": args.folder},
    )
    if not rows:
        return None
    by_key = {row[4]: row for row in rows}
    named = by_key.get(args.folder)
    mailbox, disabled, inbox, _, _ = by_key["/inbox"]
    return Recipient(
        mailbox,
        bool(disabled),
        inbox,
        by_key["/sent"][2],
        0 if named is None else named[2],
        None if named is None else named[3],
    )


class MailingList(msgspec.Struct, frozen=True):
    """A node that takes messages: delivering to it publishes."""

    imid: str


class FindRecipients(msgspec.Struct, frozen=True):
    """Arguments of ``find_recipients``."""

    wanted: tuple[FindRecipient, ...]
    account: int
    """Who asks."""


@read_unit
def find_recipients(tx: Tx, args: FindRecipients) -> tuple[Recipient | MailingList | None, ...]:
    """``recipient`` for several addresses, in their order; also mailing lists."""
    return tuple([recipient.run(tx, wanted) or _mailing_list(tx, wanted, args.account) for wanted in args.wanted])


def _mailing_list(tx: Tx, wanted: FindRecipient, account: int) -> MailingList | None:
    """The list of that name, where it is there for the account; one has a slash in it."""
    if "/" not in wanted.address or wanted.folder:
        return None
    node = node_by_imid.run(tx, ByNode(wanted.address))
    there = node is not None and node.list and is_there_for(tx, node, account)
    return MailingList(wanted.address) if there else None
