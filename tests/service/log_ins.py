"""Log-ins without a connection and without waiting, for tests that compare what each costs."""

from typing import Any

from immpd.protocol import scram
from immpd.protocol.commands import AuthResponse, AuthScram, AuthSecret
from immpd.protocol.errors import Refused
from immpd.protocol.registry import Request
from immpd.service.outcome import Step
from immpd.service.session import Session


def ask(session: Session, request: Request[Any]) -> bytes:
    """One command from its arrival to what is said; nothing of it may have to wait."""
    outcome: Any = session.begin(request)
    try:
        if isinstance(outcome, Step):
            results: list[Any] = []
            session.services.store.submit(outcome.unit, lambda result, _: results.append(result))
            outcome = outcome.then(results[0])
        else:
            outcome.send(None)
            raise AssertionError("A guess waited")
    except StopIteration as done:
        outcome = done.value
    except Refused as error:
        return error.line_text().encode()
    octets: bytes = outcome.encode()
    return octets


class ByScram:
    """AUTH SCRAM-SHA-256 with a wrong password."""

    def __init__(self, address: str) -> None:
        self._client = scram.ClientExchange(address, scram.PLAIN, None, scram.new_nonce)
        self.first: Request[Any] = AuthScram(data=self._client.first())

    def answer(self, said: bytes) -> Request[Any]:
        """What follows the server's challenge."""
        self._client.challenge(scram.decode_message(said.decode().split()[1]))
        return AuthResponse(answer=scram.encode_message(self._client.final(bytes(32))))


class BySecret:
    """AUTH SECRET with a wrong answer."""

    def __init__(self, address: str) -> None:
        self.first: Request[Any] = AuthSecret(account=address)

    def answer(self, said: bytes) -> Request[Any]:
        """What follows the server's challenge."""
        assert said.startswith(b"302 ")
        return AuthResponse(answer="00" * 20)
