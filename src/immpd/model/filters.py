"""The filter of an IMID, `::unread,from:bob`: which messages of a folder are meant (docs/protocol.md, "Names").

Rules: all terms of a filter must hold; every term is a frozen value that prints as it is written on the
wire; two spellings of one term are one value (`!read` is `unread`, a date is its first moment in UTC).
"""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Literal, cast, get_args

import msgspec

from immpd.model.names import (
    VALUE_UNSAFE,
    ImidError,
    normalise_domain,
    normalise_segment,
    percent_decode,
    percent_encode,
    refuse_controls,
)

State = Literal["unread", "read", "flagged", "answered", "important", "draft", "mine", "unassigned"]
"""What a term without a value asks for."""

_STATES: frozenset[str] = frozenset(get_args(State))
_VALUES = {"assigned": "who", "keyword": "name", "from": "text", "since": "date"}
"""The other words that begin a term, and what follows each."""
_OPPOSITE: dict[str, State] = {"read": "unread", "unread": "read"}
_KEYWORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SINCE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2}))?"
)


class FilterTerm(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One condition on a message; its kinds are the classes below."""

    negated: bool = False
    """Whether the messages are meant that do *not* meet the condition (written with a !)."""

    @property
    def word(self) -> str:
        """The term as written, without its !."""
        raise NotImplementedError

    def __str__(self) -> str:
        return "!" + self.word if self.negated else self.word


class StateTerm(FilterTerm, frozen=True, gc=False):
    """A condition on flags or assignment that needs no value; never a negated `read` or `unread`."""

    state: State

    @property
    def word(self) -> str:
        """The term as written, without its !."""
        return self.state


class AssignedTerm(FilterTerm, frozen=True, gc=False):
    """Assigned to a member of the shared mailbox."""

    member: str
    """Canonical bare address."""

    @property
    def word(self) -> str:
        """The term as written, without its !."""
        return "assigned:" + percent_encode(self.member, VALUE_UNSAFE)


class KeywordTerm(FilterTerm, frozen=True, gc=False):
    """Carries a keyword; keywords are compared without case, so it is in lower case here."""

    keyword: str

    @property
    def word(self) -> str:
        """The term as written, without its !."""
        return "keyword:" + self.keyword


class FromTerm(FilterTerm, frozen=True, gc=False):
    """The sender contains a text, compared without case."""

    text: str
    """In NFC, its case as written."""

    @property
    def word(self) -> str:
        """The term as written, without its !."""
        return "from:" + percent_encode(self.text, VALUE_UNSAFE)


class SinceTerm(FilterTerm, frozen=True, gc=False):
    """Came at a moment or after it."""

    moment: datetime
    """In UTC; of a date alone, its first moment in UTC."""

    @property
    def word(self) -> str:
        """The term as written, without its !."""
        text = self.moment.replace(tzinfo=None).isoformat()
        return "since:" + (text.removesuffix("T00:00:00") if text.endswith("T00:00:00") else text + "Z")


class NoSuchFilter(ImidError):
    """A term begins with a word that begins none; ``known`` are those that do."""

    known = (*get_args(State), *_VALUES)

    def __init__(self, place: str) -> None:
        valued = (f"{name}:{value}" for name, value in _VALUES.items())
        super().__init__(f"There is no such filter; there are {', '.join((*get_args(State), *valued))}", place)


def parse_filter(text: str) -> tuple[FilterTerm, ...]:
    """Read what stands after `::`. `*` is the empty filter, which every message meets; errors: `ImidError`."""
    if text == "*":
        return ()
    if not text:
        raise ImidError("After :: comes a filter, for example ::unread or ::*", "::")
    # terms that say the same twice are kept once, in the order in which they came
    return tuple(dict.fromkeys(parse_term(term) for term in text.split(",")))


def parse_term(written: str) -> FilterTerm:
    """Read one term of a filter; errors: `ImidError` with the term as its place."""
    negated = written.startswith("!")
    name, colon, value = written[negated:].partition(":")
    name = name.lower()
    if not colon and name in _STATES:
        if negated and name in _OPPOSITE:
            return StateTerm(_OPPOSITE[name])
        return StateTerm(cast(State, name), negated=negated)
    if not name:
        raise ImidError("A term of the filter is empty", written)
    reader = _READERS.get(name)
    if reader is None:
        raise NoSuchFilter(written)
    text = percent_decode(value)
    refuse_controls(text)
    if not text.strip():
        raise ImidError(f"The filter {name}: needs a value", written)
    return reader(text, negated)


def _assigned(text: str, negated: bool) -> FilterTerm:
    local, at, domain = text.partition("@")
    if not at:
        raise ImidError("The filter assigned: needs an address, name@domain", text)
    member = "/".join(map(normalise_segment, local.split("/"))) + "@" + normalise_domain(domain)
    return AssignedTerm(member, negated=negated)


def _keyword(text: str, negated: bool) -> FilterTerm:
    if not _KEYWORD.fullmatch(text):
        raise ImidError("A keyword is 1 to 64 letters, digits, - _ or .", text)
    return KeywordTerm(text.lower(), negated=negated)


def _from(text: str, negated: bool) -> FilterTerm:
    return FromTerm(unicodedata.normalize("NFC", text), negated=negated)


def _since(text: str, negated: bool) -> FilterTerm:
    message = "The filter since: needs a date (2026-01-31) or a date and time (2026-01-31T08:00:00Z)"
    if not _SINCE.fullmatch(text):
        raise ImidError(message, text)
    try:
        moment = datetime.fromisoformat(text.upper())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # a 30th of February; the year 1 in a zone east of Greenwich
        raise ImidError(message, text) from None
    return SinceTerm(moment, negated=negated)


_READERS = {"assigned": _assigned, "keyword": _keyword, "from": _from, "since": _since}
