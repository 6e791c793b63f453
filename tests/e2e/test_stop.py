"""SIGTERM under load: what was acknowledged is there afterwards, and every client hears what became of the rest."""

import asyncio
from pathlib import Path

from tests.process import ServerProcess

from immpd.client import Client, ConnectionLost, Refused
from immpd.protocol.codes import Code

ADDRESS = "a@demo.test"
CLIENTS, AT_ONCE, BEFORE = 4, 16, 50
"""Connections, messages that each sends at once, and messages acknowledged before the signal."""
SMALL, LARGE = 2_000, 400_000
"""Octets of a message that lies in a row, and of one that lies in a file."""


class Load:
    """What was acknowledged, and what the others were told."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, int] = {}
        self.enough = asyncio.Event()
        self.lost: list[str] = []
        self.refused: list[Refused] = []

    async def send(self, me: Client, name: str) -> None:
        for number in range(100_000):
            subject = f"{name}.{number}"
            size = LARGE if number % 10 == 9 else SMALL
            try:
                await me.send([ADDRESS], subject, "x" * size)
            except Refused as error:
                self.refused.append(error)
            except ConnectionLost as error:
                self.lost.append(str(error))
                return
            else:
                self.acknowledged[subject] = size
                if len(self.acknowledged) >= BEFORE:
                    self.enough.set()


async def test_a_stop_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    server.set_up(ADDRESS)
    await server.start()
    load = Load()
    clients = [server.client(ADDRESS, device=f"device{number}") for number in range(CLIENTS)]
    me = [await client.__aenter__() for client in clients]
    senders = [
        asyncio.create_task(load.send(one, f"{number}.{lane}"))
        for number, one in enumerate(me)
        for lane in range(AT_ONCE)
    ]
    await load.enough.wait()
    assert await server.stop() == 0
    await asyncio.gather(*senders)
    for client in clients:
        await client.__aexit__(None, None, None)
    assert all(error.code is Code.CANCELLED for error in load.refused)  # begun, and given up at the stop
    assert len(load.lost) == CLIENTS * AT_ONCE
    assert all("shutting down" in why for why in load.lost), set(load.lost)
    assert "sound" in server.command("check")
    await server.start()
    async with server.client(ADDRESS) as one:
        there = [(row.subject, row.size) async for row in one.index("/INBOX")]
    assert await server.stop() == 0
    assert len(dict(there)) == len(there)
    assert load.acknowledged.items() <= dict(there).items()
