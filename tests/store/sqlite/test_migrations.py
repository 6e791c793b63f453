"""Migrations: once each, whole or not at all, from every earlier schema, never another text."""

from pathlib import Path

import pytest
from tests.store.making import make_box

from immpd.store.errors import StoreDamaged
from immpd.store.sqlite.engine import SqliteStore, open_sqlite
from immpd.store.sqlite.files import Migration, packaged_migrations
from immpd.store.units import Tx, read_unit

PACKAGED = packaged_migrations()
NEXT: Migration = (len(PACKAGED) + 1, "next", "CREATE TABLE next_one (a INTEGER); INSERT INTO next_one VALUES (1);")


@read_unit
def schema(tx: Tx, args: None) -> list[tuple[str, str]]:
    rows = tx.rows("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
    return [(row[0], row[1]) for row in rows]


@read_unit
def applied(tx: Tx, args: None) -> list[int]:
    return [row[0] for row in tx.rows("SELECT number FROM migration ORDER BY number")]


async def reopened(folder: Path, migrations: tuple[Migration, ...] = PACKAGED) -> SqliteStore:
    return await open_sqlite(folder, migrations=migrations)


async def test_a_migration_runs_once(tmp_path: Path) -> None:
    for _ in range(2):
        store = await reopened(tmp_path, (*PACKAGED, NEXT))
        assert await store.read(applied(None)) == list(range(1, NEXT[0] + 1))
        assert "next_one" in dict(await store.read(schema(None)))
        await store.close()


@pytest.mark.parametrize("earlier", range(len(PACKAGED)))
async def test_every_earlier_schema_comes_to_the_same(tmp_path: Path, earlier: int) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    await (await reopened(tmp_path / "old", PACKAGED[:earlier])).close()
    old, new = await reopened(tmp_path / "old"), await reopened(tmp_path / "new")
    assert await old.read(schema(None)) == await new.read(schema(None))
    await make_box(old, "alice@a.example")
    await old.close()
    await new.close()


async def test_a_migration_that_fails_leaves_what_was(tmp_path: Path) -> None:
    await (await reopened(tmp_path)).close()
    broken: Migration = (NEXT[0], "broken", "CREATE TABLE half (a INTEGER); INSERT INTO nowhere VALUES (1);")
    with pytest.raises(Exception, match="nowhere"):
        await reopened(tmp_path, (*PACKAGED, broken))
    store = await reopened(tmp_path, (*PACKAGED, NEXT))
    names = dict(await store.read(schema(None)))
    assert "half" not in names
    assert "next_one" in names
    await store.close()


async def test_another_text_or_a_newer_schema_is_refused(tmp_path: Path) -> None:
    await (await reopened(tmp_path, (*PACKAGED, NEXT))).close()
    with pytest.raises(StoreDamaged, match="newer program"):
        await reopened(tmp_path)
    with pytest.raises(StoreDamaged, match="not this program's"):
        await reopened(tmp_path, (*PACKAGED, (NEXT[0], "next", NEXT[2] + " -- changed")))
    await (await reopened(tmp_path, (*PACKAGED, NEXT))).close()
