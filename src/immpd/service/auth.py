"""Who is it: SCRAM, the shared secret of IMMP 1.0, and a change of password.

Rules: an unknown account and a wrong secret take the same road, look the same and cost the same; an
account is never locked, failures only slow down one (account, address); a nonce answers once and
lives 60 s; nothing here compares a password (docs/protocol.md, "Authentication").
"""

from base64 import b64encode
from collections import OrderedDict
from typing import Any
from uuid import UUID

import msgspec

from immpd.model.ending import SessionsEnd
from immpd.model.imid import Imid, ImidError, parse_imid
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
from immpd.store.accounts import (
    Account,
    ByAddress,
    Found,
    LogIn,
    SetVerifier,
    VerifierSet,
    account_by_address,
    account_for_login,
    set_verifier,
)
from immpd.store.units import Unit

from .outcome import Outcome, Step
from .ports import Clock, Randomness
from .sealing import Sealer, SealError, account_salt, place_of_unknown
from .session import Session, handles

NONCE_SECONDS = 60
FRESH_SECONDS = 300
MAX_DEVICE = 64
_REMEMBERED = 10_000
_FREE_FAILURES = 2
_LONGEST_DELAY = 30.0


class AuthDesk:
    """What authentication keeps for all sessions: keys outside the database, and who failed lately."""

    def __init__(self, salt_key: bytes, sealer: Sealer, clock: Clock, random: Randomness) -> None:
        self.salt_key = salt_key
        self.sealer = sealer
        self.clock = clock
        self.random = random
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def salt(self, address: str, device: str = "") -> bytes:
        """The salt of an account, the same whether it exists or not."""
        return account_salt(self.salt_key, address, device)

    def lookup(self, address: str) -> Unit[Found]:
        """Find an account and the rounds to show; a name that is none shows those of some account, always the same."""
        return account_for_login(LogIn(address, place_of_unknown(self.salt_key, address)))

    def delay(self, address: str, peer: str) -> float:
        """Seconds that the next answer for this account and peer address has to wait."""
        count, since = self._failures.get((address, peer), (0, 0.0))
        if count <= _FREE_FAILURES or self.clock.monotonic() - since > 900:
            return 0.0
        return float(min(_LONGEST_DELAY, 2 ** (count - _FREE_FAILURES - 1)))

    def failed(self, address: str, peer: str) -> None:
        """Remember a failure; the oldest are forgotten first."""
        key = (address, peer)
        count, _ = self._failures.pop(key, (0, 0.0))
        self._failures[key] = (count + 1, self.clock.monotonic())
        if len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, address: str, peer: str) -> None:
        """Forget the failures."""
        self._failures.pop((address, peer), None)


class Exchange(msgspec.Struct, gc=False):
    """A challenge that waits for its answer."""

    address: str
    device: str
    account: Account | None
    until: float
    scram: ServerExchange | None = None
    h: bytes = b""
    n1: UUID | None = None
    n2: int = 0


def _checked_device(device: str) -> str:
    if len(device.encode()) > MAX_DEVICE or not device.isprintable():
        raise Refused(Code.BAD_VALUE, "BAD-DEVICE", f"A device label has at most {MAX_DEVICE} octets, all printable")
    return device


def _usable(account: Account | None) -> Account | None:
    return account if account is not None and not account.disabled and account.stored_key else None


