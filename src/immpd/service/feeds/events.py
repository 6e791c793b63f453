"""What feeds look like on the wire: the names of nodes, and an item as an event.

Rules: an event is its cursor between two pieces that are the same for everybody, so it is encoded once; a body
comes along where it is text and short, else its length is told; no character of an item can forge a line
(docs/protocol.md, "Feeds").
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from immpd.model.feed import Item, ItemHint, Level
from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
from immpd.protocol.text import escape_json
from immpd.service.mail.content import media_type
from immpd.service.outcome import Outcome
from immpd.service.session import Session, refusal_of
from immpd.service.timestamps import time_text
from immpd.store.errors import StoreError
from immpd.store.feeds.items import INLINE
from immpd.store.ids import uuid_text

EVENT = b'260- {"cursor":"'
"""What an event begins with; then come its cursor and the octets of ``item_event``."""
ROW = b'286- {"cursor":"'
"""The same for a row of SUBSCRIBE SINCE."""
MAX_EVENT = 16_000
"""Octets of an event behind its cursor: a line has at most 16,384. A body that does not fit is left out."""
MAX_TITLE = 2000
MAX_TYPE = 255
_TEXT = re.compile(r"text/|message/|application/(?:[\w.+-]*\+)?json\b", re.IGNORECASE)
_encode = msgspec.json.Encoder().encode


def noted(session: Session, what: str, node: str) -> Callable[[BaseException], Outcome]:
    """What a step does whose unit refuses: tell the log, where refusals are counted, and refuse."""

    def failed(error: BaseException) -> Outcome:
        if isinstance(error, StoreError):
            refusal = refusal_of(error)
            account = session.principal.person.address
            session.services.log.info(what, node=node, account=account, word=refusal.word)
            raise refusal
        raise error

    return failed


def checked_title(title: str | None) -> str:
    """A title of bounded length; raises Refused."""
    if title is not None and len(title.encode()) > MAX_TITLE:
        raise Refused(Code.LIMIT, "SUBJECT-TOO-LONG", f"A title has at most {MAX_TITLE} octets")
    return title or ""


def item_type(given: str) -> str:
    """The media type of an item; raises Refused."""
    if len(given) > MAX_TYPE:
        raise Refused(Code.BAD_VALUE, "BAD-TYPE", f"A media type has at most {MAX_TYPE} octets here")
    return media_type(given)


def importance_of(important: bool | None) -> Level:
    """+IMPORTANT, -IMPORTANT, or neither."""
    return "normal" if important is None else "high" if important else "low"


class HintEvents:
    """The events of what the bus tells, encoded once for all who are told it."""

    def __init__(self) -> None:
        self._hints: Sequence[ItemHint] = ()
        self._events: list[tuple[int, int, bytes]] = []

    def of(self, hints: Sequence[ItemHint]) -> list[tuple[int, int, bytes]]:
        """Of each hint its number, that before it, and its event behind the cursor: none where the store is asked."""
        if hints is not self._hints:
            self._events = [
                (hint.seq, hint.prev, b"" if hint.item is None else item_event(hint.item)) for hint in hints
            ]
            self._hints = hints
        return self._events


def item_event(item: Item) -> bytes:
    """The item's event behind its cursor, with its line feed."""
    return event_of(item)[0]


def event_of(item: Item) -> tuple[bytes, bool]:
    """The item's event, and whether all of its body stands in it."""
    if item.kind == "removed":
        told: dict[str, Any] = {"event": "subscription", "node": item.node, "status": "removed"}
    elif item.kind == "retracted":
        told = {"event": "item-retracted", "id": uuid_text(item.uuid), "node": item.node}
    else:
        told = {
            "event": "item",
            "id": uuid_text(item.uuid),
            "node": item.node,
            "title": item.title,
            "from": item.publisher,
            "date": time_text(item.created),
            "level": item.level,
            "verified": True,
            "type": item.type,
            "length": item.length,
        }
        if item.edition > 1:
            told["edition"] = item.edition
        if item.dismissed:
            told["dismissed"] = True
        body = _inline_text(item)
        if body is not None:
            whole = _safe({**told, "body": body})
            if len(whole) <= MAX_EVENT:
                return whole, True
    return _safe(told), False


def _safe(told: dict[str, Any]) -> bytes:
    return b'",' + escape_json(_encode(told))[1:] + b"\n"


def _inline_text(item: Item) -> str | None:
    """The body where it is short text, else None."""
    if item.body is None or len(item.body) > INLINE or not _TEXT.match(item.type):
        return None
    try:
        return item.body.decode()
    except UnicodeDecodeError:
        return None
