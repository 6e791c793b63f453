"""A log-in costs the same for every name: the server's way through its own lines is the same, step for step.

Time cannot be compared without luck; what is done can. fuzz/timing.py compares the time, too.
"""

import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.service.log_ins import ByScram, BySecret, ask
from tests.serving import Serving, serving

from immpd.model.imid import parse_imid
from immpd.protocol.commands import AccountAdd, AccountDisable
from immpd.protocol.states import State
from immpd.service.session import Session

KNOWN = "alice@a.test"
OTHERS = ("ghost@a.test", "erase@a.test", "plain@a.test", "blank@a.test")
"""Of as many letters: one that is none; a disabled account; one without SECRET; one without a password."""


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(tmp_path) as server:
        for name in ("alice", "erase"):
            await server.add_account(name)
        await server.add_account("plain", secret=False)
        await server.operator.call(AccountAdd(address=parse_imid("blank@a.test")))
        await server.operator.call(AccountDisable(address=parse_imid("erase@a.test")))
        yield server


def way_of(work: Callable[[], Any]) -> tuple[list[tuple[str, int]], Any]:
    """Every line of ours that it goes through, in order, and what it returns.

    How a value is quoted (text.py) does not count: it follows from what is said openly, such as a salt that begins
    with a plus.
    """
    way: list[tuple[str, int]] = []

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line" and "/immpd/" in frame.f_code.co_filename and "text.py" not in frame.f_code.co_filename:
            way.append((frame.f_code.co_qualname, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        result = work()
    finally:
        sys.settrace(before)
    return way, result


@pytest.mark.parametrize("how", [ByScram, BySecret])
async def test_every_name_takes_the_same_way(house: Serving, how: type[ByScram | BySecret]) -> None:
    def ways(address: str, peer: str) -> list[list[tuple[str, int]]]:
        session = Session(house.services, State.UNAUTHENTICATED, peer=peer)
        log_in = how(address)
        challenge, said = way_of(lambda: ask(session, log_in.first))
        wrong = log_in.answer(said)
        answer, said = way_of(lambda: ask(session, wrong))
        assert said.startswith(b"[AUTH-FAILED]")
        return [challenge, answer]

    ways(KNOWN, "192.0.2.1")  # what is imported with the first log-in is there now
    known = ways(KNOWN, "192.0.2.2")
    assert all(len(way) > 30 for way in known)
    for number, name in enumerate(OTHERS, 3):
        assert ways(name, f"192.0.2.{number}") == known, name


async def test_what_is_read_is_the_same_for_every_name(house: Serving) -> None:
    """One account's row for every name, and of an unknown one always the same."""
    desk, store = house.services.desk, house.services.store
    found = {name: await store.read(desk.lookup(name)) for name in (KNOWN, *OTHERS)}
    assert {name for name, one in found.items() if one.is_named} == {KNOWN, *OTHERS[1:]}
    assert all(one.account.id for one in found.values())
    assert await store.read(desk.lookup(OTHERS[0])) == found[OTHERS[0]]
    assert b64encode(desk.salt(KNOWN)) == b64encode(found[KNOWN].account.salt)
