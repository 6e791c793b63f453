"""A disk that is full, can only be read, or is slow to answer: said clearly, harming nothing else, and it heals."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest
from tests.server.quiet import conversation_of, nothing_left, part, until
from tests.serving import Serving
from tests.store.unsynced_vfs import UnsyncedVFS

from immpd.protocol.commands import StoreCheck
from immpd.store.settings import Storage
from immpd.store.sqlite.files import FILE_NAME

LARGE = 6 << 20
"""Octets of a part that becomes a file, larger than ``files_of_at_most`` lets it be."""

PIPELINES = [f"p{number}" for number in range(10)]


@pytest.fixture
def disk() -> Iterator[UnsyncedVFS]:
    """What every store that is opened during the test lies on."""
    with UnsyncedVFS(default=True) as vfs:
        yield vfs


def works(what: str, name: str) -> None:
    """Nothing is wrong."""


def full(what: str, name: str) -> None:
    if what == "write":
        raise apsw.FullError("no room")


def read_only(what: str, name: str) -> None:
    raise apsw.ReadOnlyError("read-only file system")


@contextmanager
def files_of_at_most(octets: int) -> Iterator[None]:
    """The kernel lets no file of this process grow beyond; what is larger already can be read."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def assert_only_jobs_failed(server: Serving) -> None:
    """A job may have met the broken disk too, and says so to the operator."""
    assert all(entry.startswith("job failed") for entry in server.log.take_errors())


@pytest.mark.parametrize(("fault", "word"), [(full, "STORE-FULL"), (read_only, "STORE-READ-ONLY")])
async def test_the_store_refuses_while_all_else_goes_on_and_recovers(serve, talk, disk, fault, word):
    server = await serve()
    alice = await server.add_account("alice")
    one, other = await talk(alice, on=server), await talk(alice, on=server)
    assert (await one.deliver(alice, body=b"before")).code == 273
    disk.disk.fault = fault
    async with nothing_left(server):
        for size in (1, 100_000, 600_000):  # in a row, in a large row, in a file
            answer = await one.deliver(alice, body=b"x" * size)
            assert (answer.code, answer.word, answer.fields["retry"]) == (450, word, "60")
        answer = await one.ask("MBOX CREATE /x")
        assert (answer.code, answer.word) == (450, word)
        assert "t=1" in (await other.ask("MBOX CHECK /inbox")).text
        assert (await other.ask("FETCH /inbox::* +RAW -READ")).octets() == b"before"
    third = await talk(alice, on=server)  # logging in writes nothing
    assert (await third.ask("MBOX LIST")).code == 241
    assert conversation_of(server, one).session.drafts.memory == 0
    disk.disk.fault = works
    for size in (1, 600_000):
        assert (await one.deliver(alice, body=b"y" * size)).code == 273
    assert "t=3" in (await other.ask("MBOX CHECK /inbox")).text
    assert_only_jobs_failed(server)
    await server.running.stop()


async def test_what_fits_is_taken_where_only_some_does(serve, talk, disk):
    """Of what is pipelined each is answered for itself: accepted and there, or refused and not."""
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    left = 60

    def filling(what: str, name: str) -> None:
        nonlocal left
        if what == "write":
            left -= 1
            full(what, name) if left < 0 else works(what, name)

    disk.disk.fault = filling
    for number in range(40):
        one.send(f"DELIVER TO {alice} SUBJECT n{number}\n".encode() + part(b"x" * 20_000) + b"DONE\n")
    ends = (await one.replies(120))[2::3]
    accepted = {number for number, answer in enumerate(ends) if answer.code == 273}
    assert {answer.word for answer in ends if answer.code != 273} == {"STORE-FULL"}
    disk.disk.fault = works
    rows = (await one.ask("MBOX INDEX /inbox")).rows
    assert {int(row.rpartition("n")[2]) for row in rows} == accepted
    assert_only_jobs_failed(server)
    await server.running.stop()


