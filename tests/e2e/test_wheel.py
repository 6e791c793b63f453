"""The wheel by itself: installed where nothing of the sources is, it does the main job and tells type checkers all."""

import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
PROGRAM = '''
"""What a program of somebody else may look like."""

from typing import assert_type

from immpd.client import Client, ConnectionLost, Event, ImmpError, Reconnecting, Refused, blocking, connect
from immpd.model.message import IndexRow
from immpd.protocol.replies import Delivered


async def work(me: Client) -> None:
    delivered = await me.send(["bob@a.test"], "Lunch?", "At twelve.")
    assert_type(delivered, Delivered)
    assert_type([row async for row in me.index("/inbox")], list[IndexRow])
    async for event in me.watch(reconnect=Reconnecting(most=5.0)):
        assert_type(event, Event)


async def main() -> None:
    try:
        async with connect("alice@a.test", password="wonderland") as me:
            await work(me)
    except Refused as error:
        print(error.code, error.word)
    except ConnectionLost as error:
        assert_type(error, ConnectionLost)
    except ImmpError as error:
        print(error)


def plain() -> None:
    with blocking.connect("alice@a.test", password="wonderland") as me:
        assert_type([row for row in me.index("/inbox")], list[IndexRow])
        me.send(5)  # type: ignore[arg-type] # that it is wrong is known: nothing here is Any
'''


class Installed:
    """An environment of its own, with the wheel and the libraries of the lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "IMMP", "VIRTUAL"))
        } | {"IMMP_HOME": str(folder / "home")}
        build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder / "dist")]
        self._run(build, ROOT)
        (wheel,) = (folder / "dist").iterdir()
        self._run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], folder)
        self.python = folder / "env" / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(self.python), "install"]
        self._run([*pip, "--quiet", "--no-deps", "--no-index", str(wheel)], folder)
        # A line of a .pth file is one more folder to import from; its own .pth files, and the sources with them, count
        # for nothing there.
        (packages,) = (folder / "env").glob("lib/python*/site-packages")
        (packages / "lock.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def _run(self, words: list[str], folder: Path, given: str = "") -> str:
        done = subprocess.run(
            words, cwd=folder, input=given, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def run(self, *words: str, given: str = "") -> str:
        """A program of the environment, run elsewhere; its output."""
        return self._run([str(self.folder / "env" / "bin" / words[0]), *words[1:]], self.elsewhere, given)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def server(installed: Installed) -> Iterator[dict[str, str]]:
    """A server of the wheel, and what it says of itself."""
    data = str(installed.elsewhere / "data")
    installed.run("python", "-m", "immpd", "init", "--data", data, "--domain", "a.test")
    for name in ("alice", "bob"):
        installed.run(
            "immpd", "account", "add", f"{name}@a.test", "--data", data, "--password-stdin", given="wonderland"
        )
    ready = installed.elsewhere / "ready"
    words = [installed.folder / "env" / "bin" / "immpd", "serve", "--data", data, "--ready-file", ready]
    with subprocess.Popen(
        [*words, "--listen", "127.0.0.1:0"], cwd=installed.elsewhere, env=installed.environment
    ) as process:
        began = time.monotonic()
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() - began < PATIENCE
            time.sleep(0.01)
        yield json.loads(ready.read_text())
        process.terminate()


@pytest.mark.timeout(120)
def test_the_main_job(installed: Installed, server: dict[str, str]) -> None:
    where = installed.run("python", "-c", "import immpd; print(immpd.__file__)")
    assert where.startswith(str(installed.folder / "env"))
    for name in ("alice", "bob"):
        key = ("--server", server["listen"], "--fingerprint", server["fingerprint"])
        installed.run("immp", "login", f"{name}@a.test", *key, "--password-stdin", given="wonderland")
    installed.run("immp", "send", "alice@a.test", "-s", "Lunch", given="At twelve?\n")
    row = json.loads(installed.run("immp", "ls", "--json", "--profile", "alice@a.test"))
    assert row["subject"] == "Lunch"
    assert "At twelve?" in installed.run("immp", "read", row["id"], "--profile", "alice@a.test")


def test_manual_pages_and_completions_come_along(installed: Installed) -> None:
    there = {path.relative_to(installed.folder / "env") for path in (installed.folder / "env" / "share").rglob("*.*")}
    share = ROOT / "share"
    assert {path.relative_to(ROOT) for path in share.rglob("*.*")} <= there
    for name in ("immp", "immpd"):
        assert (installed.folder / "env" / "share" / "bash-completion" / "completions" / name).is_file()


@pytest.mark.timeout(180)
def test_a_program_that_uses_it_is_type_checked(installed: Installed) -> None:
    program = installed.elsewhere / "program.py"
    program.write_text(PROGRAM)
    words = ["-m", "mypy", "--strict", "--warn-unused-ignores", "--python-executable", str(installed.python)]
    told = installed._run([sys.executable, *words, str(program)], installed.elsewhere)
    assert "no issues" in told
