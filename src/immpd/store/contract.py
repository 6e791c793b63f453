"""What every store promises, whatever it is built on.

Three rules: an answer of a write comes after its commit is on disk; a submitted unit is never
cancelled, a lost caller only drops its answer; a unit that fails changes nothing and harms no
other unit.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from immpd.store.units import Unit

R = TypeVar("R")

Done = Callable[[Any, BaseException | None], None]
"""Called once with (result, None) or (None, error)."""


class Store(Protocol):
    """Durable state. All methods belong to the event loop's thread."""

    @property
    def epoch(self) -> str:
        """Eight hex digits, renewed by a restore: what makes old states and cursors recognisable."""

    @property
    def saturated(self) -> bool:
        """True while too much waits to be committed: stop reading from clients until ``on_room`` calls."""

    def on_room(self, call: Callable[[], None]) -> None:
        """Call this once, when the store is no longer saturated (at once if it is not)."""

    def submit(self, unit: Unit[Any], done: Done) -> None:
        """Take a unit. A read on SQLite runs at once and ``done`` is called before this returns."""

    async def write(self, unit: Unit[R]) -> R:
        """Run a unit that changes the store and return its result once it is on disk."""

    async def read(self, unit: Unit[R]) -> R:
        """Run a unit that only reads and return its result; on SQLite this does not suspend."""

    async def check_file(self) -> list[str]:
        """What the database itself says is wrong with its file; empty if nothing. Others work meanwhile."""

    async def close(self) -> None:
        """Commit what was submitted and let go of everything."""
