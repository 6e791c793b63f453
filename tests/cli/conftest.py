"""Fixtures: ``immp`` run in this process beside a server, and an account that is logged in."""

import asyncio
import io
import sys
from pathlib import Path

import pytest
from tests.cli.running import Immp, Result, profile_of
from tests.serving import Account, Serving

from immpd.cli.person import main as person
from immpd.cli.person.profile import Profiles


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMMP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("IMMP_PROFILE", raising=False)
    return tmp_path / "home"


@pytest.fixture
def immp(home: Path, monkeypatch: pytest.MonkeyPatch) -> Immp:
    """``await immp("ls", "--json", stdin=b"…")``: run a command beside the server's loop."""

    async def run(*words: object, stdin: bytes = b"") -> Result:
        streams = [io.TextIOWrapper(io.BytesIO(octets), encoding="utf-8") for octets in (stdin, b"", b"")]
        with monkeypatch.context() as patch:
            for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
                patch.setattr(sys, name, stream)
            code = await asyncio.wait_for(asyncio.to_thread(person.main, [str(word) for word in words]), 30)
        said = []
        for stream in streams[1:]:
            stream.flush()
            said.append(stream.buffer.getvalue())
        assert b"Traceback" not in said[1]
        return Result(code, said[0].decode(errors="replace"), said[1].decode(), said[0])

    return run


@pytest.fixture
async def alice(server: Serving, account, home: Path) -> Account:
    """An account that is logged in."""
    made = await account()
    Profiles(home).save(made.address, profile_of(server, made))
    return made
