"""What a client's call can raise.

    ImmpError                all of them
    ├── Refused              a 4xx or 7xx of the server, with code, word, text, retry
    ├── ImidError            a text is no address or path; a ValueError, too
    ├── FingerprintMismatch  the server shows another key than the known one, or the one that was given
    ├── KnownPeersUnreadable the file of known keys cannot be understood
    ├── ScramError           a password has characters that none can have
    └── ClientError          all that is the client's own
        ├── CannotConnect    nobody answered at the server's address, or not in time
        ├── NotSecure        the connection cannot be made safe: TLS missing, too old, or octets before it
        ├── ServerNotProven  the server did not prove that it knows the account's password
        ├── PasswordNeeded   what is kept of the password no longer fits the account: log in again
        ├── ConnectionLost   the connection ended; what was on its way may or may not have happened
        ├── ProtocolFault    the server sent what no reply can be
        ├── TooSlow          a stream's consumer left too much waiting
        └── BadValue         a value that was given cannot be what it is; a ValueError, too

Rules: ``immpd.client`` exports them all; nothing else is raised on purpose but TypeError and RuntimeError for a
program's mistakes, and OSError for files that it names.
"""

from immpd.model.errors import ImmpError
from immpd.model.imid import ImidError
from immpd.net.fingerprints import FingerprintMismatch, KnownPeersUnreadable
from immpd.protocol.codes import Code, describe
from immpd.protocol.errors import Refused
from immpd.protocol.lines import Line
from immpd.protocol.scram import ScramError

__all__ = [
    "BadValue",
    "CannotConnect",
    "ClientError",
    "ConnectionLost",
    "FingerprintMismatch",
    "ImidError",
    "ImmpError",
    "KnownPeersUnreadable",
    "NotSecure",
    "PasswordNeeded",
    "ProtocolFault",
    "Refused",
    "ScramError",
    "ServerNotProven",
    "TooSlow",
    "read_refusal",
]


class ClientError(ImmpError):
    """Something went wrong on this side or between the two."""

    direct: bool | None = None
    """Whether the port looks like one that speaks TLS from the first octet (True) or begins in clear (False), where
    the other was tried."""


class CannotConnect(ClientError):
    """Nobody answered at the server's address, or not in time."""


class NotSecure(ClientError):
    """The connection cannot be made safe, so nothing was sent over it."""


class ServerNotProven(ClientError):
    """The server could not prove that it knows the account's password, or asked for a weak proof of ours."""


class PasswordNeeded(ClientError):
    """The h that was given was made with another salt or other rounds than the account has now."""


class ConnectionLost(ClientError):
    """The connection ended before the reply came."""

    refusal: Refused | None = None
    """The server's last word, where it said why it closed."""


class ProtocolFault(ClientError):
    """The server sent what no reply can be."""


class TooSlow(ClientError):
    """More of a stream waits to be taken than a client keeps."""


class BadValue(ClientError, ValueError):
    """A value that was given, such as HOST:PORT, a UUID or a media type, cannot be what it is."""


def read_refusal(line: Line) -> Refused:
    """The error that a reply line says: ``404 [NO-FOLDER] retry=5 There is no …``."""
    text = line.text
    word = ""
    if text.startswith("["):
        word, _, text = text[1:].partition("]")
        text = text.removeprefix(" ")
    retry: int | None = None
    if text.startswith("retry="):
        number, _, rest = text.removeprefix("retry=").partition(" ")
        if number.isdecimal() and len(number) <= 9:
            retry, text = int(number), rest
    code = describe(line.code)
    if code is None:
        # A newer server's code: its class says what to do, the text keeps its number.
        code = Code.INTERNAL if line.code >= 700 else Code.CONFLICT
        text = f"{text} (code {line.code})"
    return Refused(code, word, text, retry)
