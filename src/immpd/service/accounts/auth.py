"""Who is it: SCRAM, the shared secret of IMMP 1.0, and a change of password.

Rules: every name takes the same road, looks the same and costs the same, account or not: what is done is done
for all, and only then is chosen what counts; an account is never locked, guesses only become slow (guessing.py);
a nonce answers once and lives 60 s; nothing here compares a password (docs/protocol.md, "Authentication").
"""

from base64 import b64encode
from typing import Any
from uuid import UUID

import msgspec

from immpd.model.characters import is_shown
from immpd.model.imid import Imid, ImidError
from immpd.model.network import network_of
from immpd.model.news import SessionsEnd
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import (
    AccountAdd,
    AccountPasswd,
    AuthPassword,
    AuthResponse,
    AuthScram,
    AuthScramPlus,
    AuthSecret,
)
from immpd.protocol.errors import Refused
from immpd.protocol.scram import (
    MIN_ITERATIONS,
    PLAIN,
    PLUS,
    ScramError,
    ServerExchange,
    Verifier,
    check_parameters,
    decode_message,
    encode_message,
    unknown_verifier,
    verifier_from_h,
)
from immpd.protocol.secret import secret_matches
from immpd.protocol.states import State
from immpd.service.outcome import Outcome, Step
from immpd.service.ports import Randomness
from immpd.service.principal import Principal
from immpd.service.session import Session, handles
from immpd.store.accounts.directory import (
    Found,
    LogIn,
    SetVerifier,
    VerifierSet,
    account_for_login,
    set_verifier,
)
from immpd.store.units import Unit

from .guessing import Guesses
from .sealing import SALT_LENGTH, Sealer, SealError, account_salt, place_of_unknown

NONCE_SECONDS = 60
FRESH_SECONDS = 300
MAX_DEVICE = 64
_DECOY = "somebody@somewhere.example"


class AuthDesk:
    """What authentication keeps for all sessions: keys outside the database, and how guesses went lately."""

    def __init__(self, salt_key: bytes, sealer: Sealer, random: Randomness, guesses: Guesses) -> None:
        self.salt_key = salt_key
        self.sealer = sealer
        self.random = random
        self.guesses = guesses
        salt = random(SALT_LENGTH)
        self._decoy = (sealer.seal(random(32), _DECOY, "", salt, MIN_ITERATIONS), _DECOY, "", salt, MIN_ITERATIONS)

    def salt(self, address: str, device: str = "") -> bytes:
        """The salt of an account, the same whether it exists or not."""
        return account_salt(self.salt_key, address, device)

    def lookup(self, address: str) -> Unit[Found]:
        """Find an account; where the name is none, always the same other one, whose rounds are shown."""
        return account_for_login(LogIn(address, place_of_unknown(self.salt_key, address)))

    def verifier(self, address: str, found: Found, rounds: int) -> Verifier:
        """What a password is checked against; of a name that cannot log in one that none meets. At one cost."""
        account = found.account
        own = Verifier(account.salt, account.iterations, account.stored_key, account.server_key)
        return (unknown_verifier(self.salt(address), rounds, self.random), own)[can_log_in(found)]

    def h(self, address: str, found: Found, rounds: int) -> bytes:
        """The h of a password; of a name that cannot log in by SECRET one that no password has. At one cost."""
        account, h = found.account, self.random(32)
        own = (account.sealed or b"", address, "", account.salt, rounds)
        has_one = can_log_in(found) & (account.sealed is not None)
        try:
            opened = self.sealer.unseal(*(self._decoy, own)[has_one])
        except SealError:
            return h  # an answer can no longer be right, and looks like a wrong password
        return (h, opened)[has_one]


class Exchange(msgspec.Struct, gc=False):
    """A challenge that waits for its answer."""

    address: str
    device: str
    found: Found
    until: float
    scram: ServerExchange | None = None
    h: bytes = b""
    n1: UUID = UUID(int=0)
    n2: int = 0


def _checked_device(device: str) -> str:
    if len(device.encode()) > MAX_DEVICE or not is_shown(device):
        raise Refused(Code.BAD_VALUE, "BAD-DEVICE", f"A device label has at most {MAX_DEVICE} octets, all printable")
    return device


