"""What every store promises, whatever it is built on.

Three rules: an answer of a write comes after its commit is on disk; a submitted unit is never
cancelled, a lost caller only drops its answer; a unit that fails changes nothing, tells nothing and
harms no other unit. What units told goes to the Audience after the commit, in their order, once, also
where nobody waits for the answer any more; then they are answered.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from immpd.model.news import News
from immpd.store.errors import StoreError
from immpd.store.units import Unit, Work

R = TypeVar("R")

Done = Callable[[Any, BaseException | None], None]
"""Called once with (result, None) or (None, error)."""


class Audience(Protocol):
    """Whom a store tells what was committed: the bus."""

    def publish(self, news: Sequence[News]) -> None:
        """Tell this; whoever then reads in the store sees it there."""

    def gap(self) -> None:
        """Something may have been committed of which nobody was told."""


class Nobody:
    """The Audience of a store whose news nobody waits for."""

    def publish(self, news: Sequence[News]) -> None:
        """Tell nobody."""

    def gap(self) -> None:
        """Tell nobody."""


class Store(Protocol):
    """Durable state. All methods belong to the event loop's thread."""

    @property
    def epoch(self) -> str:
        """Eight hex digits, renewed by a restore: what makes old states and cursors recognisable."""

    against: StoreError | None
    """Why nothing can be written at present; None while it can. Reads go on, and writing by itself once it can be."""

    @property
    def saturated(self) -> bool:
        """True while too much waits to be committed: stop reading from clients until ``on_room`` calls."""

    def on_room(self, call: Callable[[], None]) -> None:
        """Call this once, when the store is no longer saturated (at once if it is not)."""

    def submit(self, unit: Unit[Any], done: Done) -> None:
        """Take a unit. A read on SQLite runs at once and ``done`` is called before this returns."""

    def reason_against(self, work: Work[Any, Any]) -> StoreError | None:
        """Why a unit of this work would be refused now, as far as that is known without trying it."""

    async def write(self, unit: Unit[R]) -> R:
        """Run a unit that changes the store and return its result once it is on disk."""

    async def read(self, unit: Unit[R]) -> R:
        """Run a unit that only reads and return its result; on SQLite this does not suspend."""

    def renew(self) -> None:
        """What is read from now on includes all that any process has committed by now.

        Without it, and without a commit of this process, what is read may be some tenths of a second old.
        """

    async def check_file(self) -> list[str]:
        """What the database itself says is wrong with its file; empty if nothing. Others work meanwhile."""

    async def give_back(self) -> None:
        """While room is short: give the disk what the database no longer needs, in steps."""

    async def close(self) -> None:
        """Commit what was submitted and let go of everything."""
