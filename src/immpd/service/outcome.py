"""What a handler says comes next. The session drives it; a handler never writes to a connection.

    Reply       the answer
    Step        a unit of work for the store, and what to do with its result
    Page        octets of a long answer that are ready, and how to get the next
    Rows        the same as values: some rows of a list that is long, and how to get the next
    Wait        nothing yet: call back when there is more (WATCH)
    coroutine   network, files, waiting: the only one that costs a task

Rules: a long answer is a chain of pages, each read by its own small unit, so no cursor is held while
a client is slow; whoever drives may stop between any two links (docs/why/handlers.md).
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar, final

import msgspec

from immpd.protocol.errors import Refused
from immpd.protocol.lines import Words
from immpd.protocol.replies import Reply
from immpd.store.units import Unit


@final
class Step(msgspec.Struct, gc=False):
    """Run ``unit``; ``then`` makes the next outcome from its result."""

    unit: Unit[Any]
    then: Callable[[Any], "Outcome"]
    failed: Callable[[BaseException], "Outcome"] | None = None
    """Makes the next outcome from a store's error; without it the error is the answer."""


@final
class Page(msgspec.Struct, gc=False):
    """Ready pieces of an answer; ``then`` is called when they were written."""

    pieces: list[bytes]
    """Each begins where a line begins and ends where one ends; the pipeline's prefix goes before each."""
    then: Callable[[], "Outcome"]


@final
class Rows(msgspec.Struct, gc=False):
    """Rows of a list; ``then`` is called when they were written. The reply at the end has the last of them, or none."""

    rows: list[Words]
    then: Callable[[], "Outcome"]

    def page(self) -> Page:
        """As octets."""
        return Page([f"{row.CODE:d}- {row.to_text()}\n".encode() for row in self.rows], self.then)


class Waker(Protocol):
    """Who waits: told when there is something to say."""

    def wake(self) -> None:
        """Ask the outcome that follows."""

    def say(self, octets: bytes) -> bool:
        """Say whole lines and go on waiting; False where the peer takes nothing now."""


@final
class Wait(msgspec.Struct, gc=False):
    """Nothing to say until the waker (given to ``arm``) is told; once it was woken, ``then`` is asked."""

    arm: Callable[[Waker], None]
    then: Callable[[], "Outcome"]


class Attached(Protocol):
    """What a command has besides its request, from the moment its line is read (``Session.arrive``)."""

    def cancelled(self) -> None:
        """The command will not run, or not go on: let go of everything."""


class Taker(Attached, Protocol):
    """Who takes the octets that follow a command."""

    def whole(self, octets: bytes) -> None:
        """All of them at once."""

    def take(self, octets: bytes, last: bool) -> None:
        """Some of them, in order."""

    def fail(self, error: Refused) -> None:
        """They were not what they should be."""


Outcome: TypeAlias = "Reply | Step | Page | Rows | Wait | Coroutine[Any, Any, Outcome]"

T = TypeVar("T")


def in_pages(
    found: Sequence[T], row_of: Callable[[T], Words], end: Callable[[], Reply], count: int = 100, at: int = 0
) -> Outcome:
    """A list that was read at once, ``count`` rows a page; ``end`` makes the final line."""
    page = found[at : at + count]
    if not page:
        return end()
    return Rows([row_of(one) for one in page], lambda: in_pages(found, row_of, end, count, at + count))
