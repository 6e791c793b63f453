"""A disk that is really full, or can only be read, under the installed server: a small one that only the test sees.

In-process, and without any rights, the same is tried in tests/server/test_disk.py and tests/store/sqlite/test_room.py.
"""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.process import PATIENCE, ServerProcess

from immpd.client import Client, Refused

ADDRESS = "a@demo.test"
SIZE = "24m"
SMALL, LARGE = 20_000, 1 << 20
"""Octets of a message that lies in a row, and of one that lies in a file."""
HOLD = 'mount -t tmpfs -o size="$1" none "$0" && echo mounted && exec cat'
"""Make the file system, and hold it until standard input ends."""
WAYS = (("unshare", "--user", "--map-root-user", "--mount"), ("unshare", "--mount"))
"""To a mount namespace: as anybody, or as root."""
WITHOUT = "IMMPD_WITHOUT_MOUNTS"
MISSING = (
    "These tests need a small disk of their own: unshare and nsenter (util-linux), and a system that lets users have"
    f" mount namespaces, or root. Outside CI, {WITHOUT}=1 leaves them out."
)


def way_to_mount() -> tuple[str, ...]:
    """The words before a command that has a mount namespace of its own."""
    for way in WAYS:
        try:
            if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0:
                return way
        except FileNotFoundError:
            break
    pytest.fail(MISSING)


pytestmark = pytest.mark.skipif(os.environ.get(WITHOUT) == "1", reason=f"{WITHOUT}=1 left it out. {MISSING}")