async def test_no_room_for_a_large_part_is_said_before_its_end(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    one, other = await talk(alice, on=server), await talk(alice, on=server)
    assert (await one.deliver(alice, body=b"before")).code == 273
    async with nothing_left(server):
        with files_of_at_most(4 << 20):
            one.send(f"DELIVER TO {alice}\nDATA a LENGTH {LARGE} +CONTENT\n".encode() + bytes(LARGE - 1))
            assert (await one.reply()).code == 270
            answer = await one.reply()
            assert (answer.code, answer.word, answer.fields["retry"]) == (450, "STORE-FULL", "60")
            one.send(bytes(1) + b"DONE\nNOOP\n")
            assert [answer.code for answer in await one.replies(2)] == [450, 200]
            assert (await other.ask("FETCH /inbox::* +RAW -READ")).octets() == b"before"
            assert (await other.deliver(alice, body=bytes(600_000))).code == 273
            assert (await other.ask("MBOX DELETE /inbox::* +PURGE")).code == 200
            assert (await other.ask("MBOX DELETE /sent::* +PURGE")).code == 200
            for path in (server.folder / "bodies").iterdir():
                path.unlink()
    assert (await one.deliver(alice, body=bytes(LARGE))).code == 273


async def test_a_folder_of_files_that_can_only_be_read(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    bodies, aside = server.folder / "bodies", server.folder / "aside"
    bodies.rename(aside)
    bodies.symlink_to("/sys/kernel")  # where nobody may make a file, root neither
    with pytest.raises(OSError, match=r"ermission|ermitted|ead-only") as caught:
        os.open(bodies / "x", os.O_WRONLY | os.O_CREAT)
    assert caught.value.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    answer = await one.deliver(alice, body=bytes(600_000))
    assert (answer.code, answer.word) == (450, "STORE-READ-ONLY")
    assert int(answer.fields["retry"]) > 0
    assert (await one.deliver(alice)).code == 273  # a small one needs no file
    bodies.unlink()
    aside.rename(bodies)
    assert (await one.deliver(alice, body=bytes(600_000))).code == 273


async def test_a_store_that_is_full_of_work_stops_the_reading(serve, talk):
    """Another process holds the store's lock: what waits is bounded, and all is done afterwards."""
    server = await serve()
    alice = await server.add_account("alice")
    talks = [await talk(alice, on=server) for _ in range(18)]
    with closing(apsw.Connection(str(server.folder / FILE_NAME))) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        for one in talks:
            for pid in PIPELINES:
                one.send(f"AS {pid} DELIVER TO {alice}\n".encode() + part(b"x" * 200_000, pid))
                one.send(f"AS {pid} DONE")
        await until(lambda: server.services.store.saturated)
        talks[0].send("NOOP\nNOOP\n")
        await until(lambda: conversation_of(server, talks[0]).outlet.held)
        stranger.execute("ROLLBACK")
    assert [answer.code for answer in await talks[0].replies(2)] == [200, 200]
    for one in talks:
        for pid in PIPELINES:
            assert [answer.code for answer in await one.replies(3, pid)] == [270, 272, 273]


async def test_quit_waits_thirty_seconds(serve, talk):
    """For a disk that never answers: a pipe where a file was."""
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    assert (await one.deliver(alice, body=bytes(400_000))).code == 273
    (path,) = (server.folder / "bodies").iterdir()
    path.unlink()
    os.mkfifo(path)
    one.send("AS p FETCH /inbox::* +RAW\nQUIT\n")
    await until(lambda: conversation_of(server, one)._quit)
    server.pass_time(30)
    assert not conversation_of(server, one).stream.closed
    server.pass_time(1)
    assert await one.rest() == ["203 Good-bye"]
    writer = os.open(path, os.O_RDWR)  # the thread that waits for it goes on, whenever it comes there
    await server.running.stop()
    os.close(writer)


class Measured:
    """A disk with as much room as a test says."""

    def __init__(self) -> None:
        self.free = 1 << 30

    def __call__(self, folder: Path) -> int:
        return self.free


async def test_deliveries_are_refused_before_the_disk_is_full(serve, talk):
    """At their first line, before any octets; all else goes on, and room ends it at once."""
    measured = Measured()
    server = await serve(free=measured, storage=Storage(keep_free=1 << 20, reserve=0))
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    assert (await one.deliver(alice, body=b"before")).code == 273
    measured.free = 1 << 19
    for line in (f"DELIVER TO {alice}", "MBOX PUT /drafts", "MBOX COPY /inbox::* TO /archive"):
        answer = await one.ask(line)
        if answer.code == 270:  # nothing was written since, so nobody looked
            assert (await one.ask("ABORT")).code == 200
            server.services.room.look()
            answer = await one.ask(line)
        assert (answer.code, answer.word, answer.fields["retry"]) == (450, "STORE-FULL", "60"), line
    assert (await one.ask("MBOX FLAG /inbox::* +FLAGGED")).code == 200
    (warning,) = server.log.events("the disk is nearly full")
    assert warning["then"] == "deliveries are refused"
    (finding,) = (await server.operator.call(StoreCheck())).rows
    assert finding.text.startswith("room disk: 524288 octets are free")
    measured.free = 1 << 30
    assert (await one.deliver(alice)).code == 273
    assert (await server.operator.call(StoreCheck())).rows == ()


async def test_reading_does_not_fail_because_nothing_can_be_marked(serve, talk, disk):
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    await one.deliver(alice, body=b"unread")
    disk.disk.fault = full
    assert (await one.ask("FETCH /inbox::* +RAW")).octets() == b"unread"
    assert (await one.ask("FETCH /inbox::* +RAW")).code == 250
    disk.disk.fault = works
    assert "u=1" in (await one.ask("MBOX CHECK /inbox")).text
    assert (await one.ask("FETCH /inbox::* +RAW")).code == 250
    assert "u=0" in (await one.ask("MBOX CHECK /inbox")).text
    await server.running.stop()
