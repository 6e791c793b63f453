"""The engine: group commit, units that fail, a full or read-only disk, bounds."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import msgspec
import pytest
from tests.store.making import Box, a_delivery, fill, make_box, put, target
from tests.store.unsynced_vfs import UnsyncedVFS

from immpd.store.accounts.directory import ByAddress, account_by_address
from immpd.store.errors import NoMailbox, StoreDamaged, StoreFull, StoreReadOnly, StoreUnavailable
from immpd.store.integrity.verify import verify
from immpd.store.mail.bodies import BodyFiles
from immpd.store.mail.deliver import deliver
from immpd.store.mail.mailboxes import ByMailbox, FolderAt, folder_at, mailbox_row
from immpd.store.mail.messages import FetchPage, fetch_page
from immpd.store.sqlite.engine import SLICE, Limits, SqliteStore, open_sqlite
from immpd.store.sqlite.files import FILE_NAME
from immpd.store.units import Tx, Work, read_unit, write_unit

WAL = f"{FILE_NAME}-wal"


class Note(msgspec.Struct, frozen=True):
    """Arguments of the units below."""

    text: str
    weight: int = 256


@write_unit
def note(tx: Tx, args: Note) -> str:
    """Keep a text; ``fail`` fails after it wrote; ``slow`` takes two milliseconds."""
    tx.execute("INSERT INTO meta (key, value) VALUES (?, '')", (args.text,))
    if args.text.startswith("fail"):
        raise NoMailbox(args.text)
    if args.text.startswith("slow"):
        end = time.perf_counter() + 0.002
        while time.perf_counter() < end:
            pass
    return args.text


@write_unit
def together(tx: Tx, args: Note) -> str:
    """As ``note``, with a way to run many as one."""
    return note.run(tx, args)


@together.batched
def together_many(tx: Tx, many: list[Note]) -> list[str]:
    tx.executemany("INSERT INTO meta (key, value) VALUES (?, 'many')", [(args.text,) for args in many])
    if any(args.text.startswith("fail") for args in many):
        raise NoMailbox
    return [args.text for args in many]


@write_unit
def slowly(tx: Tx, args: Note) -> str:
    """As ``note``, and it takes a slice of its own."""
    return note.run(tx, args)


RUNS: list[int] = []
"""Of ``slowly``: how many each run had."""


@slowly.batched
def slowly_many(tx: Tx, many: list[Note]) -> list[str]:
    RUNS.append(len(many))
    end = time.perf_counter() + SLICE * len(many)
    while time.perf_counter() < end:
        pass
    return [args.text for args in many]


@write_unit
def bound_pages(tx: Tx, args: int) -> int:
    """Let the file have at most so many pages more than it has."""
    row = tx.one("PRAGMA page_count")
    assert row is not None
    tx.execute(f"PRAGMA max_page_count = {row[0] + args}")
    return int(row[0])


@read_unit
def notes(tx: Tx, args: None) -> dict[str, str]:
    return dict(tx.rows("SELECT key, value FROM meta WHERE key NOT IN ('epoch', 'count', 'touched') ORDER BY key"))  # type: ignore[arg-type]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await open_sqlite(tmp_path)
    yield store
    await store.close()


async def gather(store: SqliteStore, work: Work[Note, str], *texts: str) -> list[object]:
    return list(await asyncio.gather(*[store.write(work(Note(text))) for text in texts], return_exceptions=True))


async def test_what_comes_together_is_committed_together(tmp_path: Path) -> None:
    with UnsyncedVFS() as vfs:
        store = await open_sqlite(tmp_path, vfs="unsynced")
        before = vfs.disk.syncs[WAL]
        assert await gather(store, note, *[f"n{n}" for n in range(300)]) == [f"n{n}" for n in range(300)]
        assert vfs.disk.syncs[WAL] - before == 1
        await store.close()


async def test_what_comes_during_a_commit_is_the_next_batch_and_order_is_kept(opened: SqliteStore) -> None:
    answered: list[str] = []
    finished = asyncio.get_running_loop().create_future()

    def submit(text: str, *then: str) -> None:
        def done(result: str, error: BaseException | None) -> None:
            assert error is None
            answered.append(result)
            for more in then:
                submit(more)
            if len(answered) == 5:
                finished.set_result(None)

        opened.submit(note(Note(text)), done)

    submit("a", "c", "d")
    submit("b", "e")
    assert answered == []
    await finished
    assert answered == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("work", [note, together])
async def test_a_unit_that_fails_fails_alone_and_leaves_nothing(opened: SqliteStore, work: Work[Note, str]) -> None:
    results = await gather(opened, work, "a", "fail1", "b", "fail2", "b")
    assert results[0] == "a"
    assert isinstance(results[1], NoMailbox)
    assert results[2] == "b"
    assert isinstance(results[3], NoMailbox)
    assert isinstance(results[4], apsw.ConstraintError)
    assert list(await opened.read(notes(None))) == ["a", "b"]


async def test_many_of_one_work_run_as_one(opened: SqliteStore) -> None:
    await gather(opened, together, "a", "b", "c")
    assert await opened.read(notes(None)) == {"a": "many", "b": "many", "c": "many"}


async def test_a_read_sees_what_was_answered_and_nothing_else(opened: SqliteStore) -> None:
    seen: list[list[str]] = []

    def look() -> None:
        opened.submit(notes(None), lambda result, error: seen.append(list(result)))

    look()
    answer = asyncio.ensure_future(opened.write(note(Note("a"))))
    await asyncio.sleep(0)
    look()
    await answer
    look()
    assert seen == [[], [], ["a"]]
    with pytest.raises(TypeError):
        await opened.read(note(Note("b")))


async def test_statements_hold_the_loop_only_for_a_slice(opened: SqliteStore) -> None:
    loop = asyncio.get_running_loop()
    turns = 0
    running = True

    def turn() -> None:
        nonlocal turns
        turns += 1
        if running:
            loop.call_soon(turn)

    turn()
    await gather(opened, note, *[f"slow{n}" for n in range(40)])
    running = False
    # 80 ms of statements: at least ten slices, and the loop ran others in between.
    assert turns > 10


async def test_a_caller_that_goes_away_undoes_nothing(opened: SqliteStore) -> None:
    gone = asyncio.ensure_future(opened.write(note(Note("a"))))
    await asyncio.sleep(0)
    gone.cancel()
    await opened.write(note(Note("b")))
    assert list(await opened.read(notes(None))) == ["a", "b"]


async def test_a_caller_that_fails_harms_nobody(opened: SqliteStore) -> None:
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def bad(result: object, error: BaseException | None) -> None:
        raise ZeroDivisionError

    opened.submit(note(Note("a")), bad)
    assert await opened.write(note(Note("b"))) == "b"
    assert isinstance(told[0]["exception"], ZeroDivisionError)


async def test_closing_commits_what_was_submitted(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path)
    answers = [asyncio.ensure_future(store.write(note(Note(f"n{n}")))) for n in range(5)]
    await asyncio.sleep(0)
    await asyncio.gather(store.close(), store.close())
    assert [await answer for answer in answers] == [f"n{n}" for n in range(5)]
    with pytest.raises(StoreUnavailable):
        await store.write(note(Note("late")))
    with pytest.raises(StoreUnavailable):
        await store.read(notes(None))
    assert not (tmp_path / WAL).exists()
    again = await open_sqlite(tmp_path)
    assert again.epoch == store.epoch
    assert len(await again.read(notes(None))) == 5
    await again.close()


async def test_the_queue_is_bounded_and_tells_when_there_is_room(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path, limits=Limits(queue=1000))
    called: list[bool] = []
    store.on_room(lambda: called.append(store.saturated))
    assert called == [False]
    answers = [asyncio.ensure_future(store.write(note(Note(f"n{n}", weight=400)))) for n in range(3)]
    await asyncio.sleep(0)
    assert store.saturated
    store.on_room(lambda: called.append(store.saturated))
    assert called == [False]
    await asyncio.gather(*answers)
    assert called == [False, False]
    await store.close()


# ---------------------------------------------------------------------- disks that refuse


async def test_a_full_disk_refuses_what_does_not_fit_and_goes_on_when_there_is_room(opened: SqliteStore) -> None:
    box = await make_box(opened, "alice@a.example")
    await opened.write(bound_pages(2))
    large = [deliver(a_delivery(target(box), body=bytes(30_000))) for _ in range(3)]
    small = [note(Note(f"n{n}")) for n in range(3)]
    units = [small[0], large[0], small[1], large[1], small[2]]
    results = await asyncio.gather(*[opened.write(unit) for unit in units], return_exceptions=True)  # type: ignore[misc]
    assert [type(result) for result in results] == [str, StoreFull, str, StoreFull, str]
    assert list(await opened.read(notes(None))) == ["n0", "n1", "n2"]
    folder = await opened.read(folder_at(FolderAt(box.id, "/INBOX")))
    assert folder is not None
    assert folder.total == 0
    await opened.write(bound_pages(1000))
    (delivered,) = await opened.write(large[2])
    assert delivered == "delivered"


async def test_no_room_for_the_commit_itself(tmp_path: Path) -> None:
    files = BodyFiles(tmp_path / "bodies")
    with UnsyncedVFS() as vfs:
        store = await open_sqlite(tmp_path, vfs="unsynced")
        box = await make_box(store, "alice@a.example")

        def full(kind: str, name: str) -> None:
            if kind == "write":
                raise apsw.FullError("no room")

        vfs.disk.fault = full
        units = [deliver(a_delivery(target(box))) for _ in range(3)]
        results = await asyncio.gather(*[store.write(unit) for unit in units], return_exceptions=True)
        assert [type(result) for result in results] == [StoreFull] * 3
        page = await store.read(fetch_page(FetchPage(box.id, box.inbox)))
        assert page.messages == []
        vfs.disk.fault = lambda kind, name: None
        assert await fill(store, box, 3)
        assert await verify(store, files) == []
        await store.close()
    files.close()


async def test_a_file_that_can_only_be_read(tmp_path: Path) -> None:
    with UnsyncedVFS() as vfs:
        store = await open_sqlite(tmp_path, vfs="unsynced")
        await store.write(note(Note("a")))

        def read_only(kind: str, name: str) -> None:
            raise apsw.ReadOnlyError("read-only file system")

        vfs.disk.fault = read_only
        results = await gather(store, note, "b", "c")
        assert [type(result) for result in results] == [StoreReadOnly] * 2
        assert list(await store.read(notes(None))) == ["a"]
        vfs.disk.fault = lambda kind, name: None
        assert await store.write(note(Note("d"))) == "d"
        await store.close()


async def test_a_lock_of_another_process_is_waited_for_and_not_for_ever(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path, limits=Limits(busy_seconds=0.05))
    other = apsw.Connection(str(tmp_path / FILE_NAME))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        await store.write(note(Note("a")))
    answer = asyncio.ensure_future(store.write(note(Note("b"))))
    await asyncio.sleep(0)
    await store.read(notes(None))  # the loop and reads go on
    other.execute("ROLLBACK")
    other.close()
    assert await answer == "b"
    await store.close()


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreDamaged):
        await open_sqlite(tmp_path)


async def test_the_data_folder_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await open_sqlite(tmp_path / "nowhere")


# ---------------------------------------------------------------------- the file


async def test_the_wal_is_reset_past_its_bound_while_others_read(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path, limits=Limits(wal=256 << 10, checkpoint=64 << 10))
    box = await make_box(store, "alice@a.example")
    largest = 0
    for _ in range(40):
        await asyncio.gather(*[store.write(deliver(a_delivery(target(box), body=bytes(10_000)))) for _ in range(5)])
        await store.read(mailbox_row(ByMailbox(box.id)))
        largest = max(largest, (tmp_path / WAL).stat().st_size)
    assert largest < 1 << 20  # 2 MB were written
    await store.close()


async def test_the_file_is_its_owners_and_set_up_before_the_first_table(opened: SqliteStore, tmp_path: Path) -> None:
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / WAL).stat().st_mode & 0o777 == 0o600
    other = apsw.Connection(str(tmp_path / FILE_NAME))
    for pragma, value in (("page_size", 8192), ("auto_vacuum", 2), ("journal_mode", "wal")):
        assert other.execute(f"PRAGMA {pragma}").get == value
    other.close()
    assert await opened.check_file() == []


async def test_a_store_opened_again_has_everything(tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path)
    box: Box = await make_box(store, "alice@a.example")
    one = await put(store, box, body=b"kept")
    await store.close()
    again = await open_sqlite(tmp_path)
    assert await again.read(account_by_address(ByAddress("alice@a.example"))) == box.account
    (message,) = (await again.read(fetch_page(FetchPage(box.id, box.inbox)))).messages
    assert (message.id, message.octets) == (one, b"kept")
    await again.close()


async def test_units_that_take_a_slice_each_run_one_by_one(opened: SqliteStore) -> None:
    RUNS.clear()
    await asyncio.gather(*[opened.write(slowly(Note(str(n)))) for n in range(30)])
    assert sum(RUNS) == 30
    assert set(RUNS[1:]) == {1}  # as soon as it is known how long each takes
