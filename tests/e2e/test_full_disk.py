"""A disk that is really full, under the installed server: a small file system that only the test sees."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.process import ServerProcess

from immpd.client import Client, Refused

ADDRESS = "a@demo.test"
SIZE = "24m"
SMALL, LARGE = 20_000, 1 << 20
"""Octets of a message that lies in a row, and of one that lies in a file."""
HOLD = 'mount -t tmpfs -o size="$1" none "$0" && echo mounted && exec cat'
"""Make the file system, and hold it until standard input ends."""
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")


def may_mount() -> bool:
    """Whether this user may have a mount namespace; some systems forbid it."""
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not may_mount(), reason="this system gives its users no mount namespaces")


class SmallDisk:
    """The file system: seen from inside by the server, from outside through /proc."""

    def __init__(self, holder: subprocess.Popen[bytes], inside: Path) -> None:
        self.inside = inside
        self.outside = Path(f"/proc/{holder.pid}/root{inside}")
        self.enter = ("nsenter", "-t", str(holder.pid), "-U", "-m", "--preserve-credentials")

    def fill(self) -> None:
        """Leave no room at all."""
        with (self.outside / "ballast").open("ab", buffering=0) as ballast:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        ballast.write(bytes(size))
                except OSError:
                    pass

    def make_room(self) -> None:
        (self.outside / "ballast").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    inside = tmp_path / "disk"
    inside.mkdir()
    holder = subprocess.Popen([*UNSHARE, "sh", "-c", HOLD, inside, SIZE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"mounted\n"
    yield SmallDisk(holder, inside)
    holder.communicate()


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


async def test_a_full_disk_is_said_reading_goes_on_and_room_heals_it(tmp_path: Path, disk: SmallDisk) -> None:
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
                refused = await send_until_refused(one, size, accepted)
                assert (int(refused.code), refused.word, refused.retry) == (450, "STORE-FULL", 60)
            async for row in two.index("/INBOX"):
                octets = b"".join([piece async for piece in two.fetch_part(f"/INBOX#{row.id}", 1)])
                assert octets == b"x" * row.size
            async with server.client(ADDRESS, device="three") as three:  # logging in needs no room
                assert (await three.check("/INBOX"))[0].t == len(accepted)
            disk.make_room()
            for size in (SMALL, LARGE):
                sent = await send(one, size)
                assert isinstance(sent, str), sent
                accepted[sent] = size
            assert {row.subject: row.size async for row in two.index("/INBOX")} == accepted
        assert "sound" in server.command("check")
    finally:
        assert await server.stop() == 0
