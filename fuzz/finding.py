"""What every fuzzer shares: how long it runs, how a failure is made small, where it is kept.

Rules: whatever is chosen comes from the seed; a fuzzer that finds something raises ``Found`` and ends.
"""

import random
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

FOUND = Path(__file__).parent / "found"


class Found(Exception):
    """Something that must not be; ``octets`` are what shows it, as few as could be."""

    def __init__(self, what: str, octets: bytes = b"") -> None:
        super().__init__(what)
        self.octets = octets


class Run:
    """One run of one fuzzer: its seed, and when it is over."""

    def __init__(self, name: str, seed: int, count: int | None, seconds: float | None) -> None:
        self.name = name
        self.seed = seed
        self.chosen = random.Random(seed)
        self.count = count
        self.seconds = seconds
        self.began = time.monotonic()

    def rounds(self) -> Iterator[int]:
        """1, 2, 3 … until the count or the time is over, whichever comes first."""
        number = 0
        while number != self.count and (self.seconds is None or time.monotonic() - self.began < self.seconds):
            number += 1
            yield number

    def say(self, text: str) -> None:
        """Tell how it goes."""
        print(f"{self.name}: {text}", flush=True)

    def keep(self, found: Found) -> Path:
        """Save what was found, and how to see it again; returns where."""
        folder = FOUND / f"{self.name}-{self.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "octets").write_bytes(found.octets)
        (folder / "what").write_text(f"python -m fuzz {self.name} --seed {self.seed}\n{found}\n")
        return folder


async def smallest(octets: bytes, fails: Callable[[bytes], Awaitable[bool]], *, seconds: float = 60) -> bytes:
    """Leave out halves, quarters, eighths … of ``octets`` as long as they still fail, and the time is not over."""
    began = time.monotonic()
    size = (len(octets) + 1) // 2
    while size:
        at = 0
        while at < len(octets):
            if time.monotonic() - began > seconds:
                return octets
            fewer = octets[:at] + octets[at + size :]
            if await fails(fewer):
                octets = fewer
            else:
                at += size
        size //= 2
    return octets
