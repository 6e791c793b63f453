"""Large parts on their way into files: what waits is counted, and who was stopped is told to go on."""

import asyncio
import hashlib
import os
import shutil
from pathlib import Path

import pytest
from tests.serving import ManualClock

from immpd.service.ids import IdMaker
from immpd.service.spool import HIGH_WATER, Spool
from immpd.store.bodies import BodyFiles


@pytest.fixture
def files(tmp_path: Path) -> BodyFiles:
    return BodyFiles(tmp_path / "bodies")


@pytest.fixture
def ids(clock: ManualClock) -> IdMaker:
    return IdMaker(clock, os.urandom)


async def _finished(spool: Spool) -> BaseException | None:
    done: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    spool.finish(done.set_result)
    return await asyncio.wait_for(done, 10)


async def test_octets_arrive_and_whoever_waits_for_room_is_told(files: BodyFiles, ids: IdMaker) -> None:
    room = asyncio.Event()
    spool = Spool(files, ids, None)
    spool.write(bytes(HIGH_WATER))
    spool.write(b"more")
    assert spool.pending > HIGH_WATER
    spool.on_room = room.set  # set late: when the connection was stopped
    await asyncio.wait_for(room.wait(), 10)
    assert await _finished(spool) is None
    octets = bytes(HIGH_WATER) + b"more"
    assert files.path(spool.name).read_bytes() == octets
    assert (spool.digest, spool.pending) == (hashlib.sha256(octets).digest(), 0)


async def test_what_is_not_wanted_keeps_nobody_waiting(files: BodyFiles, ids: IdMaker) -> None:
    told: list[int] = []
    spool = Spool(files, ids, lambda: told.append(spool.pending))
    spool.write(bytes(HIGH_WATER + 1))
    spool.discard()
    assert told == [0]
    spool.write(bytes(HIGH_WATER + 1))
    assert spool.pending == 0
    while spool._task is not None:
        await asyncio.wait({spool._task})
    assert list(files.folder.iterdir()) == []


async def test_a_disk_that_fails_is_told_and_keeps_nobody_waiting(files: BodyFiles, ids: IdMaker) -> None:
    shutil.rmtree(files.folder)
    room = asyncio.Event()
    spool = Spool(files, ids, room.set)
    spool.write(bytes(HIGH_WATER + 1))
    await asyncio.wait_for(room.wait(), 10)
    spool.write(b"too late")
    assert spool.pending == 0
    assert await _finished(spool) is not None
