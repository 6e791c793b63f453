"""A data folder that was put back is recognised, and one that was only stopped, killed or left alone is not."""

import shutil
from pathlib import Path

import apsw
import pytest
from tests.store.making import make_box

from immpd.store.sqlite.engine import open_sqlite
from immpd.store.sqlite.epoch import COUNT, SAME, _set
from immpd.store.sqlite.files import FILE_NAME


class Epochs:
    """Opens the store in a folder, again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[str] = []

    def tell(self, level: str, event: str, /, **fields: object) -> None:
        self.told += [str(fields["reason"])]

    async def open(self) -> str:
        """As a server that is started and stopped; the epoch."""
        store = await open_sqlite(self.folder, tell=self.tell)
        await store.close()
        return store.epoch


def set_meta(folder: Path, **values: str) -> None:
    with apsw.Connection(str(folder / FILE_NAME)) as connection:
        _set(connection, values)


@pytest.fixture
def epochs(tmp_path: Path) -> Epochs:
    (tmp_path / "data").mkdir()
    return Epochs(tmp_path / "data")


async def test_it_stays_while_nothing_was_put_back(epochs: Epochs) -> None:
    first = await epochs.open()
    assert [await epochs.open() for _ in range(3)] == [first] * 3
    epochs.folder = epochs.folder.rename(epochs.folder.with_name("elsewhere"))
    assert await epochs.open() == first
    assert epochs.told == []


@pytest.mark.parametrize("starts", [1, 2, 3])
async def test_a_copied_database_in_the_old_folder(epochs: Epochs, starts: int) -> None:
    """However often the server was started since."""
    first = await epochs.open()
    copy = epochs.folder.with_name("copy")
    shutil.copy2(epochs.folder / FILE_NAME, copy)
    for _ in range(starts):
        assert await epochs.open() == first
    shutil.copy2(copy, epochs.folder / FILE_NAME)
    assert await epochs.open() != first
    assert epochs.told == ["the database is older than the folder"]


@pytest.mark.parametrize("starts", [0, 1, 2])
async def test_a_copied_folder(epochs: Epochs, starts: int) -> None:
    """With everything in it, put over what is there."""
    first = await epochs.open()
    copy = epochs.folder.with_name("copy")
    shutil.copytree(epochs.folder, copy)
    touched = (epochs.folder / COUNT).stat().st_ctime_ns // 1_000_000
    set_meta(copy, touched=str(touched - SAME - 1))  # as if it had been made a while before it is put back
    for _ in range(starts):
        assert await epochs.open() == first
    shutil.copytree(copy, epochs.folder, dirs_exist_ok=True)
    second = await epochs.open()
    assert second != first
    assert epochs.told == ["the folder was copied"]
    assert await epochs.open() == second


async def test_a_database_without_its_folder(epochs: Epochs) -> None:
    first = await epochs.open()
    (epochs.folder / COUNT).unlink()
    second = await epochs.open()
    assert second != first
    assert epochs.told == [f"{COUNT} is not there"]
    assert await epochs.open() == second


async def test_a_folder_of_before(epochs: Epochs) -> None:
    """The file beside the database is older than the database."""
    first = await epochs.open()
    copy = epochs.folder.with_name("copy")
    shutil.copy2(epochs.folder / COUNT, copy)
    for _ in range(2):
        await epochs.open()
    shutil.copy2(copy, epochs.folder / COUNT)
    assert await epochs.open() != first


@pytest.mark.parametrize("cut", ["before the file", "after the file"])
async def test_a_start_that_was_cut_off_while_it_counted(epochs: Epochs, cut: str) -> None:
    first = await epochs.open()
    number = int((epochs.folder / COUNT).read_text())
    for _ in range(3):  # it may be killed there again and again
        set_meta(epochs.folder, count=str(number + 1), touched="")
        if cut == "after the file":
            (epochs.folder / COUNT).write_text(f"{number + 1}\n")
        assert await epochs.open() == first
        number = int((epochs.folder / COUNT).read_text())
    assert epochs.told == []


async def test_a_first_start_that_was_cut_off(epochs: Epochs) -> None:
    first = await epochs.open()
    set_meta(epochs.folder, count="1", touched="")
    (epochs.folder / COUNT).unlink()
    assert await epochs.open() == first


async def test_a_folder_of_an_earlier_program(epochs: Epochs) -> None:
    first = await epochs.open()
    with apsw.Connection(str(epochs.folder / FILE_NAME)) as connection:
        connection.execute("DELETE FROM meta WHERE key IN ('count', 'touched')")
    (epochs.folder / COUNT).unlink()
    assert await epochs.open() == first


async def test_a_crash_is_no_copy(epochs: Epochs) -> None:
    """What a killed process leaves, with a log that was never emptied into the file."""
    store = await open_sqlite(epochs.folder, tell=epochs.tell)
    await make_box(store, "alice@a.example")
    left = epochs.folder.with_name("left")
    epochs.folder.rename(left)  # the same files, as the kernel keeps them
    again = Epochs(left)
    other = await open_sqlite(left, tell=again.tell)
    assert (other.epoch, again.told) == (store.epoch, [])
    await other.close()
    left.rename(epochs.folder)
    await store.close()
