"""How often a password may be guessed: slower and slower, and never so that strangers keep the owner out.

Rules: a guess counts from when it begins, and one at a time is judged of an account and address block; a block has
an allowance over all accounts; what is remembered is bounded, and no delay that still holds is ever forgotten to
make room: who finds no room shares what is there; all of it is the same for names that are no account
(docs/protocol.md, "Guessing"; docs/why/guessing.md). This is of one process, and so is its memory.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from math import ceil
from typing import Generic, Protocol, TypeVar

from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
from immpd.service.ports import Clock

FREE = 3
"""Guesses of an account and block that wait for nothing."""
LONGEST = 30.0
MEMORY = 900.0
"""Seconds after the last guess until failures are forgotten."""
WAITING = 4
"""Guesses that may wait for their turn where each is delayed."""
ALLOWANCE = 20
"""Wrong guesses of a block over all accounts that are judged, where nothing else is set."""
PER_MINUTE = 1
"""Of them come back."""
LATELY = 30 * 86_400.0
"""Seconds for which a block and device that logged in are known."""
PLACES = 16
"""Blocks and devices that are known of an account, the latest."""
ROOM = 20_000
"""Lanes, allowances and accounts that are remembered each."""
SHARED = 256
"""Among how many those share for whom there is no room."""


class Lane:
    """Guesses that are judged one after the other."""

    __slots__ = ("at", "failures", "lock", "wanted")

    def __init__(self) -> None:
        self.failures = 0
        """Guesses that began and were not right, since the last that was."""
        self.at = 0.0
        """When the last began; monotonic seconds."""
        self.wanted = 0
        """Guesses that wait or are being judged."""
        self.lock = asyncio.Lock()

    def holds(self, now: float) -> bool:
        """Whether there is something to remember."""
        return self.wanted > 0 or (self.failures > 0 and now - self.at <= MEMORY)

    def delay(self, now: float) -> float:
        """Seconds that the next guess waits: 1 after the free ones, then twice as long each time."""
        if self.failures < FREE or now - self.at > MEMORY:
            return 0.0
        return min(LONGEST, 2.0 ** min(self.failures - FREE, 10))


class Allowance:
    """Wrong guesses of a block."""

    __slots__ = ("at", "used")

    def __init__(self) -> None:
        self.used = 0.0
        """Wrong guesses that have not come back."""
        self.at = 0.0
        """As of when; monotonic seconds."""

    def count(self, now: float) -> float:
        """How many are used now."""
        self.used = max(0.0, self.used - max(0.0, now - self.at) * PER_MINUTE / 60)
        self.at = now
        return self.used

    def holds(self, now: float) -> bool:
        """Whether there is something to remember."""
        return self.count(now) > 0


class Remembered(Protocol):
    """What is remembered until it holds no longer."""

    def holds(self, now: float) -> bool:
        """Whether there is something to remember; ``now`` in monotonic seconds."""


M = TypeVar("M", bound=Remembered)


class _Memory(Generic[M]):
    """What is remembered by key, the longest untouched first; for whom there is no room, a share."""

    def __init__(self, kind: Callable[[], M], room: int) -> None:
        self._kind = kind
        self._room = room
        self._by_key: OrderedDict[Hashable, M] = OrderedDict()
        self._shared: list[M] = []

    def __len__(self) -> int:
        return len(self._by_key) + len(self._shared)

    def get(self, key: Hashable, now: float) -> M:
        """What is remembered of this key, made where nothing is."""
        found = self._by_key.get(key)
        if found is not None:
            self._by_key.move_to_end(key)
            return found
        while self._by_key and not next(iter(self._by_key.values())).holds(now):
            self._by_key.popitem(last=False)
        if len(self._by_key) >= self._room:
            if not self._shared:
                self._shared = [self._kind() for _ in range(SHARED)]
            return self._shared[hash(key) % SHARED]
        made = self._by_key[key] = self._kind()
        return made

    def forget(self, key: Hashable, now: float) -> None:
        """Give the room back where nothing is to be remembered."""
        found = self._by_key.get(key)
        if found is not None and not found.holds(now):
            del self._by_key[key]


class Guess:
    """One guess that is being judged; set ``right`` where it is."""

    __slots__ = ("right",)

    def __init__(self) -> None:
        self.right = False


class Guesses:
    """What is remembered of guesses by all sessions of this process.

    ``allowed``: wrong guesses of an address block over all accounts; ``room``: how much is remembered of each kind.
    """

    def __init__(self, clock: Clock, allowed: int = ALLOWANCE, room: int = ROOM) -> None:
        self._clock = clock
        self._allowed = allowed
        self._room = room
        self._lanes: _Memory[Lane] = _Memory(Lane, room)
        self._own: _Memory[Lane] = _Memory(Lane, room)
        """Of devices that logged in lately: whoever fills the others' room with invented names gets none of this."""
        self._allowances: _Memory[Allowance] = _Memory(Allowance, room)
        self._known: OrderedDict[str, OrderedDict[tuple[str, str], float]] = OrderedDict()
        """By account, where it logged in lately: block and device, and when."""

    def __len__(self) -> int:
        return len(self._lanes) + len(self._own) + len(self._allowances) + len(self._known)

    @asynccontextmanager
    async def judging(self, account: str, block: str, device: str) -> AsyncIterator[Guess]:
        """Wait until a guess of this account from this address block may be judged, and learn what came of it.

        Raises Refused where too many wait already, or the block has used up its allowance.
        """
        now = self._clock.monotonic()
        lanes, key = self._lane_of(account, block, device, now)
        lane = lanes.get(key, now)
        if lane.wanted >= WAITING and lane.delay(now):
            raise _too_many(lane.delay(now) * WAITING)
        lane.wanted += 1
        try:
            async with lane.lock:
                guess = Guess()
                allowance = self._take(account, block)
                now = self._clock.monotonic()
                delay = lane.delay(now)
                lane.failures = lane.failures + 1 if now - lane.at <= MEMORY else 1
                lane.at = now
                if delay:
                    await self._clock.sleep(delay)
                yield guess
                lane.at = self._clock.monotonic()
                if guess.right:
                    lane.failures = 0
                    if allowance is not None:
                        allowance.used = max(0.0, allowance.used - 1)
                    self._remember(account, block, device)
        finally:
            lane.wanted -= 1
            now = self._clock.monotonic()
            lanes.forget(key, now)
            self._allowances.forget(block, now)

    def _lane_of(self, account: str, block: str, device: str, now: float) -> tuple[_Memory[Lane], Hashable]:
        """A device that logged in lately from this block has a lane of its own, whatever others there do."""
        if device and self._is_known(account, (block, device), now):
            return self._own, (account, block, device)
        return self._lanes, (account, block)

    def _take(self, account: str, block: str) -> Allowance | None:
        """Take a guess from the block's allowance; None: of who logged in lately from there it takes none."""
        now = self._clock.monotonic()
        allowance = self._allowances.get(block, now)
        over = allowance.count(now) + 1 - self._allowed
        if self._is_known(account, (block, ""), now):
            return None
        if over > 0:
            raise _too_many(over * 60 / PER_MINUTE)
        allowance.used += 1
        return allowance

    def _is_known(self, account: str, place: tuple[str, str], now: float) -> bool:
        places = self._known.get(account)
        at = None if places is None else places.get(place)
        return at is not None and now - at <= LATELY

    def _remember(self, account: str, block: str, device: str) -> None:
        now = self._clock.monotonic()
        places = self._known.setdefault(account, OrderedDict())
        self._known.move_to_end(account)
        for place in ((block, ""), (block, device)):
            places.pop(place, None)
            places[place] = now
        while len(places) > PLACES:
            places.popitem(last=False)
        if len(self._known) > self._room:
            self._known.popitem(last=False)


def _too_many(seconds: float) -> Refused:
    return Refused(
        Code.TEMPORARY, "TOO-MANY-GUESSES", "Too many wrong passwords came from your address", max(1, ceil(seconds))
    )
