"""How a message names another: In-Reply-To and References (RFC 5322, section 3.6.4; docs/protocol.md, "Values").

Rules: a message of ours is named by the UUID of its envelope, any other by its Message-ID without angle brackets;
the Message-ID that we make of a UUID is that UUID again, so that replies by mail find their thread.
"""

import re
from collections.abc import Iterable
from typing import Final, NewType
from uuid import UUID

MAX_REFERENCES: Final = 100
"""Ids that a message keeps: the first, which names the thread, and the last ones."""
MAX_LENGTH: Final = 250
"""Characters of one."""
_UNWANTED: Final = re.compile(r"[\s<>]")
_OWN_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}@")


Reference = NewType("Reference", str)
"""The id of another message."""


def read_reference(text: str) -> Reference:
    """An id, also in angle brackets; raises ValueError."""
    bare = text[1:-1] if len(text) > 2 and text[0] == "<" and text[-1] == ">" else text
    if not 0 < len(bare) <= MAX_LENGTH or _UNWANTED.search(bare) or not bare.isprintable():
        raise ValueError(f"the id of a message is wanted: a UUID or a Message-ID of at most {MAX_LENGTH} characters")
    try:
        return Reference(str(UUID(bare))) if len(bare) == 36 else native(bare)
    except ValueError:
        return native(bare)


def native(message_id: str) -> Reference:
    """Our own id in a Message-ID that we rendered (uuid@origin); any other as it is."""
    return Reference(message_id[:36] if _OWN_ID.match(message_id) else message_id)


def bounded(references: Iterable[str]) -> tuple[str, ...]:
    """The first and the last ones, as many as a message keeps."""
    every = tuple(references)
    return every if len(every) <= MAX_REFERENCES else every[:1] + every[1 - MAX_REFERENCES :]
