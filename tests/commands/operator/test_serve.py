"""``immpd serve`` as a process: ready file, signals, the operator's commands while it runs."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
PATIENCE = 20.0


def immpd(*words: object, given: str = "") -> subprocess.CompletedProcess[str]:
    """One command to its end."""
    return subprocess.run(
        [BIN / "immpd", *map(str, words)], input=given, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def until(holds: Callable[[], object]) -> None:
    """Wait for another process."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.005)


class Process:
    """A server process on free ports."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.ready_file = data / "ready.json"
        self.ready_file.unlink(missing_ok=True)  # a server that was killed left its own
        words = ["serve", "--data", data, "--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0"]
        self.log = (data / "log").open("wb")
        self.process = subprocess.Popen([BIN / "immpd", *words, "--ready-file", self.ready_file], stderr=self.log)
        until(lambda: self.ready_file.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, (data / "log").read_text()
        self.ready = json.loads(self.ready_file.read_text())

    def greeting(self) -> list[str]:
        """What the server says first."""

        async def listen() -> list[str]:
            host, _, port = self.ready["listen"].rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            lines = [(await reader.readline()).decode() for _ in range(4)]
            writer.close()
            await writer.wait_closed()
            return lines

        return asyncio.run(listen())

    def events(self, event: str) -> list[dict[str, object]]:
        """What the log says of it, as far as whole lines are there."""
        lines = (self.data / "log").read_text().splitlines(keepends=True)
        return [told for told in (json.loads(line) for line in lines if line[-1] == "\n") if told["event"] == event]

    def end(self, number: int = signal.SIGTERM) -> int:
        """The exit code after a signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.log.close()
        return code


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose path is longer than the kernel takes for a socket."""
    folder = tmp_path_factory.mktemp("data").joinpath(*["a-rather-long-name-of-a-folder"] * 4)
    assert len(os.fsencode(folder)) > 108
    assert immpd("init", "--data", folder, "--domain", "a.test").returncode == 0
    return folder


@pytest.fixture
def start(data: Path) -> Iterator[Callable[[], Process]]:
    """Starts servers; those still running are ended."""
    started: list[Process] = []

    def make() -> Process:
        started.append(Process(data))
        return started[-1]

    yield make
    for one in started:
        one.end(signal.SIGKILL)


def test_the_operators_commands_work_beside_the_server(start: Callable[[], Process], data: Path) -> None:
    server = start()
    assert set(server.ready) == {"pid", "listen", "listen_tls", "fingerprint"}
    assert server.ready["pid"] == server.process.pid
    assert server.greeting()[-1] == "101 p=IMMP v=1.0 d=a.test\n"

    added = immpd("account", "add", "alice@a.test", "--data", data, "--password-stdin", given="wonderland\n")
    assert (added.returncode, added.stderr) == (0, "")
    assert "alice@a.test" in immpd("account", "list", "--data", data).stdout
    assert immpd("account", "disable", "nobody@a.test", "--data", data).returncode == 1
    assert immpd("check", "--data", data).returncode == 0

    immpd("account", "add", "bob@a.test", "--data", data, "--password-stdin", given="wonderland\n")
    assert immpd("account", "remove", "bob@a.test", "--data", data).returncode == 2
    removed = immpd("account", "remove", "bob@a.test", "--data", data, "--yes")
    assert (removed.returncode, removed.stderr) == (0, "")
    assert "bob@a.test" not in immpd("account", "list", "--data", data).stdout
    assert immpd("check", "--data", data).returncode == 0

    second = immpd("serve", "--data", data)
    assert (second.returncode, second.stderr.count("\n")) == (75, 1)
    assert "in use" in second.stderr

    assert server.end() == 0
    assert not server.ready_file.exists()
    assert len(server.events("started")) == len(server.events("stopped")) == 1
    assert "wonderland" not in (data / "log").read_text()
    assert "alice@a.test" in immpd("account", "list", "--data", data).stdout


def test_sighup_reads_the_certificates_again_or_keeps_the_old(start: Callable[[], Process], data: Path) -> None:
    server = start()
    certificate, away = data / "keys" / "tls.crt", data / "keys" / "away.crt"
    certificate.rename(away)
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.events("certificates not reloaded, the old ones stay"))
    away.rename(certificate)
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.events("certificates reloaded"))
    assert server.greeting()
    assert server.end() == 0


def test_an_interrupt_is_a_graceful_end_too_and_the_key_stays(start: Callable[[], Process]) -> None:
    first = start()
    assert first.end(signal.SIGINT) == 0
    second = start()
    assert second.ready["fingerprint"] == first.ready["fingerprint"]


def test_a_server_that_was_killed_leaves_nothing_in_the_way(start: Callable[[], Process]) -> None:
    first = start()
    first.end(signal.SIGKILL)
    assert start().end() == 0


def test_an_address_that_is_taken_is_one_clear_line(start: Callable[[], Process], tmp_path: Path) -> None:
    taken = start().ready["listen"]
    other = tmp_path / "other"
    assert immpd("init", "--data", other, "--domain", "b.test").returncode == 0
    failed = immpd("serve", "--data", other, "--listen", taken, "--listen-tls", "127.0.0.1:0")
    assert failed.returncode == 1
    assert failed.stderr == f"immpd: Cannot listen at {taken}: Address already in use\n"
