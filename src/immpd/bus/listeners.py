"""Who listens to what, by number, and telling many by turns.

Rule: nobody's failure may deafen the others.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from .port import Stop

N = TypeVar("N")
"""What they are told."""
Told = Callable[[N], None]

AT_ONCE = 128
"""Listeners that are told before others have their turn."""


class Listeners(Generic[N]):
    """Listeners of one kind of news, by the number of what they listen to."""

    __slots__ = ("_by_number", "_next")

    def __init__(self) -> None:
        self._by_number: dict[int, dict[int, Told[N]]] = {}
        self._next = 0

    def add(self, number: int, listener: Told[N]) -> Stop:
        """Listen; returns the function that ends it."""
        self._next += 1
        token = self._next
        self._by_number.setdefault(number, {})[token] = listener

        def stop() -> None:
            listeners = self._by_number.get(number)
            if listeners is not None and listeners.pop(token, None) is not None and not listeners:
                del self._by_number[number]

        return stop

    def __contains__(self, number: int) -> bool:
        return number in self._by_number

    def __bool__(self) -> bool:
        return bool(self._by_number)

    def __len__(self) -> int:
        return sum(map(len, self._by_number.values()))

    def of(self, number: int) -> tuple[Told[N], ...]:
        """Those who listen to this."""
        return tuple(self._by_number.get(number, {}).values())

    def all(self) -> tuple[Told[N], ...]:
        """All of them."""
        return tuple([one for listeners in self._by_number.values() for one in listeners.values()])

    def tell(self, number: int, news: N) -> None:
        """Tell those who listen to this, at once."""
        for listener in self.of(number):
            _tell(listener, news)


def tell_in_turns(listeners: tuple[Told[N], ...], news: N, then: Callable[[], None] | None = None, at: int = 0) -> None:
    """Tell all of these, some now and the others after others had their turn; at last call ``then`` from the loop."""
    loop = asyncio.get_running_loop()
    for listener in listeners[at : at + AT_ONCE]:
        try:  # here, not in a function: there may be thousands
            listener(news)
        except Exception as failed:
            loop.call_exception_handler({"message": "a listener failed", "exception": failed})
    at += AT_ONCE
    if at < len(listeners):
        loop.call_soon(tell_in_turns, listeners, news, then, at)
    elif then is not None:
        loop.call_soon(then)


def _tell(listener: Told[N], news: N) -> None:
    try:
        listener(news)
    except Exception as failed:
        asyncio.get_running_loop().call_exception_handler({"message": "a listener failed", "exception": failed})
