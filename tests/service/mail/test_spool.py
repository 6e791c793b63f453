"""Large parts on their way into files: what waits is counted, and what nobody wants leaves no file."""

import asyncio
import hashlib
import os
import shutil
from pathlib import Path

import pytest
from tests.serving import ManualClock

from immpd.service.id_maker import IdMaker
from immpd.service.mail.spool import Spool
from immpd.store.errors import StoreError
from immpd.store.mail.bodies import BodyFiles

MIB = 1 << 20


class Spooled:
    """A spool, what it said of waiting octets, and what became of it."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.files = BodyFiles(folder / "bodies")
        self.pending = 0
        self.settled: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self.spool = Spool(self.files, IdMaker(clock, os.urandom), self.moved, self.settled.set_result)

    def moved(self, octets: int) -> None:
        self.pending += octets
        assert self.pending >= 0

    async def idle(self) -> None:
        while self.spool._task is not None:
            await asyncio.wait({self.spool._task})

    def there(self) -> list[str]:
        return sorted(path.name for path in self.files.folder.iterdir())


@pytest.fixture
async def spooled(tmp_path: Path, clock: ManualClock) -> Spooled:
    return Spooled(tmp_path, clock)


async def test_octets_arrive_in_order_and_are_counted(spooled: Spooled) -> None:
    spool = spooled.spool
    pieces = [bytes([n]) * 10_000 for n in range(200)]
    for piece in pieces:
        spool.write(piece)
    assert spooled.pending == 2_000_000
    spool.finish()
    assert await asyncio.wait_for(spooled.settled, 10) is None
    octets = b"".join(pieces)
    assert spooled.files.path(spool.name).read_bytes() == octets
    assert (spool.digest, spooled.pending) == (hashlib.sha256(octets).digest(), 0)


async def test_a_file_may_be_empty(spooled: Spooled) -> None:
    spooled.spool.finish()
    assert await asyncio.wait_for(spooled.settled, 10) is None
    assert spooled.there() == [spooled.spool.name]


async def test_what_comes_while_the_disk_is_busy_is_written_too(spooled: Spooled) -> None:
    spooled.spool.write(bytes(MIB))
    while spooled.pending:
        await asyncio.sleep(0)
        if spooled.spool._writer is not None:
            break
    spooled.spool.write(b"more")
    spooled.spool.finish()
    assert await asyncio.wait_for(spooled.settled, 10) is None
    assert spooled.files.path(spooled.spool.name).read_bytes() == bytes(MIB) + b"more"


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 20])
async def test_what_is_not_wanted_leaves_nothing_however_far_it_came(spooled: Spooled, turns: int) -> None:
    spooled.spool.write(bytes(MIB))
    for _ in range(turns):
        await asyncio.sleep(0)
    spooled.spool.write(bytes(MIB))
    spooled.spool.finish()
    for _ in range(turns):
        await asyncio.sleep(0)
    spooled.spool.discard()
    spooled.spool.write(b"too late")
    await spooled.idle()
    assert spooled.there() == []
    assert spooled.pending == 0


async def test_a_file_that_was_complete_is_removed_when_nobody_takes_it(spooled: Spooled) -> None:
    spooled.spool.write(b"complete")
    spooled.spool.finish()
    await asyncio.wait_for(spooled.settled, 10)
    await spooled.idle()
    assert spooled.there() == [spooled.spool.name]
    spooled.spool.discard()
    await spooled.idle()
    assert spooled.there() == []


async def test_a_disk_that_fails_is_told_before_the_end_and_keeps_nothing(spooled: Spooled) -> None:
    shutil.rmtree(spooled.files.folder)
    spooled.spool.write(bytes(MIB))
    assert isinstance(await asyncio.wait_for(spooled.settled, 10), StoreError)
    spooled.spool.write(b"too late")
    spooled.spool.finish()
    await spooled.idle()
    assert spooled.pending == 0
