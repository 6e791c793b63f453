"""``immp watch`` over restarts of the real server: events from both sides of each, none missed, none twice."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from tests.process import BIN, PASSWORD, ServerProcess

ADDRESS = "alice@demo.test"
HOST = "127.0.0.2"
"""Nobody else's: the port of a server that is away stays free."""
EACH = 5


class Watcher:
    """A running ``immp watch --json``."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.seen: list[str] = []

    async def run(self, *words: str, given: bytes = b"") -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        made = await asyncio.create_subprocess_exec(
            BIN / "immp", *words, stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ, "IMMP_HOME": str(self._home)}
        )
        assert made.stdin is not None
        made.stdin.write(given)
        made.stdin.close()
        return made

    async def watch(self, *words: str) -> None:
        self.process = await self.run("watch", "INBOX", "--json", *words)

    async def until(self, count: int) -> None:
        """Until so many mails were shown."""
        assert self.process.stdout is not None
        while len(self.seen) < count:
            line = await self.process.stdout.readline()
            assert line, "the watch has ended"
            event = json.loads(line)
            if event["event"] == "mail":
                self.seen.append(event["subject"])


@pytest.mark.timeout(120)
async def test_a_watch_goes_on_over_a_stop_and_a_kill(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, host=HOST)
    server.set_up(ADDRESS)
    await server.start()
    watcher = Watcher(tmp_path / "home")
    login = await watcher.run(
        "login", ADDRESS, "--server", server.listen, "--password-stdin", given=f"{PASSWORD}\n".encode()
    )
    assert await login.wait() == 0
    sent: list[str] = []

    async def put(count: int) -> None:
        async with server.client(ADDRESS) as me:
            for _ in range(count):
                sent.append(f"number {len(sent)}")
                await me.put("/INBOX", sent[-1], "x")

    try:
        await watcher.watch("--count", str(EACH * 4))
        await watcher.process.stdout.readline()  # watching
        await put(EACH)
        await watcher.until(EACH)
        assert await server.stop() == 0
        await server.start()
        await put(EACH)
        await watcher.until(EACH * 2)
        await put(EACH)  # some may not have come yet when it is killed
        await server.kill()
        await server.start()
        await put(EACH)
        await watcher.until(EACH * 4)
        out, err = await watcher.process.communicate()
    finally:
        if server.running:
            await server.kill()
    assert watcher.seen == sent
    assert (watcher.process.returncode, out) == (0, b"")
    told = err.decode().splitlines()
    assert [line.endswith("; connecting again until it succeeds") for line in told] == [True, True]
    assert "shutting down" in told[0]


@pytest.mark.timeout(60)
async def test_once_ends_with_the_connection(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, host=HOST)
    server.set_up(ADDRESS)
    await server.start()
    watcher = Watcher(tmp_path / "home")
    login = await watcher.run(
        "login", ADDRESS, "--server", server.listen, "--password-stdin", given=f"{PASSWORD}\n".encode()
    )
    assert await login.wait() == 0
    await watcher.watch("--once")
    await watcher.process.stdout.readline()
    assert await server.stop() == 0
    out, err = await watcher.process.communicate()
    assert (watcher.process.returncode, out) == (4, b"")
    assert err == b"immp: The server closed the connection: The server is shutting down; come back later\n"
