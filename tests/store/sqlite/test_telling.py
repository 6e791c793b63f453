"""What units tell: after the commit, in their order, once, before they are answered; and what is read then."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import apsw
import msgspec
import pytest
from tests.store.unsynced_vfs import UnsyncedVFS

from immpd.model.news import News, Wake
from immpd.store.errors import NoMailbox, StoreFull, UnknownOutcome
from immpd.store.sqlite.engine import TOLD_AT_ONCE, Limits, SqliteStore, open_sqlite
from immpd.store.units import Tx, read_unit, write_unit


class Said(msgspec.Struct, frozen=True):
    text: str
    times: int = 1


@write_unit
def say(tx: Tx, args: Said) -> str:
    """Keep a text and tell it; ``fail`` fails after it."""
    tx.execute("INSERT INTO meta (key, value) VALUES (?, '')", (args.text,))
    tx.tell(*[Wake(args.text)] * args.times)
    if args.text.startswith("fail"):
        raise NoMailbox(args.text)
    return args.text


@write_unit
def say_together(tx: Tx, args: Said) -> str:
    """As ``say``, with a way to run many as one."""
    return say.run(tx, args)


@say_together.batched
def say_many(tx: Tx, many: Sequence[Said]) -> list[str]:
    return [say.run(tx, args) for args in many]


@read_unit
def whisper(tx: Tx, args: Said) -> None:
    tx.tell(Wake(args.text))


@read_unit
def said(tx: Tx, _: None) -> list[str]:
    return [row[0] for row in tx.rows("SELECT key FROM meta WHERE key NOT IN ('epoch', 'count', 'touched')")]


class Hearer:
    """An Audience that keeps what it is told, and what could be read by then."""

    def __init__(self) -> None:
        self.order: list[str] = []
        """Jobs as they were told, ``gap``, and what callers note."""
        self.store: SqliteStore | None = None
        self.unreadable: list[str] = []
        self.heard_gap = asyncio.Event()

    def publish(self, news: Sequence[News]) -> None:
        assert self.store is not None
        there: list[str] = []
        self.store.submit(said(None), lambda result, error: there.extend(result))
        for one in news:
            assert isinstance(one, Wake)
            self.order.append(one.job)
            if one.job not in there:
                self.unreadable.append(one.job)

    def gap(self) -> None:
        self.order.append("gap")
        self.heard_gap.set()

    async def open(self, folder: Path, vfs: str | None = None) -> SqliteStore:
        self.store = await open_sqlite(folder, vfs=vfs, audience=self)
        return self.store


@pytest.fixture
def hearer() -> Hearer:
    return Hearer()


@pytest.fixture
async def opened(tmp_path: Path, hearer: Hearer) -> AsyncIterator[SqliteStore]:
    store = await hearer.open(tmp_path)
    yield store
    await store.close()
    assert hearer.unreadable == []


async def test_what_units_tell_is_told_in_their_order_before_any_of_them_is_answered(
    opened: SqliteStore, hearer: Hearer
) -> None:
    await opened.read(said(None))  # what was read before is no reason to read it old

    async def one(text: str) -> None:
        await opened.write(say(Said(text)))
        hearer.order.append(f"answered {text}")

    await asyncio.gather(*[one(text) for text in "abc"])
    assert hearer.order == ["a", "b", "c", "answered a", "answered b", "answered c"]


@pytest.mark.parametrize("work", [say, say_together])
async def test_who_fails_tells_nothing_and_who_is_run_again_tells_once(
    opened: SqliteStore, hearer: Hearer, work
) -> None:
    texts = ("a", "fail1", "b", "fail2", "c")
    await asyncio.gather(*[opened.write(work(Said(text))) for text in texts], return_exceptions=True)
    assert hearer.order == ["a", "b", "c"]


async def test_a_batch_whose_commit_finds_no_room_tells_nothing_and_when_it_is_run_again_once(
    tmp_path: Path, hearer: Hearer
) -> None:
    with UnsyncedVFS() as vfs:
        store = await hearer.open(tmp_path, "unsynced")
        faults = 0

        def full(kind: str, name: str) -> None:
            nonlocal faults
            if kind == "write" and faults < 2:
                faults += 1
                raise apsw.FullError("no room")

        vfs.disk.fault = full
        answers = await asyncio.gather(*[store.write(say(Said(text))) for text in "abc"], return_exceptions=True)
        failed = [text for text, answer in zip("abc", answers, strict=True) if isinstance(answer, StoreFull)]
        assert faults == 2
        assert hearer.order == [text for text in "abc" if text not in failed]
        assert 0 < len(failed) < 3
        await store.close()


async def test_what_may_be_there_without_a_word_is_a_gap(tmp_path: Path, hearer: Hearer) -> None:
    with UnsyncedVFS() as vfs:
        store = await hearer.open(tmp_path, "unsynced")

        def broken(kind: str, name: str) -> None:
            if kind == "sync":
                raise apsw.IOError("the disk answers no more")

        vfs.disk.fault = broken
        with pytest.raises(UnknownOutcome):
            await store.write(say(Said("a")))
        assert hearer.order == []
        vfs.disk.fault = lambda kind, name: None
        await hearer.heard_gap.wait()  # it is opened again
        assert hearer.order == ["gap"]
        await store.write(say(Said("b")))
        assert hearer.order == ["gap", "b"]
        await store.close()


async def test_what_is_committed_is_told_though_nobody_waits_for_the_answer(
    opened: SqliteStore, hearer: Hearer
) -> None:
    gone = asyncio.ensure_future(opened.write(say(Said("a"))))
    await asyncio.sleep(0)
    gone.cancel()
    await opened.write(say(Said("b")))
    assert hearer.order == ["a", "b"]


async def test_a_unit_that_reads_tells_nothing(opened: SqliteStore) -> None:
    with pytest.raises(TypeError):
        await opened.read(whisper(Said("a")))


async def test_many_news_are_told_by_slices_and_in_order(opened: SqliteStore, hearer: Hearer) -> None:
    many = [Said(f"n{n}", TOLD_AT_ONCE // 3) for n in range(10)]
    await asyncio.gather(*[opened.write(say(one)) for one in many])
    assert hearer.order == [one.text for one in many for _ in range(one.times)]


async def test_news_of_another_process_can_be_read_when_they_are_told(tmp_path: Path, hearer: Hearer) -> None:
    ours = await hearer.open(tmp_path)

    class Foreign(Hearer):
        """The audience of the other process: what it is told goes to ours, as a bus between them would hand it on."""

        def publish(self, news: Sequence[News]) -> None:
            ours.renew()
            hearer.publish(news)

    theirs = await Foreign().open(tmp_path)
    for text in "abc":
        assert text not in await ours.read(said(None))
        await theirs.write(say(Said(text)))
    assert hearer.order == ["a", "b", "c"]
    assert hearer.unreadable == []
    await theirs.close()
    await ours.close()


async def test_what_another_process_committed_without_a_word_is_read_soon(tmp_path: Path) -> None:
    ours = await open_sqlite(tmp_path, limits=Limits(snapshot_seconds=0.001))
    theirs = await open_sqlite(tmp_path)
    assert await ours.read(said(None)) == []
    await theirs.write(say(Said("a")))
    async with asyncio.timeout(5):
        while await ours.read(said(None)) != ["a"]:  # noqa: ASYNC110 - the end of a snapshot is nobody's event
            await asyncio.sleep(0)
    await theirs.close()
    await ours.close()


async def test_all_that_is_read_in_one_breath_is_of_one_instant(tmp_path: Path) -> None:
    ours, theirs = await open_sqlite(tmp_path, limits=Limits(snapshot_seconds=60)), await open_sqlite(tmp_path)
    assert await ours.read(said(None)) == []
    await theirs.write(say(Said("a")))
    assert await ours.read(said(None)) == []  # until its snapshot is old, or it commits, or is told of news
    ours.renew()
    assert await ours.read(said(None)) == ["a"]
    await theirs.write(say(Said("b")))
    await ours.write(say(Said("c")))
    assert await ours.read(said(None)) == ["a", "b", "c"]
    await theirs.close()
    await ours.close()


async def test_an_audience_that_fails_costs_nobody_an_answer(tmp_path: Path) -> None:
    class Deaf(Hearer):
        def publish(self, news: Sequence[News]) -> None:
            raise RuntimeError("nobody listens")

    loop = asyncio.get_running_loop()
    failures: list[object] = []
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
    store = await Deaf().open(tmp_path)
    try:
        assert await store.write(say(Said("a"))) == "a"
        assert await store.write(say(Said("b"))) == "b"
    finally:
        loop.set_exception_handler(None)
        await store.close()
    assert [type(failure) for failure in failures] == [RuntimeError] * 2
