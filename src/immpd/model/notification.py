"""A notification: a message reduced to one data block, with buttons (docs/protocol.md, "Notifications").

Rules: what a notification may be is bounded here, for every side; an action either opens a URL or travels
back to its sender as an answer; levels are ordered, and nobody's rule ever raises one.
"""

from enum import IntEnum
from urllib.parse import urlsplit

import msgspec

from immpd.model.characters import is_shown

from .errors import ImmpError

MEDIA_TYPE = "application/immp-notification+json"
"""The type of a body that is a Card."""
MAX_TITLE = 200
MAX_TEXT = 2_000
MAX_ACTIONS = 4
MAX_LABEL = 60
MAX_URL = 1_000


class Level(IntEnum):
    """How urgent a notification is; the wire shows the name in lower case."""

    SILENT = 0
    LOW = 1
    NORMAL = 2
    HIGH = 3
    CRITICAL = 4


LEVELS = tuple(level.name.lower() for level in Level)
"""Their names, by number."""


class NotificationError(ImmpError, ValueError):
    """A notification cannot be what it is; the text says which part and why."""


class Action(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A button: it opens ``url``, or where there is none, its id travels back to the sender as the answer."""

    id: str
    label: str
    url: str = ""


class Card(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a body of type application/immp-notification+json holds."""

    title: str = ""
    body: str = ""
    icon: str = ""
    """URL of a picture, https."""
    actions: tuple[Action, ...] = ()


class NotificationRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A notification as PUSH LIST and WATCH show it: one line of JSON (docs/protocol.md, "Notifications")."""

    id: str
    """In this mailbox."""
    push: str
    """The ID that its sender gave it."""
    from_: str = msgspec.field(name="from")
    origin: str
    to: tuple[str, ...]
    level: str
    why: str
    """What let it in: own, approved, token, grant, domain or request."""
    title: str
    type: str
    length: int
    """Octets of its data block; PUSH SHOW brings them."""
    created: str
    expires: str
    status: str
    """shown, answered, dismissed, expired, retracted or promoted."""
    verified: bool
    body: str = ""
    """What it says, where it is short and text."""
    icon: str = ""
    actions: tuple[Action, ...] = ()
    answer: str = ""
    ended: str = ""
    again: int = 0
    """How often it was shown again because nobody answered."""


_decode = msgspec.json.Decoder(Card).decode


def read_card(octets: bytes) -> Card:
    """A card from its JSON; raises NotificationError that names what is wrong."""
    try:
        card = _decode(octets)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotificationError(f"the body is no notification: {error}") from None
    check_title(card.title)
    if len(card.body) > MAX_TEXT or not _is_text(card.body):
        raise NotificationError(f"body has at most {MAX_TEXT} characters, and no control characters but line ends")
    if card.icon:
        _check_url(card.icon, ("https",), "icon")
    if len(card.actions) > MAX_ACTIONS:
        raise NotificationError(f"a notification has at most {MAX_ACTIONS} actions")
    if len({action.id for action in card.actions}) != len(card.actions):
        raise NotificationError("two actions have the same id")
    for action in card.actions:
        if not is_action_id(action.id):
            raise NotificationError("the id of an action has 1 to 32 letters, digits, - or _")
        if not action.label.strip() or len(action.label) > MAX_LABEL or not is_shown(action.label):
            raise NotificationError(f"the label of an action has 1 to {MAX_LABEL} printable characters")
        if action.url:
            _check_url(action.url, ("https", "http", "immp"), "url")
    return card


def check_title(title: str) -> None:
    """Raises NotificationError where this cannot be a title."""
    if len(title) > MAX_TITLE or not is_shown(title):
        raise NotificationError(f"a title has at most {MAX_TITLE} printable characters")


def is_action_id(text: str) -> bool:
    """Whether it can be the id of an action."""
    return 0 < len(text) <= 32 and text.isascii() and text.replace("-", "").replace("_", "").isalnum()


def read_level(text: str) -> Level:
    """A level by its name; raises NotificationError."""
    name = text.lower()
    if name not in LEVELS:
        raise NotificationError(f"a level is one of {', '.join(LEVELS)}")
    return Level(LEVELS.index(name))


def _is_text(text: str) -> bool:
    return is_shown(text.replace("\n", "").replace("\t", ""))


def _check_url(url: str, schemes: tuple[str, ...], name: str) -> None:
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if scheme not in schemes or len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise NotificationError(f"{name} is a URL ({', '.join(schemes)}) of at most {MAX_URL} characters of ASCII")