@handles(AuthScram, AuthScramPlus)
def begin_scram(session: Session, request: AuthScram | AuthScramPlus, _: Any) -> Outcome:
    """Read client-first, look the account up, answer server-first (RFC 5802)."""
    session.exchange = None
    device = _checked_device(request.device)
    services = session.services
    mechanism = PLUS if isinstance(request, AuthScramPlus) else PLAIN
    try:
        scram = ServerExchange(mechanism, session.channel_binding, lambda: b64encode(services.random(18)).decode())
        name = scram.accept(request.data)
        address = _account_address(parse_imid(name))
    except (ScramError, ImidError) as error:
        raise Refused(Code.AUTH_FAILED, "AUTH-FAILED", str(error)) from None

    def challenge(found: Found) -> replies.ScramChallenge:
        account = _usable(found.account)
        rounds = found.rounds or services.authentication.iterations
        verifier = (
            Verifier(account.salt, account.iterations, account.stored_key, account.server_key)
            if account is not None
            else unknown_verifier(services.desk.salt(address), rounds, services.random)
        )
        first = scram.server_first(verifier)
        session.exchange = Exchange(address, device, account, services.clock.monotonic() + NONCE_SECONDS, scram)
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
    address = _account_address(request.account)

    def challenge(found: Found) -> replies.SecretChallenge:
        account = _usable(found.account)
        desk = services.desk
        salt = desk.salt(address) if account is None else account.salt
        rounds = found.rounds or services.authentication.iterations
        h = services.random(32)
        if account is not None and account.sealed:
            try:
                h = desk.sealer.unseal(account.sealed, address, "", salt, rounds)
            except SealError:
                pass  # an answer can no longer be right, and looks like a wrong password
        n1 = UUID(bytes=services.random(16), version=4)
        n2 = services.clock.now() // 1000
        until = services.clock.monotonic() + NONCE_SECONDS
        session.exchange = Exchange(address, device, account, until, h=h, n1=n1, n2=n2)
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
    proof = ""
    good = exchange.account is not None and services.clock.monotonic() <= exchange.until
    delay = services.desk.delay(exchange.address, session.peer)
    if delay:
        await services.clock.sleep(delay)
    if exchange.scram is not None:
        try:
            proof = encode_message(exchange.scram.finish(decode_message(request.answer)))
        except ScramError:
            good = False
    else:
        assert exchange.n1 is not None
        good = secret_matches(exchange.h, exchange.n1, exchange.n2, request.answer) and good

    def confirmed(account: Account | None) -> replies.Authenticated:
        # Between challenge and answer the account may have been disabled, or got another password.
        if not good or _usable(account) is None or account != exchange.account:
            services.desk.failed(exchange.address, session.peer)
            raise failed_attempt(session, exchange.address)
        services.desk.succeeded(exchange.address, session.peer)
        session.account = account
        session.device = exchange.device
        session.state = State.USER
        session.authenticated_at = services.clock.monotonic()
        session.id = services.ids.octets()
        session.since = services.clock.now()
        services.log.info("login accepted", account=exchange.address, device=exchange.device, peer=session.peer)
        return replies.Authenticated(text=f"Authentication accepted for {exchange.address}", v=proof)

    return Step(account_by_address(ByAddress(exchange.address)), confirmed)


def failed_attempt(session: Session, name: str) -> Refused:
    """Count the failure and tell the operator; what is said of it is the same whatever was wrong."""
    session.services.log.warning("login refused", account=name, peer=session.peer)
    return counted_failure(session)


def counted_failure(session: Session) -> Refused:
    """Count a failed attempt, of which the operator was told; how it is refused."""
    session.failures += 1
    if session.failures >= session.services.authentication.attempts:
        return Refused(Code.ATTEMPTS, "TOO-MANY-ATTEMPTS", "Too many failed attempts; good-bye")
    return Refused(Code.AUTH_FAILED, "AUTH-FAILED", "The account or the password is wrong")


@handles(AuthPassword)
def change_password(session: Session, request: AuthPassword, _: Any) -> Outcome:
    """Store the new verifier; the log-in must be of the last 5 minutes."""
    account = session.account
    assert account is not None
    if session.services.clock.monotonic() - session.authenticated_at > FRESH_SECONDS:
        raise Refused(Code.DENIED, "LOG-IN-AGAIN", "Changing the password wants a log-in of the last 5 minutes")
    unit = set_verifier(new_verifier(session, account.address, account.salt, request))

    def done(changed: VerifierSet) -> replies.PasswordChanged:
        session.account = changed.account
        return password_changed(session, request, changed, "The password is changed")

    return Step(unit, done)


def password_changed(
    session: Session, request: AuthPassword | AccountPasswd, changed: VerifierSet, text: str
) -> replies.PasswordChanged:
    """End the account's other sessions, unless they are to stay; name the tokens that still work."""
    services = session.services
    address = changed.account.address
    ended = 0
    if not request.keep_sessions:
        end = SessionsEnd(address, "password", but=session.id)
        ended = len(services.sessions.meant(end))
        services.ends.publish(end)
    services.log.info("password changed", account=address, peer=session.peer, ended=ended, tokens=len(changed.tokens))
    return replies.PasswordChanged(ended=ended, tokens=changed.tokens, text=text)


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
    return SetVerifier(address, salt, i, stored, server, sealed, remove_tokens)


def _account_address(imid: Imid) -> str:
    if imid.is_own_box or imid.path or imid.ids or imid.folder or imid.filter is not None or imid.options:
        raise Refused(Code.AUTH_FAILED, "AUTH-FAILED", "An account is written name@domain")
    return imid.address
