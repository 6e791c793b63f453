"""The installed server as a process of its own, on a data folder of the test, for whoever stops or plagues it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from immpd.client import Client, Secret, connect
from immpd.net.fingerprints import KnownPeers

BIN = Path(sys.executable).parent
PATIENCE = 60.0
"""Seconds until a server that neither starts nor ends is given up."""
PASSWORD = "secret enough"
SMALL_RESERVE = {"IMMPD_STORAGE__RESERVE": "1048576"}


class ServerProcess:
    """A server process over ``folder/data`` that can be stopped or killed, and started again and again.

    ``data`` is the data folder where it lies elsewhere, ``prefix`` words before each command, such as those
    that enter another view of the file system, ``serve`` the words that serve. At ``host``, an
    address that is given where nobody else listens, it has the same ports at every start.
    """

    def __init__(
        self,
        folder: Path,
        data: Path | None = None,
        prefix: tuple[str, ...] = (),
        serve: tuple[str, ...] = (str(BIN / "immpd"), "serve"),
        host: str = "",
    ) -> None:
        self.folder = folder
        self.data = data or folder / "data"
        self.prefix = prefix
        self.serve = serve
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.host = host
        self.listen = ""
        self.listen_tls = ""

    def command(self, *words: str, given: bytes = b"") -> str:
        """What ``immpd`` says with these words; the server need not run."""
        line = [*self.prefix, BIN / "immpd", *words, "--data", self.data]
        done = subprocess.run(line, input=given, capture_output=True, check=False)
        assert done.returncode == 0, (words, done.stdout.decode(), done.stderr.decode())
        return done.stdout.decode()

    def set_up(self, *addresses: str) -> None:
        """Make the data folder, and these accounts of demo.test with ``PASSWORD``."""
        self.command("init", "--domain", "demo.test")
        for address in addresses:
            self.command("account", "add", address, "--password-stdin", given=f"{PASSWORD}\n".encode())

    def client(self, address: str, *, device: str = "", h: Secret | None = None) -> AbstractAsyncContextManager[Client]:
        """A client that is logged in: by the password, or quicker by what was derived from it before."""
        known = KnownPeers(self.folder)
        password = PASSWORD if h is None else None
        return connect(address, server=self.listen, password=password, h=h, device=device, known=known)

    def device(self, address: str) -> AbstractAsyncContextManager[Client]:
        """A client of a device that does not log in and has nothing but a push token of this account."""
        return connect(address, server=self.listen, known=KnownPeers(self.folder))

    async def launch(self) -> None:
        """Begin to start."""
        (self.folder / "ready").unlink(missing_ok=True)
        words = [*self.prefix, *self.serve, "--data", self.data, "--ready-file", self.folder / "ready"]
        for option, last in (("--listen", self.listen), ("--listen-tls", self.listen_tls)):
            words += [option, (last if self.host else "") or f"{self.host or '127.0.0.1'}:0"]
        with self.log.open("ab") as log:
            self.process = await asyncio.to_thread(
                subprocess.Popen, words, stderr=log, env={**os.environ, **SMALL_RESERVE, "IMMPD_LOG__FORMAT": "json"}
            )

    async def start(self) -> None:
        """Start, until it serves."""
        await self.launch()
        async with asyncio.timeout(PATIENCE):
            while not (self.folder / "ready").exists():
                assert self.running, self.log.read_text()
                await asyncio.sleep(0.01)  # another process writes it, and tells nobody
        ready = json.loads((self.folder / "ready").read_text())
        self.listen, self.listen_tls = ready["listen"], ready["listen_tls"]

    @property
    def running(self) -> bool:
        """Whether there is a process, serving or not yet."""
        return self.process is not None and self.process.poll() is None

    async def kill(self) -> None:
        """No warning, no last word."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask it to end; its exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, PATIENCE)
