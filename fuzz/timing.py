"""Whether the time of a log-in tells which names have an account.

Thousands of log-ins with wrong passwords, of all names in turn and each time in another order; each name's median;
then how well the medians tell two kinds of names apart, against what chance does (Mann and Whitney's test).
"""

import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.service.log_ins import ByScram, BySecret, ask
from tests.serving import Serving, serving

from immpd.model.imid import parse_imid
from immpd.protocol.commands import AccountDisable
from immpd.protocol.states import State
from immpd.service.accounts.guessing import Guesses
from immpd.service.session import Session

from .finding import Found, Run

NAMES = 24
"""Of each kind."""
CHANCE = 1e-4
"""How rarely chance alone may look so."""
HOWS: tuple[Callable[[str], ByScram | BySecret], ...] = (BySecret, ByScram)


async def timing(run: Run) -> str:
    """Compare accounts, disabled accounts, and names that are none."""
    with tempfile.TemporaryDirectory() as folder:
        async with serving(Path(folder)) as server:
            kinds = await _names(server)
            told = []
            for how in HOWS:
                times = _measured(run, server, [name for names in kinds.values() for name in names], how)
                told += [_compared(times, kinds, other, how.__name__) for other in ("absent", "disabled")]
    return "; ".join(told)


async def _names(server: Serving) -> dict[str, list[str]]:
    """Names of as many letters each, in an order that says nothing."""
    kinds: dict[str, list[str]] = {"existing": [], "absent": [], "disabled": []}
    for number in range(NAMES):
        letters = "".join("abcdefghkp"[int(digit)] for digit in f"{number * 37 % 1000:03}")
        for first, (kind, names) in zip("xyz", kinds.items(), strict=True):
            name = f"{first}{letters}@a.test"
            names.append(name)
            if kind != "absent":
                await server.add_account(name)
            if kind == "disabled":
                await server.operator.call(AccountDisable(address=parse_imid(name)))
    return kinds


def _measured(
    run: Run, server: Serving, names: list[str], how: Callable[[str], ByScram | BySecret]
) -> dict[str, tuple[float, float]]:
    """By name: the medians of the challenge and of the answer, in nanoseconds."""
    times: dict[str, list[tuple[int, int]]] = {name: [] for name in names}
    rounds = (run.count or 200) + 5
    for number in range(rounds):
        server.services.desk.guesses = Guesses(server.clock, 10**6)  # or it would end by waiting
        run.chosen.shuffle(names)
        for name in names:
            log_in = how(name)
            session = Session(server.services, State.UNAUTHENTICATED, peer="192.0.2.1")
            began = time.perf_counter_ns()
            said = ask(session, log_in.first)
            challenged = time.perf_counter_ns()
            answer = log_in.answer(said)
            answering = time.perf_counter_ns()
            ask(session, answer)
            ended = time.perf_counter_ns()
            if number >= 5:  # the first ones warm up
                times[name].append((challenged - began, ended - answering))
    return {
        name: (median([one for one, _ in taken]), median([one for _, one in taken])) for name, taken in times.items()
    }


def _compared(times: dict[str, tuple[float, float]], kinds: dict[str, list[str]], other: str, how: str) -> str:
    told = []
    for at, what in enumerate(("challenge", "answer")):
        ours = [times[name][at] for name in kinds["existing"]]
        theirs = [times[name][at] for name in kinds[other]]
        right, chance = told_apart(ours, theirs)
        text = f"{how} {what}: existing {median(ours):.0f} ns, {other} {median(theirs):.0f} ns, told apart {right:.0%}"
        if chance < CHANCE:
            raise Found(f"{text}, which chance does once in {1 / chance:.0f} times")
        told.append(text)
    return "; ".join(told)


def told_apart(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """How often the larger of a pair is of the kind that tends to be, and how likely chance alone is to do so."""
    pairs = sum((one > other) + (one == other) / 2 for one in ours for other in theirs)
    count = len(ours) * len(theirs)
    right = max(pairs, count - pairs) / count
    spread = math.sqrt((len(ours) + len(theirs) + 1) / (12 * count))
    return right, math.erfc((right - 0.5) / spread / math.sqrt(2))
