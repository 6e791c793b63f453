"""What was answered survives power failure at any instant; what the disk had not synced may be gone or torn."""

import asyncio
import itertools
import random
from pathlib import Path

import apsw
import msgspec
import pytest
from tests.store.making import Box, a_delivery, make_box, target
from tests.store.unsynced_vfs import UnsyncedVFS, develop

from immpd.store.errors import NoMessage, UnknownOutcome
from immpd.store.integrity.verify import verify
from immpd.store.mail.bodies import BodyFiles
from immpd.store.mail.deliver import deliver
from immpd.store.mail.filing import FlagMessages, flag
from immpd.store.mail.messages import FetchIds, fetch_ids
from immpd.store.sqlite.engine import Limits, SqliteStore, open_sqlite

# So small that the WAL is copied and reset many times under way.
SMALL = Limits(wal=256 << 10, checkpoint=64 << 10)


class Photograph(msgspec.Struct, frozen=True):
    """A disk after power failure, and what had been answered before."""

    files: dict[str, bytes]
    delivered: tuple[bytes, ...]
    read: tuple[bytes, ...]


async def work(store: SqliteStore, box: Box, delivered: list[bytes], read: list[bytes], rounds: int) -> None:
    """Deliver and flag from several callers; note what is answered the moment it is."""

    async def one_caller() -> None:
        for _ in range(rounds):
            one = target(box, key=None)
            await store.write(deliver(a_delivery(one, body=bytes(3000))))
            delivered.append(one.id)
            await store.write(flag(FlagMessages(box.id, box.inbox, (one.id,), on=1)))
            read.append(one.id)

    await asyncio.gather(*[one_caller() for _ in range(5)])


async def lost(photograph: Photograph, box: Box, folder: Path) -> int:
    """How much of what was answered is not there after the failure; the store must be sound in any case."""
    develop(photograph.files, folder)
    files = BodyFiles(folder / "bodies")
    store = await open_sqlite(folder)
    try:
        assert await verify(store, files) == []
        missing = 0
        for one in photograph.delivered:
            try:
                (message,) = await store.read(fetch_ids(FetchIds(box.id, box.inbox, (one,))))
            except NoMessage:
                missing += 1
            else:
                missing += one in photograph.read and not message.flags & 1
        return missing
    finally:
        files.close()
        await store.close()


async def photographs(folder: Path, *, honest: bool) -> tuple[Box, list[Photograph]]:
    """Let a store work and take a photograph at some of its writes and syncs."""
    chance = random.Random(1025)
    with UnsyncedVFS() as vfs:
        disk = vfs.disk
        store = await open_sqlite(folder, vfs="unsynced", limits=SMALL)
        box = await make_box(store, "alice@a.example")
        delivered: list[bytes] = []
        read: list[bytes] = []
        taken: list[Photograph] = []
        disk.honest = honest

        def each() -> None:
            if chance.random() < 0.02:
                # What was answered first, then the disk: the disk may know more, never less.
                answered = tuple(delivered), tuple(read)
                taken.append(Photograph(disk.photograph(chance if chance.random() < 0.5 else None), *answered))

        disk.each = each
        await work(store, box, delivered, read, rounds=30)
        taken.append(Photograph(disk.photograph(), tuple(delivered), tuple(read)))
        disk.each = lambda: None
        assert disk.syncs["immpd.sqlite3"] > 3, "the WAL was never copied into the file"
        await store.close()
    return box, taken


async def test_everything_answered_survives(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    box, taken = await photographs(tmp_path / "disk", honest=True)
    assert len(taken) > 10
    assert len(taken[-1].delivered) == 150
    for number, photograph in enumerate(taken):
        assert await lost(photograph, box, tmp_path / f"after{number}") == 0


async def test_this_test_sees_a_store_that_does_not_sync(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    box, taken = await photographs(tmp_path / "disk", honest=False)
    assert await lost(taken[-1], box, tmp_path / "after") == len(taken[-1].delivered) == 150


@pytest.mark.parametrize(
    ("what", "nth"), [("write", 1), ("write", 2), ("write", 40), ("sync", 1), ("sync", 2), ("sync", 20)]
)
async def test_a_disk_that_fails_once_costs_no_answer_that_was_given(tmp_path: Path, what: str, nth: int) -> None:
    (tmp_path / "disk").mkdir()
    with UnsyncedVFS() as vfs:
        disk = vfs.disk
        store = await open_sqlite(tmp_path / "disk", vfs="unsynced", limits=SMALL)
        box = await make_box(store, "alice@a.example")
        calls = itertools.count(1)

        def fault(kind: str, name: str) -> None:
            if kind == what and name.endswith("-wal") and next(calls) == nth:
                raise apsw.IOError("the disk failed")

        disk.fault = fault
        delivered: list[bytes] = []
        failures: list[BaseException] = []
        for _ in range(30):
            made = [target(box) for _ in range(5)]
            results = await asyncio.gather(
                *[store.write(deliver(a_delivery(one))) for one in made], return_exceptions=True
            )
            failures += [result for result in results if isinstance(result, BaseException)]
            delivered += [
                one.id for one, result in zip(made, results, strict=True) if not isinstance(result, BaseException)
            ]
        # One batch, and the store is opened again for the next; copying the WAL may fail without anybody noticing.
        assert len(failures) in (0, 5)
        assert all(isinstance(failure, UnknownOutcome) for failure in failures)
        photograph = Photograph(disk.photograph(), tuple(delivered), ())
        await store.close()
    assert await lost(photograph, box, tmp_path / "after") == 0
