"""Typed replies: what a command answers, as a value on both sides of the wire.

Rules: a reply is rows and one final line, each printed and read by its fields (lines.py;
docs/protocol.md, "Replies"). The server calls ``encode``, the client ``decode``. Readers ignore
fields they do not know.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import msgspec

from immpd.model.message import IndexRow

from .codes import Code
from .lines import Line, Words
from .text import clean


class Reply(Words, frozen=True, kw_only=True):
    """A whole reply with one line; replies with rows override ``encode`` and ``decode``."""

    def encode(self, prefix: str = "") -> bytes:
        """The reply as octets, each line with the pipeline's prefix."""
        return f"{prefix}{self.CODE:d} {self.to_text()}".rstrip(" ").encode() + b"\n"

    @classmethod
    def decode(cls, lines: Sequence[Line]) -> Self:
        """The reply from its lines, the final one last."""
        return cls.from_text(lines[-1].text)


def _rows(code: Code, texts: Sequence[str], prefix: str) -> list[str]:
    return [f"{prefix}{code:d}- {text}\n" for text in texts]


class Ok(Reply, frozen=True, kw_only=True):
    """Plain success."""

    CODE = Code.OK
    text: str = "Done"


class Goodbye(Reply, frozen=True, kw_only=True):
    """The answer to QUIT."""

    CODE = Code.GOODBYE
    text: str = "Good-bye"


class Upgrading(Reply, frozen=True, kw_only=True):
    """The handshake is next."""

    CODE = Code.UPGRADING
    text: str = "Upgrading to TLS"


class Capabilities(Reply, frozen=True, kw_only=True):
    """What the server speaks and offers (docs/protocol.md, "Greeting")."""

    CODE = Code.CAPABILITIES
    p: str = "IMMP"
    v: str = "1.0"
    d: str = ""
    auth: tuple[str, ...] = ()
    cb: str = ""
    caps: tuple[str, ...] = ()
    max_message: int = 0
    max_to: int = 0


class ScramChallenge(Reply, frozen=True, kw_only=True):
    """SCRAM's server-first message in base64."""

    CODE = Code.SCRAM_CHALLENGE
    WORDS = ("data",)
    data: str


class SecretChallenge(Reply, frozen=True, kw_only=True):
    """Nonces and key derivation of AUTH SECRET."""

    CODE = Code.SECRET_CHALLENGE
    n1: str
    n2: int
    kda: str
    salt: str
    i: int

    def encode(self, prefix: str = "") -> bytes:
        """Line 302, then 303 with the values."""
        return f"{prefix}{Code.NONCES:d} Nonces follow\n".encode() + super().encode(prefix)


class Authenticated(Reply, frozen=True, kw_only=True):
    """Authentication accepted; ``v`` is SCRAM's server-final message, which proves the server."""

    CODE = Code.AUTHENTICATED
    FIELDS_LAST = True
    text: str
    v: str = ""


class Who(Reply, frozen=True, kw_only=True):
    """Who this session is."""

    CODE = Code.OK
    account: str = ""
    device: str = ""
    state: str
    domain: str = ""


class Help(Reply, frozen=True, kw_only=True):
    """Lines for people."""

    CODE = Code.OK
    lines: tuple[str, ...] = ()

    def encode(self, prefix: str = "") -> bytes:
        """A row a line, then 200."""
        rows = _rows(self.CODE, [clean(line) for line in self.lines], prefix)
        return ("".join(rows) + f"{prefix}{self.CODE:d} End\n").encode()

    @classmethod
    def decode(cls, lines: Sequence[Line]) -> Self:
        """All but the final line."""
        return cls(lines=tuple(line.text for line in lines[:-1]))


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
        return ("".join(_rows(self.CODE, texts[:-1], prefix)) + f"{prefix}{self.CODE:d} {texts[-1]}\n").encode()

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


class AccountRow(Words, frozen=True, kw_only=True):
    """A row of ACCOUNT LIST."""

    CODE = Code.ACCOUNT
    WORDS = ("address",)
    address: str
    disabled: bool
    password: bool
    created: str


class Finding(Words, frozen=True, kw_only=True):
    """Something that STORE CHECK found wrong."""

    CODE = Code.FINDING
    text: str


class RecipientOutcome(Words, frozen=True, kw_only=True):
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


