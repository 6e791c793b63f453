"""The server as a process in which time passes faster, for who kills it while timers run.

    python tests/hurried.py --data DIR --ready-file FILE --listen HOST:PORT --listen-tls HOST:PORT --begin MS

Rule: it is the real one but for its clock, and the clock goes on while no process runs: ``--begin`` is the moment,
milliseconds of the machine's time, from which SPEED seconds pass in each.
"""

import argparse
import asyncio
import os
import time
from pathlib import Path

import msgspec

from immpd.app.clock import SystemClock
from immpd.app.configuration import read_configuration
from immpd.app.process import run, serve

SPEED = 60
"""A minute is a second: the shortest span that a person can set for a repetition or a promise."""
SETTINGS = {
    "IMMPD_BOUNDS__HANDSHAKE": "3600",
    "IMMPD_BOUNDS__BEFORE_LOGIN": "3600",
    "IMMPD_BOUNDS__BEFORE_LOGIN_OCTETS": "100000000",
    "IMMPD_BOUNDS__BEFORE_LOGIN_PIPELINES": "64",
    "IMMPD_BOUNDS__IDLE": "86400",
    "IMMPD_BOUNDS__QUIT": "600",
    "IMMPD_LIMITS__PUSHES_PER_MINUTE": "1000000",
    "IMMPD_LIMITS__TOKEN_PUSHES_PER_MINUTE": "1000000",
}
"""Bounds that would be over before anybody here could keep them, and room for a device that never logs in."""


def hurried_now(begin: int) -> int:
    """What time it is there, milliseconds UTC."""
    return begin + (time.time_ns() // 1_000_000 - begin) * SPEED


class HurriedClock(SystemClock):
    """Time that passes SPEED times faster."""

    def __init__(self, begin: int) -> None:
        self.begin = begin

    def now(self) -> int:
        """Milliseconds since 1970, UTC."""
        return hurried_now(self.begin)

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return super().monotonic() * SPEED

    async def sleep(self, seconds: float) -> None:
        """Come back after so many seconds of this clock."""
        await super().sleep(seconds / SPEED)

    async def wait(self, future: "asyncio.Future[None]", seconds: float | None) -> None:
        """Come back when the future is done, or after so many seconds of this clock."""
        await super().wait(future, None if seconds is None else seconds / SPEED)


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--listen-tls", required=True)
    parser.add_argument("--begin", type=int, required=True)
    given = parser.parse_args()
    configuration = read_configuration(given.data, {**os.environ, **SETTINGS})
    where = msgspec.structs.replace(configuration, listen=(given.listen,), listen_tls=(given.listen_tls,))
    run(serve(given.data, where, given.ready_file, HurriedClock(given.begin)))


if __name__ == "__main__":
    main()
