"""Replies about messages, mailboxes and WATCH."""

from collections.abc import Sequence
from typing import Self

from immpd.model.message import IndexRow
from immpd.protocol.codes import Code
from immpd.protocol.lines import Line, Words

from .base import JsonListed, Listed, Reply, rows_of


class FolderCounts(Words, frozen=True, kw_only=True):
    """A row of MBOX CHECK: unread, total, state."""

    CODE = Code.COUNTS
    WORDS = ("path",)
    path: str
    u: int
    t: int
    s: str


class Counts(Reply, frozen=True, kw_only=True):
    """MBOX CHECK: one row a folder, the last on the final line."""

    CODE = Code.COUNTS
    rows: tuple[FolderCounts, ...]

    def encode(self, prefix: str = "") -> bytes:
        """Dashed rows, the last without the dash."""
        texts = [row.to_text() for row in self.rows]
        return ("".join(rows_of(self.CODE, texts[:-1], prefix)) + f"{prefix}{self.CODE:d} {texts[-1]}\n").encode()

    @classmethod
    def decode(cls, lines: Sequence[Line]) -> Self:
        """Every line is a row."""
        return cls(rows=tuple(FolderCounts.from_text(line.text) for line in lines))


class FolderRow(Words, frozen=True, kw_only=True):
    """A row of MBOX LIST."""

    CODE = Code.FOLDER
    WORDS = ("path",)
    path: str
    id: str
    role: str = ""
    u: int
    t: int
    s: str
    rights: tuple[str, ...] = ()


class DeliveredRow(Words, frozen=True, kw_only=True):
    """What became of one recipient: delivered, queued or refused, with the code that says why."""

    CODE = Code.DELIVERED
    WORDS = ("imid", "outcome", "code")
    imid: str
    outcome: str
    code: int
    text: str = ""


class CopiedRow(Words, frozen=True, kw_only=True):
    """The id that a copied message got."""

    CODE = Code.STORED
    WORDS = ("old", "new")
    old: str
    new: str


class Folders(Listed, frozen=True, kw_only=True):
    """MBOX LIST."""

    CODE = Code.FOLDER
    ROW = FolderRow
    rows: tuple[FolderRow, ...] = ()

    def end(self) -> str:
        """How many folders."""
        return f"{self.count} folders"


class Changed(Reply, frozen=True, kw_only=True):
    """How many messages changed, and the mailbox's state afterwards."""

    CODE = Code.OK
    n: int
    s: str


class Copied(Listed, frozen=True, kw_only=True):
    """MBOX COPY: old and new ids, which are the same inside one mailbox."""

    CODE = Code.STORED
    ROW = CopiedRow
    rows: tuple[CopiedRow, ...] = ()

    def end(self) -> str:
        """How many messages."""
        return f"{self.count} copied"


class Opened(Reply, frozen=True, kw_only=True):
    """A message is open."""

    CODE = Code.OPENED
    text: str = "Send DATA, then DONE"


class PartStored(Reply, frozen=True, kw_only=True):
    """A part is complete: its number in the message (0 with +HEADERS, which is no part) and its octets."""

    CODE = Code.PART
    n: int
    length: int


class Delivered(Listed, frozen=True, kw_only=True):
    """DONE after DELIVER: a row a recipient, then the message's id."""

    CODE = Code.DELIVERED
    WORDS = ("id",)
    ROW = DeliveredRow
    id: str = ""
    rows: tuple[DeliveredRow, ...] = ()

    def end(self) -> str:
        """The message's id."""
        return self.to_text()


class Stored(Reply, frozen=True, kw_only=True):
    """DONE after MBOX PUT: where the message lies now."""

    CODE = Code.STORED
    WORDS = ("place",)
    place: str


class IndexPage(JsonListed, frozen=True, kw_only=True):
    """MBOX INDEX +JSON: rows, then how many, the state, and whether more follow."""

    CODE = Code.MESSAGES
    ROW = IndexRow
    rows: tuple[IndexRow, ...] = ()
    n: int = 0
    s: str = ""
    more: str | None = None


class Fetched(Reply, frozen=True, kw_only=True):
    """The end of MBOX FETCH; what came before it is octets."""

    CODE = Code.MESSAGES
    n: int = 0
    skipped: int | None = None
    """Messages of the filter that have not what was asked for."""
    more: str | None = None


class Kept(Reply, frozen=True, kw_only=True):
    """ACK: the position that is kept, as it was named."""

    CODE = Code.KEPT
    WORDS = ("cursor",)
    cursor: str


class WatchEnded(Reply, frozen=True, kw_only=True):
    """The end of WATCH."""

    CODE = Code.EVENT
    text: str = "The watch has ended"
