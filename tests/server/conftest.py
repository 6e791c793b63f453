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
