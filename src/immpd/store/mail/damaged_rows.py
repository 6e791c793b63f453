"""The index row of a message of which the store has lost what it is: it is shown, and says so.

Rule: a message never disappears from an index because of damage (docs/protocol.md, "MBOX INDEX").
"""

from datetime import UTC, datetime
from uuid import UUID

import msgspec

SUBJECT = "(This message is damaged on the server's disk)"


def damaged_row(id_: bytes) -> bytes:
    """Start of its row, as of every other: a JSON object without what changes and the closing brace."""
    came = datetime.fromtimestamp(int.from_bytes(id_[:6]) // 1000, UTC)  # a version-7 UUID begins with its time
    said = {
        "from": "",
        "to": [],
        "subject": SUBJECT,
        "date": f"{came:%Y-%m-%dT%H:%M:%S}Z",
        "size": 0,
        "thread": str(UUID(bytes=id_)),
        "parts": 0,
        "importance": "normal",
        "verified": False,
    }
    return msgspec.json.encode(said)[:-1]
