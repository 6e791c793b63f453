"""Large parts as files: complete before the row, gone after the purge, swept at the start."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.store.making import Box, a_delivery, make_box, target

from immpd.model.message import Part
from immpd.store.contract import Store
from immpd.store.errors import StoreDamaged, StoreUnavailable
from immpd.store.integrity.verify import verify
from immpd.store.mail.bodies import BLOCK, BodyFiles, SomeDoomed, doomed_files, inline_places, sweep, unlink_doomed
from immpd.store.mail.deliver import BodyFile, deliver
from immpd.store.mail.filing import CopyMessages, PurgeMessages, copy, purge
from immpd.store.mail.messages import FetchPage, fetch_page


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[BodyFiles]:
    made = BodyFiles(tmp_path / "bodies")
    yield made
    with suppress(OSError):  # a test may have closed it
        made.close()


async def write(files: BodyFiles, name: str, octets: bytes) -> int:
    writer = await files.create(name)
    for start in range(0, len(octets), 10_000):
        await writer.write(octets[start : start + 10_000])
    return await writer.finish()


async def read(files: BodyFiles, name: str, start: int = 0, length: int | None = None) -> bytes:
    return b"".join([block async for block in files.blocks(name, start, length)])


async def put_large(store: Store, files: BodyFiles, box: Box, name: str, octets: bytes) -> bytes:
    length = await write(files, name, octets)
    one = target(box)
    await store.write(deliver(a_delivery(one, files=(BodyFile(name, 2, length),))))
    return one.id


async def test_octets_come_back_in_blocks_and_in_ranges(files: BodyFiles) -> None:
    octets = os.urandom(3 * BLOCK + 17)
    assert await write(files, "a-1", octets) == len(octets)
    assert [len(block) async for block in files.blocks("a-1")] == [BLOCK, BLOCK, BLOCK, 17]
    assert await read(files, "a-1") == octets
    assert await read(files, "a-1", 5, BLOCK + 3) == octets[5 : BLOCK + 8]
    assert await read(files, "a-1", len(octets)) == b""
    with pytest.raises(StoreDamaged):
        await read(files, "a-1", 0, len(octets) + 1)
    with pytest.raises(StoreDamaged):
        await read(files, "b")


async def test_a_file_has_its_name_only_when_it_is_complete(files: BodyFiles) -> None:
    writer = await files.create("a")
    await writer.write(b"half")
    assert os.listdir(files.folder) == ["a.part"]
    await writer.abandon()
    assert os.listdir(files.folder) == []
    await write(files, "a", b"whole")
    assert os.listdir(files.folder) == ["a"]
    assert files.path("a").stat().st_mode & 0o777 == 0o600


async def test_octets_then_name_then_folder_are_synced(files: BodyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def noted_fsync(handle: int) -> None:
        steps.append(f"sync {Path(os.readlink(f'/proc/self/fd/{handle}')).name}")
        fsync(handle)

    def noted_rename(path: Path, to: Path) -> Path:
        steps.append(f"name {to.name}")
        return rename(path, to)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    await write(files, "a", b"octets")
    assert steps == ["sync a.part", "name a", "sync bodies"]


@pytest.mark.parametrize("name", ["", "../a", "a/b", "A", ".hidden", "-a", "a" * 65, "a.part"])
async def test_names_stay_in_the_folder(files: BodyFiles, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        files.path(name)


async def test_a_name_is_used_once(files: BodyFiles) -> None:
    await files.create("a")
    with pytest.raises(StoreUnavailable):
        await files.create("a")


def test_parts_that_are_no_files_lie_one_after_the_other() -> None:
    parts = [Part(1, "a", "text/plain", 3), Part(2, "b", "text/plain", 300_000), Part(3, "c", "text/plain", 4)]
    assert inline_places(parts, {2: "name"}) == {1: slice(0, 3), 3: slice(3, 7)}


async def test_a_large_part_goes_with_the_last_folder_that_holds_it(store: Store, files: BodyFiles) -> None:
    box = await make_box(store, "alice@a.example")
    one = await put_large(store, files, box, "large", bytes(300_000))
    (message,) = (await store.read(fetch_page(FetchPage(box.id, box.inbox)))).messages
    assert message.file_names() == {2: "large"}
    await store.write(copy(CopyMessages(box.id, box.inbox, box.id, box.to.sent, (one,))))
    await store.write(purge(PurgeMessages(box.id, box.inbox, (one,))))
    assert await unlink_doomed(store, files) == 0
    await store.write(purge(PurgeMessages(box.id, box.to.sent, (one,))))
    assert await store.read(doomed_files(SomeDoomed())) == ["large"]
    assert files.path("large").exists()
    assert await unlink_doomed(store, files) == 1
    assert not files.path("large").exists()
    assert await store.read(doomed_files(SomeDoomed())) == []


async def test_the_start_removes_what_no_message_names(store: Store, files: BodyFiles) -> None:
    box = await make_box(store, "alice@a.example")
    await put_large(store, files, box, "kept", b"kept")
    purged = await put_large(store, files, box, "purged", b"purged")
    await write(files, "never-delivered", b"x")
    await (await files.create("unfinished")).write(b"x")
    (files.folder / "README.of.a.stranger").write_text("not ours")
    await store.write(purge(PurgeMessages(box.id, box.inbox, (purged,))))
    assert await sweep(store, files) == 2
    assert sorted(os.listdir(files.folder)) == ["README.of.a.stranger", "kept"]


async def test_what_another_has_open_is_not_swept(store: Store, files: BodyFiles) -> None:
    await write(files, "of-another", b"x")  # written, and the row that names it is still to come
    mine = BodyFiles(files.folder)
    assert await sweep(store, mine) == 0
    assert os.listdir(files.folder) == ["of-another"]
    files.close()
    assert await sweep(store, mine) == 1
    mine.close()


async def test_a_missing_or_short_file_is_found(store: Store, files: BodyFiles, tmp_path: Path) -> None:
    box = await make_box(store, "alice@a.example")
    names = ("missing", "short", "whole")
    await asyncio.gather(*[put_large(store, files, box, name, b"123456") for name in names])
    files.path("missing").unlink()
    files.path("short").write_bytes(b"123")
    found = await verify(store, files)
    assert sorted((finding.kind, finding.what.split()[1], finding.detail) for finding in found) == [
        ("body", "missing", "is missing"),
        ("body", "short", "has 3 octets, not 6"),
    ]
    files.path("missing").write_bytes(b"123456")
    files.path("short").write_bytes(b"123456")