def can_log_in(found: Found) -> bool:
    """Whether the name is an account's that can; looks at all of it, whatever the first says."""
    account = found.account
    return found.is_named & (not account.disabled) & bool(account.stored_key)


@handles(AuthScram, AuthScramPlus)
def begin_scram(session: Session, request: AuthScram | AuthScramPlus, _: Any) -> Outcome:
    """Read client-first, look the account up, answer server-first (RFC 5802)."""
    session.exchange = None
    device = _checked_device(request.device)
    services = session.services
    mechanism = PLUS if isinstance(request, AuthScramPlus) else PLAIN
    try:
        scram = ServerExchange(mechanism, session.channel_binding, lambda: b64encode(services.random(18)).decode())
        address = _account_address(Imid.parse(scram.accept(request.data)))
    except (ScramError, ImidError) as error:
        raise counted_failure(session, str(error)) from None

    def challenge(found: Found) -> replies.ScramChallenge:
        rounds = found.account.iterations or services.authentication.iterations
        first = scram.server_first(services.desk.verifier(address, found, rounds))
        session.exchange = Exchange(address, device, found, services.clock.monotonic() + NONCE_SECONDS, scram)
        return replies.ScramChallenge(data=encode_message(first))

    return Step(services.desk.lookup(address), challenge)


@handles(AuthSecret)
def begin_secret(session: Session, request: AuthSecret, _: Any) -> Outcome:
    """Hand out the nonces and the key derivation's salt and rounds."""
    session.exchange = None
    services = session.services
    if not services.authentication.secret:
        raise Refused(Code.AUTH_FAILED, "NO-SECRET", "AUTH SECRET is not offered here; use AUTH SCRAM-SHA-256")
    device = _checked_device(request.device)
    try:
        address = _account_address(Imid.parse(request.account))
    except ImidError as error:
        raise Refused(Code.BAD_VALUE, "BAD-VALUE", f"ACCOUNT cannot be {request.account}: {error}") from None

    def challenge(found: Found) -> replies.SecretChallenge:
        desk = services.desk
        rounds = found.account.iterations or services.authentication.iterations
        salt = desk.verifier(address, found, rounds).salt
        h = desk.h(address, found, rounds)
        n1 = UUID(bytes=services.random(16), version=4)
        n2 = services.clock.now() // 1000
        until = services.clock.monotonic() + NONCE_SECONDS
        session.exchange = Exchange(address, device, found, until, h=h, n1=n1, n2=n2)
        return replies.SecretChallenge(n1=str(n1), n2=n2, kda="pbkdf2-sha256", salt=b64encode(salt).decode(), i=rounds)

    return Step(services.desk.lookup(address), challenge)


@handles(AuthResponse)
async def answer(session: Session, request: AuthResponse, _: Any) -> Outcome:
    """Check the answer; only here a session becomes somebody."""
    exchange, session.exchange = session.exchange, None
    services = session.services
    if exchange is None:
        raise Refused(
            Code.STATE, "STATE", "There is no challenge to answer; begin with AUTH SCRAM-SHA-256 or AUTH SECRET"
        )
    in_time = services.clock.monotonic() <= exchange.until
    block = network_of(session.peer)
    async with services.desk.guesses.judging(exchange.address, block, exchange.device) as guess:
        good, proof = _judge(exchange, request.answer)
        found = await services.store.read(services.desk.lookup(exchange.address))
        # Between challenge and answer the account may have been disabled, or got another password.
        is_same = found == exchange.found
        guess.right = good & in_time & is_same & can_log_in(found)
    if not guess.right:
        raise failed_attempt(session, exchange.address)
    session.principal = Principal(account=found.account, device=exchange.device)
    session.state = State.USER
    session.authenticated_at = services.clock.monotonic()
    session.id = services.ids.octets()
    session.since = services.clock.now()
    services.sessions.add(session)
    services.log.info("login accepted", account=exchange.address, device=exchange.device, peer=session.peer)
    return replies.Authenticated(text=f"Authentication accepted for {exchange.address}", v=proof)


