"""Fixtures for every backend: the contract suite runs on each."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.store.hearing import Heard

from immpd.store.contract import Store
from immpd.store.integrity.verify import verify
from immpd.store.mail.bodies import BodyFiles
from immpd.store.sqlite.engine import open_sqlite


class Kept:
    """A store that can be closed and opened again, as by a process that ends and the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heard = Heard()
        self.store: Store

    async def open(self) -> Store:
        """Open it; there is nothing in it the first time."""
        self.store = await open_sqlite(self.folder, audience=self.heard)
        return self.store

    async def reopen(self) -> Store:
        """Close it and open it again."""
        await self.store.close()
        return await self.open()


@pytest.fixture(params=["sqlite"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    """A store of each backend with its place; after the test it must still be sound."""
    made = Kept(tmp_path)
    await made.open()
    yield made
    files = BodyFiles(tmp_path / "bodies")
    assert await verify(made.store, files) == []
    files.close()
    await made.store.close()


@pytest.fixture
def store(kept: Kept) -> Store:
    """An empty store of each backend."""
    return kept.store


@pytest.fixture
def heard(kept: Kept) -> Heard:
    """What the units of the store told."""
    return kept.heard
