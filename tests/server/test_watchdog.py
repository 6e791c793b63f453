"""What held the loop is named: by its command and by the place in the program."""

import sys
import traceback
from time import monotonic

import pytest
from tests.server.quiet import until
from tests.server.test_turns import Ticking
from tests.serving import ManualClock, RecordingLog

from immpd.server.settings import Debug
from immpd.server.watchdog import Watchdog

MOST = 0.02


class Recording:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict]] = []

    def warning(self, event: str, **fields: object) -> None:
        self.told.append((event, fields))


@pytest.fixture
def time() -> Ticking:
    return Ticking()


@pytest.fixture
def log() -> Recording:
    return Recording()


def test_a_loop_that_beats_in_time_is_never_mentioned(time, log):
    dog = Watchdog(log, MOST, time)
    for _ in range(10):
        time.now += MOST / 4
        dog.look(sys._getframe())
        dog.beat()
    assert log.told == []
    assert dog.seen is None


def test_what_was_there_at_the_first_look_is_named_and_forgotten_after(time, log):
    dog = Watchdog(log, MOST, time)
    time.now += 2 * MOST
    dog.look(None)
    time.now += 2 * MOST
    dog.look(sys._getframe())
    dog.beat()
    assert log.told == [("the loop was held", {"ms": 80, "command": "", "place": ""})]
    time.now += MOST / 4
    dog.beat()
    assert len(log.told) == 1


def _in_a_command() -> bool:
    """Whether a command is being run, and not one of the server's own chores."""
    return any(frame.f_globals["__name__"].startswith("immpd.server.") for frame, _ in traceback.walk_stack(None))


class Busy(ManualClock):
    """While there is a ``dog``, a command that asks for the time is busy until the dog has seen it."""

    dog: Watchdog | None = None

    def now(self) -> int:
        if self.dog is not None and _in_a_command():
            self.dog.look(sys._getframe())
        return super().now()


async def test_a_command_is_named_where_it_begins_and_where_it_goes_on(serve, talk, time, log):
    clock = Busy()
    server = await serve(clock=clock)
    one = await talk(await server.add_account("alice"), on=server)
    dog = Watchdog(log, MOST, time)
    for command in ("MBOX MOVE /inbox::* TO /archive", "MBOX REMOVE /nowhere"):
        time.now += 2 * MOST
        clock.dog = dog
        assert (await one.ask(command)).code in (200, 404)
        clock.dog = None
        dog.beat()
    assert [(fields["command"], fields["ms"]) for _, fields in log.told] == [("MBOX MOVE", 40), ("MBOX REMOVE", 40)]
    assert all(fields["place"].startswith("immpd.service.") for _, fields in log.told)


class Slow(ManualClock):
    """While ``slow``, it takes a tenth of a second to say what time it is."""

    slow = False

    def now(self) -> int:
        end = monotonic() + 0.1 * self.slow
        while monotonic() < end:
            pass
        return super().now()


async def test_the_server_has_one_where_it_is_set(serve, talk):
    clock, log = Slow(), RecordingLog()
    server = await serve(clock=clock, log=log, debug=Debug(held=40))
    one = await talk(await server.add_account("alice"), on=server)
    clock.slow = True
    assert (await one.ask("MBOX REMOVE /nowhere")).code == 404
    clock.slow = False
    await until(lambda: log.events("the loop was held"))
    assert log.events("the loop was held")[-1]["ms"] >= 100
