"""The states of a connection, and what moves it from one to the next: a table.

docs/protocol.md draws its picture of the states from ``TRANSITIONS``, and the session obeys it.
"""

from collections.abc import Iterable
from enum import IntEnum

from .codes import Code
from .errors import StateFault


class State(IntEnum):
    """Where a connection stands (docs/protocol.md, "States")."""

    CLEAR = 1
    UNAUTHENTICATED = 2
    USER = 3
    DOMAIN = 4
    OPERATOR = 5


STATE_NAMES: dict[State, str] = {
    State.CLEAR: "in clear",
    State.UNAUTHENTICATED: "not authenticated",
    State.USER: "a local user",
    State.DOMAIN: "a remote domain",
    State.OPERATOR: "the operator",
}

NEEDED: dict[State, str] = {
    State.CLEAR: "it belongs before encryption",
    State.UNAUTHENTICATED: "it belongs before authentication",
    State.USER: "log in with AUTH first",
    State.DOMAIN: "a domain must prove itself first",
    State.OPERATOR: "it is for the operator, on the server's own socket",
}
"""What a client would have to do to be in that state."""


def only_in_tls() -> StateFault:
    """The answer to whatever comes in clear and does not belong there."""
    return StateFault("In clear only UPGRADE and QUIT are answered; UPGRADE TLS first", Code.CLEAR, "UPGRADE-FIRST")


def not_now(name: str, states: Iterable[State], state: State) -> StateFault:
    """The answer to the command ``name`` of ``states`` in another state."""
    if state is State.CLEAR:
        return only_in_tls()
    needed = " or ".join(NEEDED[one] for one in sorted(states))
    return StateFault(f"{name} is not available now: {needed}")


TRANSITIONS: tuple[tuple[State, str, State], ...] = (
    (State.CLEAR, "UPGRADE", State.UNAUTHENTICATED),
    (State.UNAUTHENTICATED, "AUTH RESPONSE", State.USER),
)
"""(from, the command whose success does it, to). OPERATOR is where the operator's socket begins."""

TLS_UP = frozenset({State.UNAUTHENTICATED, State.USER, State.DOMAIN, State.OPERATOR})
MEMBER = frozenset({State.USER})
SENDER = frozenset({State.USER, State.DOMAIN})
OPERATOR = frozenset({State.OPERATOR})
EVERY = frozenset(State)