def _judge(exchange: Exchange, answer: str) -> tuple[bool, str]:
    """Whether the answer is right, and the server's own proof."""
    if exchange.scram is None:
        return secret_matches(exchange.h, exchange.n1, exchange.n2, answer), ""
    try:
        return True, encode_message(exchange.scram.finish(decode_message(answer)))
    except ScramError:
        return False, ""


def failed_attempt(session: Session, name: str) -> Refused:
    """Count the failure and tell the operator; what is said of it is the same whatever was wrong."""
    session.services.log.warning("login refused", account=name, peer=session.peer)
    return counted_failure(session)


def counted_failure(session: Session, why: str = "The account or the password is wrong") -> Refused:
    """Count a failed attempt, of which the operator was told where a name was in it; how it is refused."""
    session.failures += 1
    if session.failures >= session.services.authentication.attempts:
        return Refused(Code.ATTEMPTS, "TOO-MANY-ATTEMPTS", "Too many failed attempts; good-bye")
    return Refused(Code.AUTH_FAILED, "AUTH-FAILED", why)


@handles(AuthPassword)
def change_password(session: Session, request: AuthPassword, _: Any) -> Outcome:
    """Store the new verifier; the log-in must be of the last 5 minutes."""
    account = session.principal.person
    if session.services.clock.monotonic() - session.authenticated_at > FRESH_SECONDS:
        raise Refused(Code.DENIED, "LOG-IN-AGAIN", "Changing the password wants a log-in of the last 5 minutes")
    return store_password(session, request, account.address, account.salt, "The password is changed")


def store_password(
    session: Session, request: AuthPassword | AccountPasswd, address: str, salt: bytes, text: str
) -> Step:
    """Store it, which ends the account's other sessions unless they are to stay; name the tokens that still work."""
    services = session.services
    new = new_verifier(session, address, salt, request)
    others = SessionsEnd(address, "password", but=new.but)
    ended = len(services.sessions.meant(others)) if new.ends_sessions else 0  # once it is stored they are gone

    def done(changed: VerifierSet) -> replies.PasswordChanged:
        if session.principal.account is not None:
            session.principal = msgspec.structs.replace(session.principal, account=changed.account)
        tokens = changed.tokens
        services.log.info("password changed", account=address, peer=session.peer, ended=ended, tokens=len(tokens))
        return replies.PasswordChanged(ended=ended, tokens=tokens, text=text)

    return Step(set_verifier(new), done)


def new_verifier(
    session: Session, address: str, salt: bytes, given: AuthPassword | AccountAdd | AccountPasswd
) -> SetVerifier:
    """A checked verifier as the store takes it, made with the account's salt; raises Refused."""
    stored, server, i, secret = given.stored, given.server, given.i, given.secret
    if stored is None or server is None or i is None:
        raise Refused(Code.BAD_VALUE, "BAD-VERIFIER", "A verifier is STORED, SERVER and I together")
    try:
        check_parameters(salt, i)
    except ScramError as error:
        raise Refused(Code.BAD_VALUE, "BAD-VERIFIER", str(error)) from None
    if len(stored) != 32 or len(server) != 32 or (secret is not None and len(secret) != 32):
        raise Refused(Code.BAD_VALUE, "BAD-VERIFIER", "STORED, SERVER and SECRET have 32 octets each")
    sealed = None
    if secret is not None:
        if verifier_from_h(secret, salt, i).stored_key != stored:
            raise Refused(Code.BAD_VALUE, "BAD-VERIFIER", "SECRET is not what STORED was made from")
        if session.services.authentication.secret:
            sealed = session.services.desk.sealer.seal(secret, address, "", salt, i)
    remove_tokens = not isinstance(given, AccountAdd) and given.remove_tokens
    ends_sessions = not isinstance(given, AccountAdd) and not given.keep_sessions
    return SetVerifier(address, salt, i, stored, server, sealed, remove_tokens, ends_sessions, session.id)


def _account_address(imid: Imid) -> str:
    if imid.is_own_box or imid.path or imid.ids or imid.folder or imid.filter is not None or imid.options:
        raise Refused(Code.AUTH_FAILED, "AUTH-FAILED", "An account is written name@domain")
    return imid.address
