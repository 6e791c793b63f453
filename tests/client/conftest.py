"""Fixtures: clients that are logged in, and a server that says whatever a test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.serving import Account, Serving

from immpd.client import Client, connect
from immpd.net.fingerprints import KnownPeers


@pytest.fixture
def known(tmp_path: Path) -> KnownPeers:
    return KnownPeers(tmp_path / "home")


@pytest.fixture
async def login(server: Serving, known: KnownPeers) -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    """``await login(alice)``: a client with her h; closed after the test."""
    async with AsyncExitStack() as stack:

        async def make(account: Account, **settings: Any) -> Client:
            host, port = server.listen
            settings = {"server": f"{host}:{port}", "h": account.h, "known": known, **settings}
            return await stack.enter_async_context(connect(account.address, **settings))

        yield make


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def pretend() -> AsyncIterator[Callable[[Script], Awaitable[str]]]:
    """``await pretend(script)``: HOST:PORT of a server that follows the script and hangs up."""
    async with AsyncExitStack() as stack:

        async def serve(script: Script) -> str:
            async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                try:
                    await script(reader, writer)
                finally:
                    writer.close()

            listener = await stack.enter_async_context(await asyncio.start_server(follow, "127.0.0.1", 0))
            host, port = listener.sockets[0].getsockname()[:2]
            return f"{host}:{port}"

        yield serve
