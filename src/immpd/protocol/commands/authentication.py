"""Commands that log in, or change what logs in."""

from typing import Annotated
from uuid import UUID

from immpd.model.imid import Imid
from immpd.protocol import replies as r
from immpd.protocol.codes import Code
from immpd.protocol.registry import Positional, Request, Shape, command
from immpd.protocol.states import MEMBER, OPERATOR, State

UNAUTHENTICATED = frozenset({State.UNAUTHENTICATED})

AUTH_CODES = (Code.AUTH_FAILED, Code.ATTEMPTS, Code.TEMPORARY, Code.BAD_VALUE)


@command(
    "AUTH SCRAM-SHA-256",
    states=UNAUTHENTICATED,
    shape=Shape.UNIT,
    codes=(Code.SCRAM_CHALLENGE, *AUTH_CODES),
    alone=True,
    summary="Log in with SCRAM (RFC 7677)",
)
class AuthScram(Request[r.ScramChallenge], frozen=True, kw_only=True):
    """SCRAM's client-first message; the device label keeps a place in the timeline."""

    data: Annotated[bytes, Positional, "client-first"]
    device: Annotated[str, Positional, "device"] = ""


@command(
    "AUTH SCRAM-SHA-256-PLUS",
    states=UNAUTHENTICATED,
    shape=Shape.UNIT,
    codes=(Code.SCRAM_CHALLENGE, *AUTH_CODES),
    alone=True,
    summary="Log in with SCRAM bound to this TLS connection (RFC 5802, RFC 5929)",
)
class AuthScramPlus(Request[r.ScramChallenge], frozen=True, kw_only=True):
    """SCRAM's client-first message with channel binding."""

    data: Annotated[bytes, Positional, "client-first"]
    device: Annotated[str, Positional, "device"] = ""


@command(
    "AUTH SECRET",
    states=UNAUTHENTICATED,
    shape=Shape.UNIT,
    codes=(Code.NONCES, Code.SECRET_CHALLENGE, *AUTH_CODES),
    alone=True,
    summary="Log in with the shared secret of IMMP 1.0",
)
class AuthSecret(Request[r.SecretChallenge], frozen=True, kw_only=True):
    """Ask for the nonces; AUTH RESPONSE carries K(h, n1, n2)."""

    account: Annotated[str, Positional, "account"]
    device: Annotated[str, Positional, "device"] = ""


@command(
    "AUTH RESPONSE",
    states=UNAUTHENTICATED,
    shape=Shape.AWAIT,
    codes=(Code.AUTHENTICATED, *AUTH_CODES),
    alone=True,
    summary="The answer to the server's challenge",
)
class AuthResponse(Request[r.Authenticated], frozen=True, kw_only=True):
    """Hexadecimal K for SECRET, base64 client-final for SCRAM."""

    answer: Annotated[str, Positional, "answer"]


@command(
    "AUTH PASSWORD",
    states=MEMBER,
    shape=Shape.UNIT,
    codes=(Code.OK, Code.BAD_VALUE, Code.DENIED),
    alone=True,
    summary="Change the password",
)
class AuthPassword(Request[r.PasswordChanged], frozen=True, kw_only=True):
    """A new verifier, made by the client with the account's salt; wants a log-in of the last 5 minutes."""

    stored: bytes
    server: bytes
    i: int
    secret: bytes | None = None
    keep_sessions: bool = False
    remove_tokens: bool = False


@command(
    "SESSION LIST",
    states=MEMBER | OPERATOR,
    shape=Shape.UNIT,
    codes=(Code.SESSION, Code.BAD_VALUE, Code.DENIED, Code.NOT_FOUND),
    summary="The open sessions of an account, or, for the operator, of all",
)
class SessionList(Request[r.Sessions], frozen=True, kw_only=True):
    """By the time of their log-in; ACCOUNT is for the operator."""

    account: Annotated[Imid | None, Positional, "account"] = None
    after: UUID | None = None
    limit: int | None = None


@command(
    "SESSION END",
    states=MEMBER | OPERATOR,
    shape=Shape.UNIT,
    codes=(Code.OK, Code.BAD_VALUE, Code.DENIED, Code.NOT_FOUND),
    summary="End a session, or all others of the account",
)
class SessionEnd(Request[r.SessionsEnded], frozen=True, kw_only=True):
    """They hear why, and no more."""

    session: Annotated[str, Positional, "id|*"]
    account: Annotated[Imid | None, Positional, "account"] = None
