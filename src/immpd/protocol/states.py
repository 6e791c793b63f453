"""The states of a connection, and what moves it from one to the next: a table.

docs/protocol.md draws its picture of the states from ``TRANSITIONS``, and the session obeys it.
"""

from enum import IntEnum


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
