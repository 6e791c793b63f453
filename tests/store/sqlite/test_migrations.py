"""Migrations: once each, whole or not at all, from every earlier schema, never another text."""

import hashlib
from pathlib import Path

import apsw
import pytest
from tests.store.making import NOW, make_box, new_id

from immpd.store.errors import StoreDamaged
from immpd.store.mail.deliver import Delivery, Target, deliver
from immpd.store.mail.mailboxes import ByMailbox, Folder, ListFolders, MailboxRow, folders, mailbox_row
from immpd.store.sqlite.engine import SqliteStore, open_sqlite
from immpd.store.sqlite.files import FILE_NAME, Migration, packaged_migrations
from immpd.store.units import Tx, read_unit

PACKAGED = packaged_migrations()
LANDED = {
    "0001_accounts_and_mailboxes": "7a28bd21e233c8f82f03fab1ff40ab216cefeaa3a4199ecc9a0f58f47f14fab1",
    "0002_rounds_of_accounts": "40f2119fe894b13b7352d3343ea0cc686d94f36f5536353fa00e531724ef1573",
    "0003_notifications": "3a3422c91e3d951fa5ca5d26bb4eb68a4cd3fec743f651c3a1a522c594777502",
    "0004_feeds": "cc56d8168fea29e289b583247141092830f12a5560e1a9675a3a1471a4816fb0",
    "0005_answers": "ccfe2965caa75969f627e221206fdae2b7fa4b9b7d549726cf99615b31beb264",
    "0006_folder_numbers": "5ae4d54caa75e9c4a4631d968ee61b8d2c05fb597cd393331029141af41cc5a7",
    "0007_consent_to_be_seen": "ce42b75e98356063c5cbf0d18d6fa7d007485f1b1623de720725284857e3e953",
    "0008_closed_mailboxes": "946d8a3438b2ce2a6fb0c61be20413286cf67227c6f693282f113a141df0ff02",
    "0009_digests_of_parts": "370cb830a73851ccaa173a3885234b8f53b4bf494bcca851fb0c664633202046",
    "0010_removed_accounts": "ccd21a7a31c566808e8cb5932a1ae82157979149a5b7f182488f5380e8531477",
    "0011_narrow_numbers": "6498b9889761711c3f1d450e5a017d927cd2ce644ce00e2d16f0321fea347f61",
    "0012_jobs": "eccccb4b7e4badd5a311de4e00dc6ed2ec17a95c623f9efa86f4ce1084fd87fd",
}
"""SHA-256 of the text of each migration that has landed: data folders were made with it, so it never changes again."""
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


async def test_numbers_and_counters_are_moved(tmp_path: Path) -> None:
    """0011: each mailbox and folder keeps what it had, closed ones too, and the next delivery goes on from there."""
    await (await reopened(tmp_path, PACKAGED[:10])).close()
    database = apsw.Connection(str(tmp_path / FILE_NAME))
    database.execute(
        "INSERT INTO mailbox (id, kind, address, state, floor, closed) VALUES"
        " (3, 'account', 'a@a.example', 300, 7, 0), (5, 'account', 'b@a.example', 4, 0, 1);"
        "INSERT INTO folder (id, mailbox, uuid, path, key, role, unread, total, state) VALUES"
        " (11, 3, x'6f6e65', '/INBOX', '/inbox', 'inbox', 2, 9, 299),"
        " (12, 5, x'74776f', '/INBOX', '/inbox', 'inbox', 0, 1, 4)"
    )
    database.close()
    store = await reopened(tmp_path)
    assert await store.read(mailbox_row(ByMailbox(3))) == MailboxRow(3, "account", "a@a.example", 300, 7)
    assert await store.read(mailbox_row(ByMailbox(5))) == MailboxRow(5, "account", "b@a.example", 4, 0)
    assert await store.read(folders(ListFolders(3))) == [Folder(11, b"one", "/INBOX", "inbox", 2, 9, 299)]
    assert await store.read(folders(ListFolders(5))) == [Folder(12, b"two", "/INBOX", "inbox", 0, 1, 4)]
    targets = (Target(3, 11, 11, new_id(), key=b"3"), Target(5, 12, 12, new_id(), key=b"5"))
    done = await store.write(deliver(Delivery("x@x.example", 0, 1, b"{", b"[]", b"{}", b"x", b"d", targets, NOW)))
    assert done == ("delivered", "closed")
    assert await store.read(folders(ListFolders(3))) == [Folder(11, b"one", "/INBOX", "inbox", 3, 10, 301)]
    await store.close()


def test_what_has_landed_never_changes() -> None:
    found = {f"{number:04}_{name}": hashlib.sha256(text.encode()).hexdigest() for number, name, text in PACKAGED}
    edited = [name for name in LANDED if found.get(name) != LANDED[name]]
    assert not edited, "Landed migrations are never edited: write a new one"
    new = [f'"{name}": "{digest}",' for name, digest in found.items() if name not in LANDED]
    assert not new, "A migration that lands gets its line in the table above"


async def test_another_text_or_a_newer_schema_is_refused(tmp_path: Path) -> None:
    await (await reopened(tmp_path, (*PACKAGED, NEXT))).close()
    with pytest.raises(StoreDamaged, match="newer program"):
        await reopened(tmp_path)
    with pytest.raises(StoreDamaged, match="not this program's"):
        await reopened(tmp_path, (*PACKAGED, (NEXT[0], "next", NEXT[2] + " -- changed")))
    await (await reopened(tmp_path, (*PACKAGED, NEXT))).close()
