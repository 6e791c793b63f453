"""Replies about the session itself, and of log-in."""

from collections.abc import Sequence
from typing import Self

from immpd.protocol.codes import Code
from immpd.protocol.lines import Line, Words
from immpd.protocol.text import clean

from .base import Listed, Reply, rows_of


class Ok(Reply, frozen=True, kw_only=True):
    """Plain success."""

    CODE = Code.OK
    text: str = "Done"


class Goodbye(Reply, frozen=True, kw_only=True):
    """The answer to QUIT."""

    CODE = Code.GOODBYE
    text: str = "Good-bye"


class Stopped(Reply, frozen=True, kw_only=True):
    """CANCEL: the pipeline in which nothing runs any more, ``*`` for the default one."""

    CODE = Code.STOPPED
    WORDS = ("pipeline",)
    pipeline: str


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


class PasswordChanged(Reply, frozen=True, kw_only=True):
    """AUTH PASSWORD and ACCOUNT PASSWD: how many sessions ended, and the push tokens that remain."""

    CODE = Code.OK
    ended: int = 0
    tokens: tuple[str, ...] = ()
    text: str = "The password is changed"


class SessionRow(Words, frozen=True, kw_only=True):
    """An open session."""

    CODE = Code.SESSION
    WORDS = ("id",)
    id: str
    account: str
    device: str = ""
    address: str = ""
    since: str
    used: str
    """When something of the client came last."""
    own: bool = False


class Sessions(Listed, frozen=True, kw_only=True):
    """SESSION LIST."""

    CODE = Code.SESSION
    ROW = SessionRow
    rows: tuple[SessionRow, ...] = ()
    n: int = 0
    more: str | None = None

    def end(self) -> str:
        """How many, and whether more follow."""
        return self.to_text()


class SessionsEnded(Reply, frozen=True, kw_only=True):
    """SESSION END."""

    CODE = Code.OK
    ended: int = 0
    text: str = "Ended"


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
        rows = rows_of(self.CODE, [clean(line) for line in self.lines], prefix)
        return ("".join(rows) + f"{prefix}{self.CODE:d} End\n").encode()

    @classmethod
    def decode(cls, lines: Sequence[Line]) -> Self:
        """All but the final line."""
        return cls(lines=tuple(line.text for line in lines[:-1]))
