"""One fixture for every backend: the contract suite runs on each."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from immpd.store.bodies import BodyFiles
from immpd.store.contract import Store
from immpd.store.sqlite.engine import open_sqlite
from immpd.store.verify import verify


@pytest.fixture(params=["sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store of each backend; after the test it must still be sound."""
    made = await open_sqlite(tmp_path)
    yield made
    files = BodyFiles(tmp_path / "bodies")
    assert await verify(made, files) == []
    files.close()
    await made.close()
