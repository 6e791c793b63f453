"""The client without async, and that it is the same."""

import ast
import asyncio
import inspect
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.serving import Account, Serving

import immpd.client
from immpd.client import Client, Refused, blocking, blocking_source
from immpd.net.fingerprints import KnownPeers


def test_it_is_made_from_the_client_of_today() -> None:
    made = ast.dump(ast.parse(blocking_source.source(blocking_source.FOLDER)))
    kept = ast.dump(ast.parse(Path(blocking.__file__).read_text()))
    assert made == kept, "run python -m immpd.client.blocking_source --write"


def test_every_method_is_there() -> None:
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if name.startswith("_") or name in ("stream", "pipeline", "wait_closed", "logged_in"):
            continue
        twin = getattr(blocking.Client, name)
        assert list(inspect.signature(twin).parameters) == list(inspect.signature(method).parameters), name
        assert not inspect.iscoroutinefunction(twin)
    assert AsyncIterator.__name__ not in Path(blocking.__file__).read_text()
    twins = (blocking.connect, immpd.client.connect)
    assert len({tuple(inspect.signature(one).parameters) for one in twins}) == 1


def _use(where: str, alice: Account, known: KnownPeers) -> None:
    with blocking.connect(alice.address, server=where, h=alice.h, known=known, device="b") as me:
        assert me.who().account == alice.address
        delivered = me.send(alice.address, "Hi", "Hello")
        assert delivered.rows[0].outcome == "delivered"
        (row,) = me.index("/inbox")
        assert row.subject == "Hi"
        for event in me.watch():
            assert event.event == "watching"
            break
        with pytest.raises(Refused):
            me.check("/nowhere")
        assert me.account is not None
        assert me.secret is not None
        assert me.about.d == "a.test"
    with pytest.raises(KeyError), blocking.connect(alice.address, server=where, h=alice.h, known=known):
        raise KeyError
    with pytest.raises(Refused), blocking.connect(alice.address, server=where, h=bytes(32), known=known):
        pass


@pytest.mark.asyncio(loop_scope="module")
async def test_a_session_on_a_thread_of_its_own(server: Serving, account, known: KnownPeers) -> None:
    host, port = server.listen
    alice = await account()
    await asyncio.to_thread(_use, f"{host}:{port}", alice, known)
    assert [thread.name for thread in threading.enumerate() if thread.name == "immp"] == []
