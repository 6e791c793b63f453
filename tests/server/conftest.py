"""Fixtures of the server's tests."""

import pytest

MIB = 1 << 20


@pytest.fixture
async def big(server, talk):
    """An account whose inbox has a message of 8 MiB, and that message's octets."""
    account = await server.unique_account("big")
    body = bytes(range(256)) * (8 * MIB // 256)
    writer = await talk(account)
    assert (await writer.deliver(account, body=body)).code == 273
    return account, body


@pytest.fixture
def no_time_passes(server):
    """What a machine that others use, too, takes of the time is not taken from anybody's share of the loop."""
    clock = server.server.turns.clock
    server.server.turns.clock = lambda: 0.0
    yield
    server.server.turns.clock = clock
