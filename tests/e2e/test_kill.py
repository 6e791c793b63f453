"""kill -9 at any instant: what was acknowledged is there afterwards, once, and nothing is there half."""

import asyncio
import os
import random
from pathlib import Path

import pytest
from tests.e2e.process import ServerProcess

from immpd.client import ClientError

KILLS = int(os.environ.get("KILLS", "10"))
SENDERS = 4
SMALL, LARGE = 2_000, 400_000
"""Octets of a message that lies in a row, and of one that lies in a file."""


def body(subject: str, size: int) -> bytes:
    return (subject.encode() * (size // len(subject) + 1))[:size]


async def send_until_killed(
    server: ServerProcess, me, name: str, acknowledged: dict[str, int], chosen: random.Random
) -> None:
    """Send one after the other; what was answered is noted, what was not may be there or not."""
    for number in range(100_000):
        subject = f"{name}-{number}"
        size = LARGE if chosen.random() < 0.1 else SMALL
        try:
            await me.send(["a@demo.test"], subject, attachments=[], eml=None, text=body(subject, size).decode())
        except ClientError:
            return
        acknowledged[subject] = size


@pytest.mark.timeout(60 + 10 * KILLS)
async def test_no_acknowledged_message_is_lost_and_none_is_half(tmp_path: Path) -> None:
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(1 << 32)))
    chosen = random.Random(seed)
    server = ServerProcess(tmp_path)
    server.set_up()
    acknowledged: dict[str, int] = {}
    for round_ in range(KILLS):
        await server.start()
        async with server.client() as me:
            senders = [
                asyncio.create_task(send_until_killed(server, me, f"{round_}.{one}", acknowledged, chosen))
                for one in range(SENDERS)
            ]
            await asyncio.wait(senders, timeout=chosen.uniform(0.05, 0.5))
            await server.kill()
            await asyncio.gather(*senders)
    found = server.command("check")
    assert b"sound" in found, f"seed {seed}: {found.decode()}"
    await server.start()
    try:
        async with server.client() as me:
            there: dict[str, int] = {}
            async for row in me.index("/INBOX"):
                assert row.subject not in there, f"seed {seed}: {row.subject} is there twice"
                there[row.subject] = row.size
                octets = b"".join([piece async for piece in me.fetch_part(f"/INBOX#{row.id}", 1)])
                assert octets == body(row.subject, row.size), f"seed {seed}: {row.subject} is not what was sent"
    finally:
        await server.kill()
    assert acknowledged, "nothing was acknowledged between start and kill"
    lost = {subject for subject, size in acknowledged.items() if there.get(subject) != size}
    assert not lost, f"seed {seed}: acknowledged and lost: {sorted(lost)[:10]}"
