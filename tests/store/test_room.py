"""Room on the disk: levels, and the reserve that is given up and made again."""

from pathlib import Path

import pytest

from immpd.store.errors import StoreFull
from immpd.store.room import LOW, PLENTY, RESERVE, SCARCE, Room
from immpd.store.settings import Storage

SETTINGS = Storage(keep_free=1000, reserve=4096)


class Disk:
    """A disk with as much room as a test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.free = 1 << 20
        self.told: list[str] = []
        self.wanted = 0

    def room(self, settings: Storage = SETTINGS) -> Room:
        room = Room(self.folder, settings, lambda level, event, **fields: self.told.append(event), lambda _: self.free)
        room.wanted = self.want
        return room

    def want(self) -> None:
        self.wanted += 1


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_what_grows_is_refused_first(disk: Disk) -> None:
    room = disk.room()
    room.renew()
    assert (disk.folder / RESERVE).stat().st_size == 4096
    assert room.level == PLENTY
    disk.free = 999
    room.look()
    assert room.level == LOW
    assert isinstance(room.reason_against("grows"), StoreFull)
    assert room.reason_against("keeps") is None
    assert room.reason_against("frees") is None
    assert disk.told == ["a reserve is kept on the disk", "the disk is nearly full"]


def test_a_refusal_asks_the_disk_first(disk: Disk) -> None:
    room = disk.room()
    disk.free = 0
    room.look()
    disk.free = 1 << 20
    assert room.reason_against("grows") is None
    assert room.level == PLENTY


def test_it_does_not_go_to_and_fro(disk: Disk) -> None:
    room = disk.room(Storage(keep_free=1000, reserve=0))
    for free, level in ((999, LOW), (1001, LOW), (1124, LOW), (1125, PLENTY), (1001, PLENTY)):
        disk.free = free
        room.look()
        assert room.level == level, free


def test_the_reserve_is_for_what_frees_until_it_is_made_again(disk: Disk) -> None:
    room = disk.room()
    room.renew()
    disk.free = 0
    assert room.give_up()
    assert not (disk.folder / RESERVE).exists()
    assert not room.give_up()
    disk.free = 4096
    room.look()
    assert room.level == SCARCE
    assert room.reason_against("frees") is None
    assert isinstance(room.reason_against("keeps"), StoreFull)
    assert disk.wanted > 0  # whoever keeps the room is asked to try
    room.renew()
    assert room.level == SCARCE
    disk.free = 5096
    room.renew()
    assert room.level == PLENTY
    assert (disk.folder / RESERVE).exists()


def test_a_start_after_the_reserve_was_given_up(disk: Disk) -> None:
    disk.free = 2000
    assert disk.room(Storage(keep_free=3000, reserve=4096)).level == SCARCE
    disk.free = 1 << 20
    assert disk.room().level == PLENTY


def test_without_a_reserve_there_is_none(disk: Disk) -> None:
    disk.room().renew()
    room = disk.room(Storage(keep_free=1000, reserve=0))
    room.renew()
    assert not (disk.folder / RESERVE).exists()
    assert not room.give_up()
