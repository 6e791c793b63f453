"""A full disk under the engine: the reserve is for what frees, and what cannot be written can be read."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from tests.store.making import Box, a_delivery, fill, make_box, put, target
from tests.store.unsynced_vfs import UnsyncedVFS

from immpd.store.errors import StoreFull, StoreReadOnly, StoreUnavailable
from immpd.store.integrity.verify import verify
from immpd.store.mail.bodies import BodyFiles
from immpd.store.mail.deliver import deliver
from immpd.store.mail.filing import FlagMessages, PurgeMessages, flag, purge
from immpd.store.mail.mailboxes import FolderAt, folder_at
from immpd.store.mail.messages import FetchPage, fetch_page
from immpd.store.room import PLENTY, RESERVE, SCARCE, Room
from immpd.store.settings import Storage
from immpd.store.sqlite.engine import SqliteStore, open_sqlite
from immpd.store.sqlite.files import FILE_NAME


class SmallDisk:
    """A disk on which nothing can be written any more while ``full`` and no reserve was given up on it."""

    def __init__(self, folder: Path, vfs: UnsyncedVFS) -> None:
        self.folder = folder
        self.full = False
        self.kind: type[apsw.Error] = apsw.FullError
        self.told: list[str] = []
        vfs.disk.fault = self.fault
        self.room = self.look_again()

    def look_again(self) -> Room:
        """What a new process finds."""
        settings = Storage(keep_free=0, reserve=1 << 16)
        self.room = Room(self.folder, settings, self.tell)
        return self.room

    def tell(self, level: str, event: str, /, **fields: object) -> None:
        self.told.append(event)

    def fault(self, what: str, name: str) -> None:
        if self.full and (self.folder / RESERVE).exists() | (self.kind is not apsw.FullError):
            raise self.kind("no room")

    async def open(self) -> SqliteStore:
        return await open_sqlite(self.folder, vfs="unsynced", room=self.room, tell=self.tell)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with UnsyncedVFS() as vfs:
        made = SmallDisk(tmp_path, vfs)
        made.room.renew()
        yield made


async def count(store: SqliteStore, box: Box) -> int:
    folder = await store.read(folder_at(FolderAt(box.id, "/INBOX")))
    assert folder is not None
    return folder.total


async def test_purging_takes_the_reserve_and_nothing_else_does(disk: SmallDisk) -> None:
    store = await disk.open()
    box = await make_box(store, "alice@a.example")
    ids = await fill(store, box, 10)
    disk.full = True
    with pytest.raises(StoreFull):
        await store.write(flag(FlagMessages(box.id, box.inbox, (ids[0],), on=1)))
    assert (disk.folder / RESERVE).exists()
    units = [
        store.write(deliver(a_delivery(target(box)))),
        store.write(purge(PurgeMessages(box.id, box.inbox, tuple(ids[:5])))),
        store.write(flag(FlagMessages(box.id, box.inbox, (ids[9],), on=1))),
        store.write(purge(PurgeMessages(box.id, box.inbox, tuple(ids[5:8])))),
    ]
    results = await asyncio.gather(*units, return_exceptions=True)  # type: ignore[call-overload]
    assert [isinstance(result, StoreFull) for result in results] == [True, False, True, False]
    assert not (disk.folder / RESERVE).exists()
    assert disk.room.level == SCARCE
    assert await count(store, box) == 2
    with pytest.raises(StoreFull):
        await store.write(deliver(a_delivery(target(box))))
    disk.room.renew()
    assert disk.room.level == PLENTY
    disk.full = False
    await put(store, box)
    await store.close()


async def test_a_start_takes_the_reserve(disk: SmallDisk) -> None:
    store = await disk.open()
    box = await make_box(store, "alice@a.example")
    ids = await fill(store, box, 10)
    await store.close()
    disk.full = True
    disk.look_again()
    store = await disk.open()
    assert store.against is None
    await store.write(purge(PurgeMessages(box.id, box.inbox, tuple(ids))))
    assert await count(store, box) == 0
    await store.close()


@pytest.mark.parametrize(("kind", "error"), [(apsw.ReadOnlyError, StoreReadOnly), (apsw.FullError, StoreFull)])
async def test_a_start_where_nothing_can_be_written_serves_readers(
    disk: SmallDisk, kind: type[apsw.Error], error: type[StoreUnavailable]
) -> None:
    store = await disk.open()
    box = await make_box(store, "alice@a.example")
    await put(store, box, body=b"kept")
    epoch = store.epoch
    await store.close()
    disk.full, disk.kind = True, kind
    if kind is apsw.FullError:
        disk.kind = type("StillFull", (apsw.FullError,), {})
    store = await disk.open()
    assert isinstance(store.against, error)
    assert "the store can only be read" in disk.told
    assert store.epoch == epoch
    (message,) = (await store.read(fetch_page(FetchPage(box.id, box.inbox)))).messages
    assert message.octets == b"kept"
    files = BodyFiles(disk.folder / "bodies")
    assert await verify(store, files) == []
    files.close()
    with pytest.raises(StoreUnavailable):
        await store.write(deliver(a_delivery(target(box))))
    await store.close()
    disk.full = False
    disk.look_again().renew()
    store = await disk.open()
    await put(store, box)
    assert await count(store, box) == 2
    await store.close()


async def test_it_writes_again_as_soon_as_it_can(disk: SmallDisk) -> None:
    store = await disk.open()
    box = await make_box(store, "alice@a.example")
    await store.close()
    disk.full, disk.kind = True, apsw.ReadOnlyError
    store = await disk.open()
    assert store.reason_against(deliver) is not None
    disk.full = False
    await put(store, box)
    assert store.against is None
    assert store.reason_against(deliver) is None
    assert await count(store, box) == 1
    await store.close()


async def test_what_is_purged_is_given_back_to_the_disk(tmp_path: Path) -> None:
    free = 0
    room = Room(tmp_path, Storage(keep_free=1000, reserve=0), free=lambda _: free)
    free = 1 << 20
    room.look()
    store = await open_sqlite(tmp_path, room=room)
    box = await make_box(store, "alice@a.example")
    ids = await fill(store, box, 100, body=bytes(20_000))
    free = 0
    room.look()
    await store.write(purge(PurgeMessages(box.id, box.inbox, tuple(ids))))
    await store.give_back()
    assert (tmp_path / FILE_NAME).stat().st_size < 1_000_000
    assert (tmp_path / f"{FILE_NAME}-wal").stat().st_size == 0
    assert await store.check_file() == []
    await store.close()
