from collections.abc import AsyncIterator

import pytest
from tests.federation.name_server import NameServer, name_server


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    """A DNS server with an empty zone."""
    async with name_server() as server:
        yield server
