"""The store's own check finds what is wrong, and nothing where all is well."""

from pathlib import Path

import msgspec
import pytest
from tests.store.feeds.test_nodes import join, make_node, put_item
from tests.store.making import NOW, fill, make_box, put
from tests.store.notifying import by, pushed

from immpd.store.integrity.verify import STEP, verify
from immpd.store.mail.bodies import BodyFiles
from immpd.store.mail.filing import CopyMessages, DeleteMessages, copy, delete
from immpd.store.sqlite.engine import open_sqlite
from immpd.store.units import Tx, write_unit


class Damage(msgspec.Struct, frozen=True):
    """A statement that no unit would run."""

    sql: str


@write_unit
def damage(tx: Tx, args: Damage) -> None:
    tx.execute(args.sql)


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("UPDATE folder_count SET unread = unread + 1 WHERE folder = 1", {"counts"}),
        ("UPDATE folder_count SET total = total - 1 WHERE folder = 5", {"counts"}),
        ("DELETE FROM folder_count WHERE folder = 4", {"counts"}),
        ("UPDATE folder_count SET mailbox = 9 WHERE folder = 4", {"counts"}),
        ("DELETE FROM mailbox_state", {"counts", "placement"}),
        ("DELETE FROM placement WHERE seq = 2", {"counts", "place", "references"}),
        ("DELETE FROM message_place WHERE seq = 2", {"placement"}),
        ("UPDATE placement SET content = 77777 WHERE seq = 2", {"placement", "references"}),
        ("UPDATE placement SET state = 99999 WHERE seq = 2", {"placement"}),
        ("UPDATE placement SET folder = 999 WHERE seq = 2", {"counts", "placement", "place"}),
        ("DELETE FROM content WHERE id = 2", {"placement"}),
        ("DELETE FROM shared", {"references"}),
        ("INSERT INTO shared (content, refs) VALUES (2, 2)", {"references"}),
        ("UPDATE content SET octets = NULL WHERE id = 2", {"content"}),
        ("UPDATE content SET size = 7 WHERE id = 2", {"content"}),
        ("UPDATE content SET parts = '[' WHERE id = 2", {"content"}),
        ('UPDATE content SET files = \'{"1":"gone"}\' WHERE id = 2', {"content"}),
        ("UPDATE mailbox_state SET closed = 1", {"account"}),
        ("UPDATE account SET disabled = 1", {"account"}),
        ("SELECT 1", set()),
    ],
)
@pytest.mark.parametrize("count", [5, 2 * STEP + 5])
async def test_damage_is_found(tmp_path: Path, sql: str, kinds: set[str], count: int) -> None:
    """Also where the store is looked through in several steps."""
    store, files = await open_sqlite(tmp_path), BodyFiles(tmp_path / "bodies")
    box = await make_box(store, "alice@a.example")
    made = await fill(store, box, count)
    await put(store, box, flags=1)
    await store.write(copy(CopyMessages(box.id, box.inbox, box.id, box.to.sent, (made[0],))))
    await store.write(delete(DeleteMessages(box.id, box.inbox, (made[3],), NOW)))
    assert await verify(store, files) == []
    await store.write(damage(Damage(sql)))
    assert {finding.kind for finding in await verify(store, files)} == kinds
    files.close()
    await store.close()


@pytest.mark.parametrize("sql", ["DELETE FROM timer", "UPDATE notification SET mailbox = 77"])
async def test_a_notification_that_nobody_has_or_that_never_ends_is_found(tmp_path: Path, sql: str) -> None:
    store, files = await open_sqlite(tmp_path), BodyFiles(tmp_path / "bodies")
    alice = await make_box(store, "alice@a.example")
    for _ in range(3):
        await pushed(store, by(alice), alice)
    assert await verify(store, files) == []
    await store.write(damage(Damage(sql)))
    findings = await verify(store, files)
    assert {finding.kind for finding in findings} == {"notification"}
    files.close()
    await store.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE node SET subscribers = subscribers + 1",
        "UPDATE node SET by_mail = 0",
        "UPDATE node SET items = items - 1",
        "UPDATE node SET last_item = 0",
        "UPDATE subscription SET state = 'left' WHERE form = 'message'",
        "UPDATE subscription SET folder = (SELECT max(id) + 1 FROM folder)",
        "UPDATE subscription SET form = 'daily' WHERE form = 'notification'",
        "UPDATE item SET pending = -1",
        "DELETE FROM fan_out",
    ],
)
async def test_a_feed_that_does_not_add_up_is_found(tmp_path: Path, sql: str) -> None:
    store, files = await open_sqlite(tmp_path), BodyFiles(tmp_path / "bodies")
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    await join(store, owner)
    await join(store, alice, form="message")
    await put_item(store, owner)
    assert await verify(store, files) == []
    await store.write(damage(Damage(sql)))
    assert {finding.kind for finding in await verify(store, files)} == {"node"}
    files.close()
    await store.close()
