"""``make fuzz``, or ``python -m fuzz [names...] [--seconds S] [--count N] [--seed N]``: see fuzz/README.md."""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable

import msgspec

from .finding import Found, Run
from .kills import kill_feeds, kill_notifications, kills
from .mime import mime
from .store import store
from .timing import timing
from .wire import wire


class Fuzzer(msgspec.Struct, frozen=True):
    """A fuzzer and how long it runs where nothing else is said."""

    run: Callable[[Run], Awaitable[str]]
    count: int | None = None
    seconds: float | None = None


ALL = {
    "kills": Fuzzer(kills, count=200),
    "kill-feeds": Fuzzer(kill_feeds, count=100),
    "kill-notifications": Fuzzer(kill_notifications, count=100),
    "wire": Fuzzer(wire, seconds=60),
    "mime": Fuzzer(mime, seconds=60),
    "store": Fuzzer(store, seconds=60),
    "timing": Fuzzer(timing, count=200),
}


def fuzz(name: str, seed: int, count: int | None, seconds: float | None) -> bool:
    fuzzer = ALL[name]
    if count is None and seconds is None:
        count, seconds = fuzzer.count, fuzzer.seconds
    run = Run(name, seed, count, seconds)
    run.say(f"--seed {seed}")
    try:
        told = asyncio.run(fuzzer.run(run))
    except Found as found:
        kept = run.keep(found)
        run.say(f"FOUND with --seed {seed}, kept in {kept}: {found}\n{found.octets[:2000]!r}")
        return False
    run.say(f"{told} ({time.monotonic() - run.began:.0f} s)")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(ALL)}; none: all")
    parser.add_argument("--seconds", type=float, help="of each")
    parser.add_argument("--count", type=int, help="rounds of each")
    parser.add_argument("--seed", type=int, help="what is chosen follows from it; none: another each time")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in ALL]
    if unknown:
        parser.error(f"there is no {unknown[0]}; there are {', '.join(ALL)}")
    seed = random.SystemRandom().randrange(1 << 32) if given.seed is None else given.seed
    good = [fuzz(name, seed, given.count, given.seconds) for name in given.names or ALL]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
