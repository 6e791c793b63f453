"""What a service manager is told, by the words of sd_notify(3)."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from immpd.app.service_manager import ServiceManager

BIN = Path(sys.executable).parent


class Listener:
    """The manager's end; a socket's path has 100 octets at most, so it lies in a folder with a short name."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(30)

    def told(self) -> dict[str, str]:
        """The next word, whose lines are NAME=VALUE."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())


@pytest.fixture(params=["file", "abstract"] if sys.platform == "linux" else ["file"])  # Linux alone has the second
def listener(request: pytest.FixtureRequest) -> Iterator[Listener]:
    with tempfile.TemporaryDirectory(prefix="sd-") as folder:
        name = f"{folder}/notify"
        if request.param == "abstract":
            name = f"@{folder}"
        made = Listener(name)
        yield made
        made.socket.close()


async def test_ready_reload_and_stop(listener: Listener) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": listener.address}, 1)
    manager.ready("Serves a.test")
    assert listener.told() == {"READY": "1", "STATUS": "Serves a.test"}
    manager.reloading(lambda: 7_000)
    assert listener.told() == {"RELOADING": "1", "MONOTONIC_USEC": "7"}
    manager.stopping()
    assert listener.told() == {"STOPPING": "1", "STATUS": "Stopping"}
    manager.leave()


async def test_signs_of_life_only_where_they_are_wanted_of_this_process(listener: Listener) -> None:
    environment = {"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "2000", "WATCHDOG_PID": "7"}
    manager = ServiceManager(environment, 7)
    manager.ready("")
    assert "READY" in listener.told()
    for _ in range(3):
        assert await asyncio.to_thread(listener.told) == {"WATCHDOG": "1"}
    manager.leave()
    other = ServiceManager(environment, 8)
    other.ready("")
    told = listener.told()
    while "WATCHDOG" in told:  # what the first one had said before it left
        told = listener.told()
    assert "READY" in told
    assert other._alive is None


async def test_without_a_manager_or_with_a_deaf_one_nothing_happens(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}, {"NOTIFY_SOCKET": "x" * 300}):
        manager = ServiceManager(environment, 1)
        manager.ready("")
        manager.stopping()
        manager.leave()


def test_the_server_tells(listener: Listener, tmp_path: Path) -> None:
    data = tmp_path / "data"
    subprocess.run([BIN / "immpd", "init", "--data", data, "--domain", "a.test"], check=True, capture_output=True)
    words = [BIN / "immpd", "serve", "--data", data, "--listen", "127.0.0.1:0"]
    environment = {**os.environ, "NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "100000"}
    environment.pop("WATCHDOG_PID", None)
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            ready = listener.told()
            assert (ready["READY"], ready["STATUS"][:14]) == ("1", "Serves a.test;")
            assert listener.told() == {"WATCHDOG": "1"}
            server.send_signal(signal.SIGHUP)
            told = listener.told()
            while "WATCHDOG" in told:
                told = listener.told()
            assert told["RELOADING"] == "1"
            assert listener.told()["READY"] == "1"
            server.send_signal(signal.SIGTERM)
            while "WATCHDOG" in (told := listener.told()):
                pass
            assert told["STOPPING"] == "1"
            assert server.wait(30) == 0
        finally:
            if server.poll() is None:
                server.kill()