class SmallDisk:
    """The file system: seen from inside by the server, from outside through /proc."""

    def __init__(self, holder: subprocess.Popen[bytes], way: tuple[str, ...], inside: Path) -> None:
        self.inside = inside
        self.outside = Path(f"/proc/{holder.pid}/root{inside}")
        user = ("-U", "--preserve-credentials") if "--user" in way else ()
        self.enter = ("nsenter", "-t", str(holder.pid), "-m", *user)

    def fill(self) -> None:
        """Leave no room at all."""
        with (self.outside / "ballast").open("ab", buffering=0) as ballast:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        ballast.write(bytes(size))
                except OSError:
                    pass

    @property
    def free(self) -> int:
        """Octets."""
        found = os.statvfs(self.outside)
        return found.f_bavail * found.f_frsize

    def make_room(self) -> None:
        (self.outside / "ballast").unlink()

    def let_it_be(self, what: str) -> None:
        """``ro`` or ``rw``."""
        subprocess.run([*self.enter, "mount", "-o", f"remount,{what}", self.inside], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    inside = tmp_path / "disk"
    inside.mkdir()
    way = way_to_mount()
    holder = subprocess.Popen([*way, "sh", "-c", HOLD, inside, SIZE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"mounted\n"
    yield SmallDisk(holder, way, inside)
    holder.communicate()


@pytest.fixture
def keep(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a disk of this size can keep free."""
    monkeypatch.setenv("IMMPD_STORAGE__KEEP_FREE", str(3 << 20))


async def send(me: Client, size: int) -> str | Refused:
    """Send a message of so many octets; its subject, or why it was refused."""
    subject = os.urandom(8).hex()
    try:
        await me.send([ADDRESS], subject, "x" * size)
    except Refused as error:
        return error
    return subject


async def send_until_refused(me: Client, size: int, accepted: dict[str, int]) -> Refused:
    while isinstance(sent := await send(me, size), str):
        accepted[sent] = size
    return sent


async def send_when_there_is_room(me: Client, size: int) -> str:
    """The server looks at its disk by itself: what is refused at first is taken soon."""
    async with asyncio.timeout(PATIENCE):
        while True:
            sent = await send(me, size)
            if isinstance(sent, str):
                return sent
            await asyncio.sleep(0.05)  # another process makes room, and tells nobody


async def read_all(me: Client) -> dict[str, int]:
    """Every message in INBOX, octet for octet; subject and size."""
    found = {}
    async for row in me.index("/INBOX"):
        octets = b"".join([piece async for piece in me.fetch_part(f"/INBOX#{row.id}", 1)])
        assert octets == b"x" * row.size
        found[row.subject] = row.size
    return found


async def purge(me: Client, *names: str) -> None:
    for name in names:
        await me.delete(f"{name}::*", purge=True)


def assert_is_full(refused: Refused) -> None:
    assert (int(refused.code), refused.word, refused.retry) == (450, "STORE-FULL", 60)


async def test_a_full_disk_is_said_reading_goes_on_and_room_heals_it(
    tmp_path: Path, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing is kept free."""
    monkeypatch.setenv("IMMPD_STORAGE__KEEP_FREE", "0")
    server = ServerProcess(tmp_path, disk.inside / "data", disk.enter)
    server.set_up(ADDRESS)
    await server.start()
    accepted: dict[str, int] = {}
    try:
        async with server.client(ADDRESS, device="one") as one, server.client(ADDRESS, device="two") as two:
            for size in (SMALL, LARGE):
                sent = await send(one, size)
                assert isinstance(sent, str)
                accepted[sent] = size
            disk.fill()
            for size in (LARGE, SMALL, 1, LARGE):
                assert_is_full(await send_until_refused(one, size, accepted))
            assert await read_all(two) == accepted
            async with server.client(ADDRESS, device="three") as three:  # logging in needs no room
                assert (await three.check("/INBOX"))[0].t == len(accepted)
            disk.make_room()
            for size in (SMALL, LARGE):
                sent = await send(one, size)
                assert isinstance(sent, str), sent
                accepted[sent] = size
            assert await read_all(two) == accepted
        assert "sound" in server.command("check")
    finally:
        assert await server.stop() == 0


async def test_deliveries_end_before_all_else_and_removing_never(tmp_path: Path, disk: SmallDisk, keep: None) -> None:
    server = ServerProcess(tmp_path, disk.inside / "data", disk.enter)
    server.set_up(ADDRESS)
    await server.start()
    accepted: dict[str, int] = {}
    async with server.client(ADDRESS, device="one") as one:
        for size in (LARGE, SMALL):
            assert_is_full(await send_until_refused(one, size, accepted))
        assert disk.free > 1 << 20
        await one.flag("/INBOX::*", add=["FLAGGED"])  # other changes find room
        disk.fill()
        # Nothing at all is left, and the server is killed: it starts, shows everything, and lets it be removed.
        await server.kill()
    await server.start()
    async with server.client(ADDRESS, device="one") as one:
        assert await read_all(one) == accepted
        assert_is_full(await send_until_refused(one, 1, accepted))
        await purge(one, "/INBOX", "/SENT")
        assert await read_all(one) == {}
        disk.make_room()
        await send_when_there_is_room(one, LARGE)
    assert await server.stop() == 0
    assert "sound" in server.command("check")


async def test_what_is_removed_makes_room(tmp_path: Path, disk: SmallDisk, keep: None) -> None:
    """The disk is full of nothing but messages: without the operator they can be removed, and others sent."""
    server = ServerProcess(tmp_path, disk.inside / "data", disk.enter)
    server.set_up(ADDRESS)
    await server.start()
    async with server.client(ADDRESS, device="one") as one:
        for _ in range(2):
            for size in (LARGE, SMALL):
                assert_is_full(await send_until_refused(one, size, {}))
            await purge(one, "/INBOX", "/SENT")
            await send_when_there_is_room(one, LARGE)
    assert await server.stop() == 0


async def test_without_a_reserve_reading_goes_on(
    tmp_path: Path, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch, keep: None
) -> None:
    monkeypatch.setattr("tests.process.SMALL_RESERVE", {"IMMPD_STORAGE__RESERVE": "0"})
    server = ServerProcess(tmp_path, disk.inside / "data", disk.enter)
    server.set_up(ADDRESS)
    await server.start()
    async with server.client(ADDRESS) as one:
        sent = await send(one, SMALL)
        disk.fill()
        await server.kill()
    await server.start()
    async with server.client(ADDRESS) as one:
        assert await read_all(one) == {sent: SMALL}
        assert_is_full(await send_until_refused(one, 1, {}))
        assert "the store can only be read" in server.log.read_text()
        disk.make_room()
        again = await send_when_there_is_room(one, LARGE)
        assert set(await read_all(one)) == {sent, again}
    assert await server.stop() == 0


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_a_disk_that_can_only_be_read_is_served_to_readers(
    tmp_path: Path, disk: SmallDisk, keep: None, end: str
) -> None:
    server = ServerProcess(tmp_path, disk.inside / "data", disk.enter)
    server.set_up(ADDRESS)
    await server.start()
    async with server.client(ADDRESS) as one:
        sent = await send(one, SMALL)
        if end == "kill":
            await server.kill()
    if end == "stop":
        await server.stop()
    disk.let_it_be("ro")
    await server.start()
    async with server.client(ADDRESS) as one:
        assert await read_all(one) == {sent: SMALL}
        refused = await send(one, 1)
        assert isinstance(refused, Refused)
        assert (int(refused.code), refused.word, refused.retry) == (450, "STORE-READ-ONLY", 60)
        disk.let_it_be("rw")
        again = await send_when_there_is_room(one, LARGE)
        assert set(await read_all(one)) == {sent, again}
    assert await server.stop() == 0
