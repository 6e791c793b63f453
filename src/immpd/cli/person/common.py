"""What every command of ``immp`` shares: its options, its session, how it ends.

Rules: an error is one line on standard error and an exit code that scripts can rely on; what a
command prints for programs (``--json``) is one JSON object a line; nothing heavy is imported before
it is needed, for a command must be done in 300 ms.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from immpd.client import Client, Refused
    from immpd.net.fingerprints import FirstSight

OK = 0
REFUSED = 1
USAGE = 2
NOT_LOGGED_IN = 3
NOT_REACHED = 4
OTHER_KEY = 5
TEMPORARY = 75
"""EX_TEMPFAIL of sysexits.h: the same command may succeed later."""
INTERRUPTED = 130


class UsageError(Exception):
    """The command line, or a file that it names, is not what it should be."""


class NotLoggedIn(Exception):
    """There is no profile to work with."""


class KeyNotKnown(Exception):
    """The server's key was never seen here, and must be before this is sent to it."""


class NotThere(Exception):
    """What was named does not exist, or is not the only one."""


_DIRECT = "a port that speaks TLS from the first octet (1026) wants --direct"
_IN_CLEAR = "a port that begins in clear (1025) wants no --direct"


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options of every command."""

    profile: Annotated[str | None, Parameter(name=("--profile", "--account"), env_var="IMMP_PROFILE")] = None
    """Which log-in to use: a profile's name or its address; by default the last one logged in."""
    json: Annotated[bool, Parameter(name="--json", negative=())] = False
    """One JSON object a line instead of text for people."""
    utc: Annotated[bool, Parameter(name="--utc", negative=())] = False
    """Times in UTC instead of this machine's zone."""


def at_least_one(_: object, number: int | None) -> None:
    """Refuse an option of which 0, or less, means nothing."""
    if number is not None and number < 1:
        raise ValueError("1 or more is wanted")


@asynccontextmanager
async def session(common: Common | None, *, password: str | None = None) -> AsyncIterator["Client"]:
    """Log in with the profile that the options name; with a ``password`` instead of what is kept of it."""
    from immpd.client import Refused, Secret, connect
    from immpd.client.home import default_home
    from immpd.net.fingerprints import KnownPeers

    from .profile import Profiles

    home = default_home()
    _, profile = Profiles(home).load((common or Common()).profile)
    try:
        async with connect(
            profile.address,
            server=profile.server or None,
            password=password,
            h=None if password is not None else Secret(profile.h, profile.salt, profile.iterations),
            device=profile.device,
            known=KnownPeers(home),
            on_first_sight=show_first_sight,
            direct=profile.direct,
        ) as me:
            yield me
    except Refused as error:
        if password is not None or not not_accepted(error):
            raise
        raise NotLoggedIn(
            "The server no longer takes what is kept of your log-in: the password was changed, or the account is "
            f"disabled; immp login {profile.address} logs in again"
        ) from None


def not_accepted(error: "Refused") -> bool:
    """Whether who asks is not let in, now and later."""
    from immpd.protocol.codes import Code

    return error.code is Code.AUTH_FAILED and error.retry is None


def show_first_sight(trust: "FirstSight", *, when: str = "when the log-in succeeds") -> None:
    """Tell the person of a key that is seen for the first time, and ``when`` it is kept."""
    tell(
        f"The key of {trust.domain} is seen for the first time: SHA-256 {trust.fingerprint}\n"
        f"immp: It is kept {when}; compare it with what the server's administrator says."
    )


def run(work: Coroutine[Any, Any, int | None]) -> int:
    """Run a command's work; what it returns is the exit code."""
    return asyncio.run(work) or OK


def tell(text: str) -> None:
    """A line for the person, on standard error, behind what was said on standard output before."""
    with suppress(OSError):  # nobody reads it: whoever writes there next is told
        sys.stdout.flush()
    sys.stderr.write(f"immp: {text}\n")


def exit_code(error: BaseException) -> int | None:
    """What a script learns of an error; None for what nobody foresaw."""
    from immpd.client import BadValue, ClientError, FingerprintMismatch, PasswordNeeded, Refused, ServerNotProven
    from immpd.model.imid import ImidError
    from immpd.net.fingerprints import KnownPeersUnreadable
    from immpd.protocol.codes import Code
    from immpd.protocol.scram import ScramError

    if isinstance(error, Refused):
        if error.retry is not None or error.code is Code.TEMPORARY:
            return TEMPORARY
        if error.code is Code.SHUTDOWN and error.word in ("PASSWORD-CHANGED", "DISABLED", "REMOVED"):
            return NOT_LOGGED_IN
        if error.code in (Code.BOUND, Code.SHUTDOWN):
            return NOT_REACHED
        return NOT_LOGGED_IN if error.code in (Code.AUTH_FAILED, Code.ATTEMPTS) else REFUSED
    if isinstance(error, NotThere):
        return REFUSED
    if isinstance(error, NotLoggedIn | PasswordNeeded | ServerNotProven):
        return NOT_LOGGED_IN
    if isinstance(error, FingerprintMismatch | KnownPeersUnreadable | KeyNotKnown):
        return OTHER_KEY
    if isinstance(error, ClientError) and not isinstance(error, BadValue):
        return NOT_REACHED
    if isinstance(error, UsageError | ImidError | ScramError | OSError | ValueError):
        return USAGE
    return None


def describe_error(error: BaseException) -> str:
    """An error in one line for people."""
    from immpd.client import ClientError, FingerprintMismatch, Refused
    from immpd.model.filters import NoSuchFilter

    from .words import in_own_words, like

    if isinstance(error, FingerprintMismatch) and not error.given:
        return f"{error} Then: immp login ADDRESS --fingerprint {error.shown}"
    if isinstance(error, ClientError) and error.direct is not None:
        return f"{error}; {_DIRECT if error.direct else _IN_CLEAR}"
    if isinstance(error, Refused):
        later = f" (try again in {error.retry} s)" if error.retry is not None else ""
        text = in_own_words(error.text)
        return f"{text} [{error.word}]{later}" if error.word else f"{text}{later}"
    if isinstance(error, NoSuchFilter):
        return f"{error}{like(error.place.removeprefix('!').partition(':')[0], error.known)}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__
