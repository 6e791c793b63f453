"""An installed server as a process of its own, on a data folder of the test."""

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from immpd.client import Client, connect
from immpd.net.fingerprints import KnownPeers

BIN = Path(sys.executable).parent


class ServerProcess:
    """A server with the account a@demo.test; it may be stopped or killed, and started again."""

    def __init__(self, folder: Path, data: Path | None = None, prefix: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.data = data or folder / "data"
        self.prefix = prefix
        """Words before each command, such as those that enter another view of the file system."""
        self.process: subprocess.Popen[bytes]
        self.listen = ""

    def command(self, *words: str, given: bytes = b"") -> bytes:
        return subprocess.run(
            [*self.prefix, BIN / "immpd", *words, "--data", self.data], input=given, capture_output=True, check=True
        ).stdout

    def set_up(self) -> None:
        """Make the data folder and the account."""
        self.command("init", "--domain", "demo.test")
        self.command("account", "add", "a@demo.test", "--password-stdin", given=b"secret\n")

    async def start(self) -> None:
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        words = [
            *self.prefix,
            BIN / "immpd",
            "serve",
            "--data",
            self.data,
            "--listen",
            "127.0.0.1:0",
            "--listen-tls",
            "127.0.0.1:0",
            "--ready-file",
            ready,
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.to_thread(subprocess.Popen, words, stderr=log)
        while not ready.exists():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            await asyncio.sleep(0.01)  # another process writes it, and tells nobody
        self.listen = json.loads(ready.read_text())["listen"]

    def client(self, device: str = "laptop") -> AbstractAsyncContextManager[Client]:
        """A client that is logged in."""
        known = KnownPeers(self.folder)
        return connect("a@demo.test", server=self.listen, password="secret", device=device, known=known)

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self.process.wait)

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait)
