"""Units of work: what a store is asked to do, as values.

Three rules: a unit is a registered plain function of a module and a frozen argument struct,
never a closure, so that another process can run it; it reads only its arguments and its Tx
(ids, times and files of bodies are made before it) and may run more than once; it touches at
most ROWS_PER_UNIT rows, and what touches more is done in steps, each a unit of its own.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec

from immpd.model.news import News

ROWS_PER_UNIT = 1000
"""Rows that one unit may touch."""

DEFAULT_WEIGHT = 256
"""Octets that a unit counts for in the waiting queue when its arguments have no ``weight``."""

A = TypeVar("A")
A_contra = TypeVar("A_contra", contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

Lockable = Literal["account", "node", "node name", "fan-out", "mailbox"]

LOCKS: dict[Lockable, tuple[str, str]] = {
    "account": ("account", "id"),
    "node": ("node", "id"),
    "node name": ("node", "imid"),
    "fan-out": ("fan_out", "item"),
    "mailbox": ("mailbox_state", "mailbox"),
}
"""What ``Tx.lock`` can lock: by which table and column the rows are found, in the order in which they are locked."""

Room = Literal["keeps", "grows", "frees"]
"""What a unit that writes does to the room on the disk: about nothing, takes some, or (in the end) gives some back."""

Row = tuple[Any, ...]
Params = Sequence[Any] | dict[str, Any]


class Tx(Protocol):
    """One transaction, as a unit sees it. Placeholders are ``:name`` with a dict or ``?`` with a sequence.

    SQL is portable: UUIDs are 16-octet blobs, times integer milliseconds UTC, JSON text or octets,
    new ids come from ``take_ids`` or RETURNING.
    """

    def execute(self, sql: str, params: Params = ()) -> Iterator[Row]:
        """Run one statement and go through its rows; a statement without rows has run when this returns."""

    def rows(self, sql: str, params: Params = ()) -> list[Row]:
        """Run one statement and return all its rows."""

    def one(self, sql: str, params: Params = ()) -> Row | None:
        """Run one statement and return its first row or None."""

    def executemany(self, sql: str, many: Iterable[Params]) -> int:
        """Run one statement for each set of parameters; return how many rows were changed in all."""

    def rows_of_many(self, sql: str, many: Iterable[Params]) -> list[Row]:
        """Run one statement for each set of parameters and return all rows, in that order."""

    def take_ids(self, table: str, count: int) -> int:
        """Reserve ``count`` successive integer keys of ``table``; return the first."""

    def lock(self, kind: Lockable, keys: Iterable[Any]) -> None:
        """Keep others from changing these rows, and what hangs on them, until commit (LOCKS).

        Call it before reading what you change by more than a relative or conditional UPDATE; where several kinds are
        wanted in the order in which LOCKS names them, else two units may wait for each other and one runs again.
        """

    def tell(self, *news: News) -> None:
        """Have this told once the commit is on disk, and never if the unit fails; only units that write tell."""


Many = TypeVar("Many", bound=Callable[[Tx, Any], Sequence[Any]])


class Unit(msgspec.Struct, Generic[R_co], frozen=True):
    """One thing to do: a registered work and its arguments."""

    work: "Work[Any, R_co]"
    args: Any
    weight: int = DEFAULT_WEIGHT
    """Octets that it counts for while it waits."""


class Work(Generic[A_contra, R_co]):
    """A registered function of ``(tx, args)``. Calling it with arguments makes the Unit to hand to a store."""

    __slots__ = ("_weighs", "name", "room", "run", "run_many", "writes")

    def __init__(self, run: Callable[[Tx, A_contra], R_co], *, writes: bool, room: Room = "keeps") -> None:
        self.run = run
        self.room = room
        self.run_many: Callable[[Tx, Sequence[Any]], Sequence[Any]] | None = None
        self.name = f"{run.__module__}.{run.__qualname__}"
        self.writes = writes
        self._weighs: bool | None = None
        if self.name in REGISTRY:
            raise ValueError(f"two works are named {self.name}")
        REGISTRY[self.name] = self

    def __call__(self, args: A_contra) -> Unit[R_co]:
        """The unit that runs this work with ``args``; its weight is ``args.weight`` where there is one."""
        weighs = self._weighs
        if weighs is None:
            weighs = self._weighs = hasattr(args, "weight")
        return Unit(self, args, args.weight if weighs else DEFAULT_WEIGHT)  # type: ignore[attr-defined]

    def batched(self, run_many: Many) -> Many:
        """Register how many of these run as one: a result for each, in order, or an error to run each alone."""
        self.run_many = run_many
        return run_many

    def __repr__(self) -> str:
        return f"<Work {self.name}>"


REGISTRY: dict[str, Work[Any, Any]] = {}
"""Every work by name (module and function), so that a unit can be sent to another process."""


def read_unit(run: Callable[[Tx, A], R]) -> Work[A, R]:
    """Register a function that only reads. It sees committed state, all of it of one instant."""
    return Work(run, writes=False)


def write_unit(run: Callable[[Tx, A], R]) -> Work[A, R]:
    """Register a function that changes the store. All of it is on disk when the answer comes, or nothing."""
    return Work(run, writes=True)


def growing_unit(run: Callable[[Tx, A], R]) -> Work[A, R]:
    """Register a function that adds what may be large: it is the first that is refused when room runs short."""
    return Work(run, writes=True, room="grows")


def freeing_unit(run: Callable[[Tx, A], R]) -> Work[A, R]:
    """Register a function that removes: it goes on when nothing else can be written, and may use the reserve."""
    return Work(run, writes=True, room="frees")