class _Listed(Reply, frozen=True, kw_only=True):
    """A list of ``ROW`` lines, ended by a line that is no row."""

    ROW: ClassVar[type[Words]]
    rows: tuple[Any, ...] = ()

    def encode(self, prefix: str = "") -> bytes:
        """Dashed rows, then the end line."""
        rows = _rows(self.ROW.CODE, [row.to_text() for row in self.rows], prefix)
        return f"{''.join(rows)}{prefix}{self.CODE:d} {self.end()}\n".encode()

    def end(self) -> str:
        """The text of the end line."""
        return f"{len(self.rows)} rows"

    @classmethod
    def decode(cls, lines: Sequence[Line]) -> Self:
        """Rows, then the fields of the end line."""
        return msgspec.structs.replace(
            cls.from_text(lines[-1].text), rows=tuple(cls.ROW.from_text(line.text) for line in lines[:-1])
        )


class Folders(_Listed, frozen=True, kw_only=True):
    """MBOX LIST."""

    CODE = Code.FOLDER
    ROW = FolderRow
    rows: tuple[FolderRow, ...] = ()

    def end(self) -> str:
        """How many folders."""
        return f"{len(self.rows)} folders"


class Accounts(_Listed, frozen=True, kw_only=True):
    """ACCOUNT LIST."""

    CODE = Code.ACCOUNT
    ROW = AccountRow
    rows: tuple[AccountRow, ...] = ()

    def end(self) -> str:
        """How many accounts."""
        return f"{len(self.rows)} accounts"


class Findings(_Listed, frozen=True, kw_only=True):
    """STORE CHECK: no rows means that all is well."""

    CODE = Code.FINDING
    ROW = Finding
    rows: tuple[Finding, ...] = ()

    def end(self) -> str:
        """The verdict."""
        return f"{len(self.rows)} findings"


class Salt(Reply, frozen=True, kw_only=True):
    """With what a verifier is made."""

    CODE = Code.SALT
    salt: str
    i: int


class Changed(Reply, frozen=True, kw_only=True):
    """How many messages changed, and the mailbox's state afterwards."""

    CODE = Code.OK
    n: int
    s: str


class Copied(_Listed, frozen=True, kw_only=True):
    """MBOX COPY: old and new ids, which are the same inside one mailbox."""

    CODE = Code.STORED
    ROW = CopiedRow
    rows: tuple[CopiedRow, ...] = ()

    def end(self) -> str:
        """How many messages."""
        return f"{len(self.rows)} copied"


class Opened(Reply, frozen=True, kw_only=True):
    """A message is open."""

    CODE = Code.OPENED
    text: str = "Send DATA, then DONE"


class PartStored(Reply, frozen=True, kw_only=True):
    """A part is complete: its number in the message (0 with +HEADERS, which is no part) and its octets."""

    CODE = Code.PART
    n: int
    length: int


class Delivered(_Listed, frozen=True, kw_only=True):
    """DONE after DELIVER: a row a recipient, then the message's id."""

    CODE = Code.DELIVERED
    WORDS = ("id",)
    ROW = RecipientOutcome
    id: str = ""
    rows: tuple[RecipientOutcome, ...] = ()

    def end(self) -> str:
        """The message's id."""
        return self.to_text()


class Stored(Reply, frozen=True, kw_only=True):
    """DONE after MBOX PUT: where the message lies now."""

    CODE = Code.STORED
    WORDS = ("place",)
    place: str


class IndexPage(Reply, frozen=True, kw_only=True):
    """MBOX INDEX +JSON: rows, then how many, the state, and whether more follow."""

    CODE = Code.MESSAGES
    rows: tuple[IndexRow, ...] = ()
    n: int = 0
    s: str = ""
    more: str | None = None

    def encode(self, prefix: str = "") -> bytes:
        """JSON rows, then the end line."""
        rows = _rows(self.CODE, [clean(msgspec.json.encode(row).decode()) for row in self.rows], prefix)
        return "".join(rows).encode() + super().encode(prefix)

    @classmethod
    def decode(cls, lines: Sequence[Line]) -> Self:
        """JSON rows, then the end line."""
        rows = tuple(msgspec.json.decode(line.text, type=IndexRow) for line in lines[:-1])
        return msgspec.structs.replace(cls.from_text(lines[-1].text), rows=rows)


class Fetched(Reply, frozen=True, kw_only=True):
    """The end of MBOX FETCH; what came before it is octets."""

    CODE = Code.MESSAGES
    n: int = 0
    skipped: int | None = None
    """Messages of the filter that have not what was asked for."""
    more: str | None = None


class WatchEnded(Reply, frozen=True, kw_only=True):
    """The end of WATCH."""

    CODE = Code.EVENT
    text: str = "The watch has ended"
