"""Units that another one overtakes: where several write, a commit may lie between what a unit reads and what it writes.

SQLite has one writer, so here the other runs in the same transaction, at the last moment at which that of another
process could: before the unit takes its first lock, or before it first writes a table whose rows it has not locked.
What comes out must be as if one had run after the other; the fixture looks at the whole store afterwards.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pytest
from tests.store.feeds.test_nodes import NODE, an_item, join, mails, make_node, named, put_item
from tests.store.making import NOW, a_delivery, make_box, new_id, put, target

from immpd.store.contract import Store
from immpd.store.feeds.digests import DueDigests, SendDigest, due_digests, send_digest
from immpd.store.feeds.fanout import FanOutStep, fan_out_step
from immpd.store.feeds.items import publish
from immpd.store.feeds.keeping import ForgetItems, forget_items
from immpd.store.feeds.members import RemoveMember, remove_member
from immpd.store.feeds.nodes import ByNode, node_by_imid
from immpd.store.feeds.subscriptions import AcceptSubscriber, accept_subscriber, unsubscribe
from immpd.store.mail.deliver import deliver
from immpd.store.mail.filing import (
    DeleteMessages,
    ExpireTrash,
    PurgeMessages,
    UndeleteMessages,
    delete,
    expire_trash,
    purge,
    undelete,
)
from immpd.store.push.timers import Fire, fire
from immpd.store.units import Lockable, Params, Row, Tx, Unit, write_unit

DAY = 86_400_000
LOCK = "the first lock"


class Overtaking(msgspec.Struct, frozen=True):
    """Arguments of ``overtaken``."""

    unit: Unit[Any]
    other: Unit[Any]
    at: str
    """LOCK, or the table that the unit is about to write."""


class OvertakenTx:
    """A Tx that lets the other run once, when its moment has come."""

    def __init__(self, tx: Tx, args: Overtaking) -> None:
        self._tx = tx
        self._other: Unit[Any] | None = args.other
        self._is_lock = args.at == LOCK
        self._moment = re.compile(rf"(?:UPDATE|DELETE FROM|INSERT INTO) {args.at}\b")

    def _let_by(self, is_moment: bool) -> None:
        if is_moment and self._other is not None:
            other, self._other = self._other, None
            other.work.run(self._tx, other.args)

    def _before(self, sql: str) -> str:
        self._let_by(self._moment.match(sql) is not None)
        return sql

    def execute(self, sql: str, params: Params = ()) -> Iterator[Row]:
        return self._tx.execute(self._before(sql), params)

    def rows(self, sql: str, params: Params = ()) -> list[Row]:
        return self._tx.rows(self._before(sql), params)

    def one(self, sql: str, params: Params = ()) -> Row | None:
        return self._tx.one(self._before(sql), params)

    def executemany(self, sql: str, many: Iterable[Params]) -> int:
        return self._tx.executemany(self._before(sql), many)

    def rows_of_many(self, sql: str, many: Iterable[Params]) -> list[Row]:
        return self._tx.rows_of_many(self._before(sql), many)

    def take_ids(self, table: str, count: int) -> int:
        return self._tx.take_ids(table, count)

    def lock(self, kind: Lockable, keys: Iterable[Any]) -> None:
        self._let_by(self._is_lock)
        self._tx.lock(kind, keys)

    def tell(self, *news: Any) -> None:
        self._tx.tell(*news)

    @property
    def is_over(self) -> bool:
        return self._other is None


@write_unit
def overtaken(tx: Tx, args: Overtaking) -> Any:
    """Run a unit that the other overtakes."""
    between = OvertakenTx(tx, args)
    result = args.unit.work.run(between, args.unit.args)
    assert between.is_over, f"the moment never came: {args.at}"
    return result


async def counts(store: Store) -> tuple[int, int]:
    """Subscribers and items of the node."""
    node = await store.read(node_by_imid(ByNode(NODE)))
    assert node is not None
    return node.subscribers, node.items


async def test_content_goes_with_the_last_of_those_who_purge_it_at_once(store: Store) -> None:
    alice, bob = await make_box(store, "alice@a.example"), await make_box(store, "bob@a.example")
    targets = (target(alice), target(bob))
    await store.write(deliver(msgspec.structs.replace(a_delivery(), targets=targets)))
    one, other = [
        purge(PurgeMessages(box.id, box.inbox, (to.id,))) for box, to in zip((alice, bob), targets, strict=True)
    ]
    await store.write(overtaken(Overtaking(one, other, "shared|DELETE FROM content")))


async def test_what_was_deleted_anew_is_not_expired(store: Store) -> None:
    alice = await make_box(store, "alice@a.example")
    one = await put(store, alice)
    await store.write(delete(DeleteMessages(alice.id, alice.inbox, (one,), NOW)))
    again = _delete_again(DeleteMessages(alice.id, alice.inbox, (one,), NOW + DAY))
    await store.write(overtaken(Overtaking(expire_trash(ExpireTrash(NOW + 1)), again, LOCK)))
    assert await store.write(undelete(UndeleteMessages(alice.id, (one,), NOW + DAY)))


@write_unit
def _delete_again(tx: Tx, args: DeleteMessages) -> None:
    undelete.run(tx, UndeleteMessages(args.mailbox, args.ids, args.now))
    delete.run(tx, args)


async def test_a_digest_is_sent_by_one_of_two(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    await join(store, alice, form="hourly")
    await put_item(store, owner, title="One")
    now = NOW + DAY
    (due,) = await store.read(due_digests(DueDigests(now)))
    one, other = [send_digest(SendDigest(due, a_delivery(), new_id(), now)) for _ in range(2)]
    await store.write(overtaken(Overtaking(one, other, "subscription")))
    assert await mails(store, alice) == 1


async def test_a_step_of_fan_out_goes_on_behind_that_of_another(store: Store) -> None:
    owner = await make_box(store, "news@a.example")
    boxes = [await make_box(store, f"{name}@a.example") for name in ("alice", "bob", "carol")]
    await make_node(store, owner)
    for box in boxes:
        await join(store, box, form="message")
    item = (await put_item(store, owner)).seq
    one, other = [fan_out_step(FanOutStep(item, a_delivery(), 0, (new_id(), new_id()))) for _ in range(2)]
    assert await store.write(overtaken(Overtaking(one, other, LOCK))) is False
    assert [await mails(store, box) for box in boxes] == [1, 1, 1]


async def test_a_node_that_fell_silent_is_told_of_by_one_of_two(store: Store) -> None:
    owner = await make_box(store, "news@a.example")
    await make_node(store, owner, every=3600)
    one, other = [fire(Fire(NOW + DAY, ((new_id(), new_id()),))) for _ in range(2)]
    await store.write(overtaken(Overtaking(one, other, "timer")))
    assert await counts(store) == (0, 1)


@pytest.mark.parametrize("ends", [False, True], ids=["leaves", "removed"])
async def test_who_is_let_in_and_leaves_at_once_is_counted_no_more(store: Store, ends: bool) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner, access="approve")
    await join(store, alice)
    account, address = owner.account.id, alice.account.address
    leave = remove_member(RemoveMember(NODE, account, address)) if ends else unsubscribe(named(alice))
    accept = accept_subscriber(AcceptSubscriber(NODE, account, address))
    await store.write(overtaken(Overtaking(leave, accept, LOCK)))
    assert await counts(store) == (0, 0)


async def test_an_id_that_two_publish_at_once_is_one_item(store: Store) -> None:
    owner = await make_box(store, "news@a.example")
    await make_node(store, owner)
    item = an_item(owner, keyed=True)
    await store.write(overtaken(Overtaking(publish(item), publish(item), LOCK)))
    assert await counts(store) == (0, 1)


async def test_no_more_is_forgotten_than_is_too_much(store: Store) -> None:
    owner = await make_box(store, "news@a.example")
    await make_node(store, owner, keep=5)
    for _ in range(5):
        await put_item(store, owner)
    await store.write(_keep_less(None))
    step = ForgetItems(NOW)
    await store.write(overtaken(Overtaking(forget_items(step), forget_items(step), LOCK)))
    assert await counts(store) == (0, 3)


@write_unit
def _keep_less(tx: Tx, _: None) -> None:
    tx.execute("UPDATE node SET keep = 3")
