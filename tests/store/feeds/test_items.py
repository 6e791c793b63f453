"""Editions that wait, come late, or come from somebody else; and what is beside them."""

import asyncio

import msgspec
import pytest
from tests.store.feeds.test_nodes import NODE, an_item, join, make_node, titles
from tests.store.making import NOW, make_box, new_account, new_id

from immpd.store.accounts.directory import add_account
from immpd.store.contract import Store
from immpd.store.errors import IdReused, NoItem
from immpd.store.feeds.dismissals import DismissItem, ForgetDismissals, dismiss_item, forget_dismissals
from immpd.store.feeds.items import NameItem, accept_item, publish, retract
from immpd.store.feeds.members import SetMember, add_member
from immpd.store.mail.changes import ForgetRetryKeys, forget_retry_keys
from immpd.store.sqlite.engine import Limits, open_sqlite

DAY = 86_400_000


async def a_moderated_list(store: Store):
    owner, alice, bob = [await make_box(store, f"{name}@a.example") for name in ("news", "alice", "bob")]
    await make_node(store, owner, list=True, moderated=True, form="notification")
    await join(store, alice)
    await join(store, bob)
    uuid = new_id()
    await store.write(publish(an_item(bob, uuid=uuid, title="First")))
    await store.write(accept_item(NameItem(NODE, owner.account.id, owner.account.address, uuid, NOW)))
    assert await titles(store, alice) == ["First"]
    return owner, alice, bob, uuid


async def test_an_edition_that_waits_is_not_said_to_be_published_when_it_is_sent_again(store: Store) -> None:
    _, _, bob, uuid = await a_moderated_list(store)
    second = an_item(bob, uuid=uuid, title="Second")
    first_answer = await store.write(publish(second))
    again = await store.write(publish(second))
    assert (first_answer.seq, first_answer.new) == (0, True)
    assert (again.seq, again.new) == (0, True)


async def test_an_edition_that_waits_does_not_take_the_place_of_a_later_one(store: Store) -> None:
    owner, alice, bob, uuid = await a_moderated_list(store)
    await store.write(publish(an_item(bob, uuid=uuid, title="Second")))
    member = SetMember(NODE, owner.account.id, bob.account.address, True, NOW, 10)
    await store.write(add_member(member))
    await store.write(publish(an_item(bob, uuid=uuid, title="Third")))
    assert await titles(store, alice) == ["Third"]
    with pytest.raises(NoItem):
        await store.write(accept_item(NameItem(NODE, owner.account.id, owner.account.address, uuid, NOW)))
    assert await titles(store, alice) == ["Third"]


async def test_who_waits_for_room_and_fails_does_not_stop_all_writes(tmp_path) -> None:
    """As a caller's ``done`` that raises does not (engine.py, _tell): what waits for room is called without a guard."""
    store = await open_sqlite(tmp_path, limits=Limits(queue=1000))
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    writes = [asyncio.ensure_future(store.write(add_account(new_account(f"a{n}@a.example")))) for n in range(20)]
    await asyncio.sleep(0)
    assert store.saturated

    def failing() -> None:
        raise RuntimeError("a caller failed")

    store.on_room(failing)
    await asyncio.wait(writes, timeout=5)
    try:
        await asyncio.wait_for(store.write(add_account(new_account("later@a.example"))), 2)
    finally:
        asyncio.get_running_loop().set_exception_handler(None)


async def test_who_was_done_with_an_item_is_forgotten_in_steps_once_the_item_is(store: Store) -> None:
    owner, *readers = [await make_box(store, f"{name}@a.example") for name in ("news", "ann", "ben", "cleo")]
    await make_node(store, owner, keep=1)
    items = [an_item(owner) for _ in range(2)]
    for box in readers:
        await join(store, box)
    for item in items:
        await store.write(publish(item))
        if item is items[0]:
            for box in readers:
                await store.write(dismiss_item(DismissItem(box.id, NODE, item.uuid)))
    await store.write(dismiss_item(DismissItem(readers[0].id, NODE, items[1].uuid)))
    steps = []
    after: int | None = 0
    while after is not None:
        after = await store.write(forget_dismissals(ForgetDismissals(after, limit=2)))
        steps.append(after)
    assert steps == [0, 1, 2, None]
    assert await titles(store, readers[0]) == []  # the other is still known to be dismissed
    assert await titles(store, readers[1]) == [items[1].title]


async def test_an_edition_that_was_replaced_does_not_come_back_when_it_is_sent_again(store: Store) -> None:
    owner, alice = [await make_box(store, f"{name}@a.example") for name in ("news", "alice")]
    await make_node(store, owner)
    await join(store, alice)
    first = an_item(owner, title="First")
    second, third = [an_item(owner, uuid=first.uuid, title=title) for title in ("Second", "Third")]
    for item, new in ((first, True), (second, True), (first, False), (third, True), (second, False), (third, False)):
        assert (await store.write(publish(item))).new is new
    assert await titles(store, alice) == ["Third"]


async def test_an_id_stays_its_publishers_when_the_owner_took_the_item_back(store: Store) -> None:
    owner, bob = [await make_box(store, f"{name}@a.example") for name in ("news", "bob")]
    await make_node(store, owner)
    await store.write(add_member(SetMember(NODE, owner.account.id, bob.account.address, True, NOW, 10)))
    item = an_item(bob, title="First")
    await store.write(publish(item))
    await store.write(retract(NameItem(NODE, owner.account.id, owner.account.address, item.uuid, NOW)))
    again = await store.write(publish(item))
    assert (again.new, again.seq) == (False, 0)  # it came before, and nothing of it is there
    assert (await store.write(publish(msgspec.structs.replace(item, title="Mended")))).edition == 2


async def test_the_same_item_is_published_once_as_long_as_it_is_kept(store: Store) -> None:
    owner, alice = [await make_box(store, f"{name}@a.example") for name in ("news", "alice")]
    await make_node(store, owner)
    await join(store, alice)
    item, untitled = an_item(owner, title="First"), an_item(owner, title="")
    for one in (item, untitled):
        await store.write(publish(one))
    later = NOW + 40 * DAY
    await store.write(forget_retry_keys(ForgetRetryKeys(later // DAY)))
    for one in (item, untitled):
        assert not (await store.write(publish(msgspec.structs.replace(one, now=later)))).new
    with pytest.raises(IdReused):
        await store.write(publish(msgspec.structs.replace(item, body=b"other", now=later, renews=False)))
    assert len(await titles(store, alice)) == 2
