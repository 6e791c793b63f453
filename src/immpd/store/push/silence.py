"""Sources that promised a sign of life and gave none: the owner of a token and the subscribers of a node are told.

Rules: told once, until the source speaks again; what is told is a notification or an item like others, so it is
durable and reaches every device (docs/protocol.md, "Rules of the recipient").
"""

from immpd.model.notification import Level
from immpd.store.feeds.items import say_silent
from immpd.store.feeds.nodes import node_by_id
from immpd.store.mail.states import take_states
from immpd.store.units import Row, Tx

from .notifications import note
from .pushes import NewNotification, keep_new
from .schedule import push_settings, shown_at

KEPT = 7 * 86_400_000
"""Milliseconds that such a notification stands."""


def node_silent(tx: Tx, number: int, now: int, uuid: bytes) -> None:
    """A node promised to publish something and did not: its subscribers get an item that says so."""
    node = node_by_id(tx, number)
    if node is None or not node.every:
        return
    owner = tx.one("SELECT address FROM account WHERE id = :id", {"id": node.owner})
    assert owner is not None
    span = _span(node.every * 1000)
    body = f"It promised to publish something every {span}."
    say_silent(tx, node, owner[0], uuid, f"{node.title} is silent", body.encode(), now)


def token_silent(tx: Tx, token: int, now: int, ids: tuple[bytes, bytes]) -> None:
    """A source promised a sign of life and gave none: its owner is told, once until it speaks again."""
    row: Row | None = tx.one(
        "SELECT t.mailbox, t.name, t.every, coalesce(t.used, t.created), t.silent, a.local, a.domain"
        " FROM push_token t JOIN account a ON a.mailbox = t.mailbox WHERE t.id = ?",
        (token,),
    )
    if row is None:
        return
    mailbox, name, every, used, silent, local, domain = row
    if silent or not every or used + every * 1000 > now:
        return
    noted = tx.one(
        "UPDATE push_token SET silent = 1 WHERE id = ? AND silent = 0 AND coalesce(used, created) = ? RETURNING 1",
        (token, used),
    )
    if noted is None:
        return
    settings = push_settings(tx, mailbox)
    uuid, key = ids
    due = shown_at(settings, Level.HIGH, now)
    state = take_states(tx, {mailbox: 1})[mailbox] + 1 if due <= now else 0
    title = f"{name} has said nothing for {_span(now - used)}"
    body = f"It promised a sign of life every {_span(every * 1000)}.".encode()
    new = NewNotification(
        mailbox, uuid, uuid, None, domain, f"{local}/{name}@{domain}", f"{local}@{domain}", key, None, b"",
        Level.HIGH, "token", title, "text/plain", body, now, due, now + KEPT,
    )  # fmt: skip
    keep_new(tx, new, settings, state)
    if state:
        note(tx, mailbox, state, "notified", uuid)


def _span(milliseconds: int) -> str:
    seconds = milliseconds // 1000
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds} seconds"
