"""What a test of ``immp`` works with."""

import json
from collections.abc import Awaitable, Callable

import msgspec
from tests.serving import ITERATIONS, Account, Serving

from immpd.cli.person.profile import Profile


class Result(msgspec.Struct, frozen=True):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str
    octets: bytes
    """Standard output, octet for octet."""

    @property
    def rows(self) -> list[dict]:
        """The JSON objects of its lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def cells(self) -> list[list[str]]:
        """Lines with tabs, as a table has them outside a terminal."""
        return [line.split("\t") for line in self.out.splitlines()]


Immp = Callable[..., Awaitable[Result]]


def profile_of(serving: Serving, account: Account, **changes) -> Profile:
    """The log-in of an account, as immp login keeps it."""
    host, port = serving.listen
    salt = serving.services.desk.salt(account.address)
    settings = {"server": f"{host}:{port}", "device": "laptop", "h": account.h, "salt": salt, **changes}
    return Profile(address=account.address, iterations=ITERATIONS, **settings)
