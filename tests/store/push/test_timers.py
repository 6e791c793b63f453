"""What is due at a time, on every backend: shown, repeated, promoted and ended in order, also after a new start."""

import pytest
from tests.store.conftest import Kept
from tests.store.feeds.test_nodes import NODE, join, make_node, put_item, titles
from tests.store.hearing import Heard
from tests.store.making import NOW, Box, make_box
from tests.store.notifying import DAY, a_token, at, by, happens, pushed, said, shown, told, with_token

from immpd.model.feed import ItemHint, NodeOptions
from immpd.model.notification import Level
from immpd.store.contract import Store
from immpd.store.feeds.nodes import RemoveNode, SetNode, remove_node, set_node
from immpd.store.push.consent import Named, SetSetting, remove_token, set_setting
from immpd.store.push.notifications import ByPush, Dismiss, ListNotifications, dismiss, notifications, sent
from immpd.store.push.timers import MAX_REPEATS, Fire, Promoted, fire, first_timer, promoted

MINUTE = 60_000
HOUR = 60 * MINUTE


@pytest.fixture
async def alice(store: Store) -> Box:
    return await make_box(store, "alice@a.example")


async def due(store: Store) -> int | None:
    """When the next timer is due."""
    first = await store.read(first_timer(None))
    return None if first is None else first.due


async def have(store: Store, box: Box, **named: str) -> None:
    """What the person set, such as repeat="60"."""
    for name, value in named.items():
        await store.write(set_setting(SetSetting(box.id, f"push.{name}", value)))


async def test_it_is_shown_at_its_time_and_ends_at_its_time(kept: Kept, alice: Box) -> None:
    store = kept.store
    await pushed(store, by(alice), alice, after=HOUR, ttl=MINUTE)
    assert await due(store) == NOW + HOUR
    assert await happens(store, kept.heard, NOW + HOUR - 1) == []
    store = await kept.reopen()
    assert await said(store, alice) == []
    assert [change.kind for change in await happens(store, kept.heard, NOW + HOUR)] == ["notified"]
    assert await said(store, alice) == ["hello"]
    store = await kept.reopen()
    assert await happens(store, kept.heard, NOW + HOUR) == []  # a new start shows nothing twice
    assert await happens(store, kept.heard, NOW + HOUR + MINUTE - 1) == []
    assert [change.kind for change in await happens(store, kept.heard, NOW + HOUR + MINUTE)] == ["cleared"]
    assert await said(store, alice) == []
    assert await due(store) is None


async def test_what_was_over_before_the_server_came_back_is_never_shown(kept: Kept, alice: Box) -> None:
    await pushed(kept.store, by(alice), alice, after=HOUR, ttl=MINUTE)
    store = await kept.reopen()
    assert await happens(store, kept.heard, NOW + DAY) == []
    assert await told(store, alice) == []
    assert await store.read(notifications(ListNotifications(alice.id, ended=True))) == []


async def test_a_node_that_breaks_its_promise_says_so_once_until_it_publishes_again(kept: Kept, alice: Box) -> None:
    owner = await make_box(kept.store, "pump@a.example")
    await make_node(kept.store, owner, every=3600)
    await join(kept.store, alice)
    await put_item(kept.store, owner, title="Level 3", now=NOW + HOUR // 2)
    store = await kept.reopen()
    kept.heard.take(ItemHint)
    await at(store, NOW + HOUR)  # half an hour is left
    assert kept.heard.take(ItemHint) == []
    await at(store, NOW + 3 * HOUR // 2)
    ((item,)) = [hint.item for hint in kept.heard.take(ItemHint)]
    assert item is not None
    assert (item.title, item.level, item.publisher) == (f"{NODE} is silent", "high", "pump@a.example")
    assert await titles(store, alice) == ["Level 3", item.title]
    assert await due(store) is None
    await put_item(store, owner, title="Level 4", now=NOW + 2 * HOUR)
    assert await due(store) == NOW + 3 * HOUR
    await store.write(set_node(SetNode(NODE, owner.account.id, NodeOptions(every=0), NOW + 2 * HOUR)))
    kept.heard.take(ItemHint)
    await at(store, NOW + 3 * HOUR)
    assert kept.heard.take(ItemHint) == []
    await store.write(set_node(SetNode(NODE, owner.account.id, NodeOptions(every=3600), NOW + 3 * HOUR)))
    await store.write(remove_node(RemoveNode(NODE, owner.account.id, NOW + 3 * HOUR)))
    kept.heard.take(ItemHint)
    await at(store, NOW + 9 * HOUR)
    assert kept.heard.take(ItemHint) == []


async def test_what_is_due_is_done_in_the_order_of_its_times(store: Store, alice: Box) -> None:
    for minutes in (5, 1, 4, 2, 3):
        await pushed(store, by(alice), alice, after=minutes * MINUTE, body=b"%d" % minutes)
    await pushed(store, by(alice), alice, ttl=3 * MINUTE - 1, body=b"ends")
    fired = await store.write(fire(Fire(NOW + 4 * MINUTE, ((b"u" * 16, b"k" * 20),) * 3, 3)))
    assert fired.more  # in steps, so that none is too long
    await at(store, NOW + 4 * MINUTE)
    changes = await told(store, alice)
    of = {one.uuid: one.body for one in await store.read(notifications(ListNotifications(alice.id, ended=True)))}
    assert [(change.kind, of[change.id]) for change in changes] == [
        ("notified", b"ends"),
        ("notified", b"1"),
        ("notified", b"2"),
        ("cleared", b"ends"),
        ("notified", b"3"),
        ("notified", b"4"),
    ]
    assert await due(store) == NOW + 5 * MINUTE


async def test_what_nobody_answers_comes_again_so_often(kept: Kept, alice: Box) -> None:
    store = kept.store
    await have(store, alice, repeat="60")
    await pushed(store, by(alice), alice, level=Level.HIGH, body=b"urgent")
    await pushed(store, by(alice), alice, level=Level.NORMAL, body=b"not so")
    for n in range(1, MAX_REPEATS + 3):
        if n == 3:
            store = await kept.reopen()
        changes = await happens(store, kept.heard, NOW + n * MINUTE)
        assert len(changes) == (1 if n <= MAX_REPEATS else 0), n
    assert {one.body: one.repeats for one in await shown(store, alice)} == {b"urgent": MAX_REPEATS, b"not so": 0}


async def test_what_is_cleared_comes_neither_again_nor_as_mail(store: Store, heard: Heard, alice: Box) -> None:
    await have(store, alice, repeat="60", promote="120")
    await pushed(store, by(alice), alice, level=Level.HIGH)
    (one,) = await shown(store, alice)
    await store.write(dismiss(Dismiss(alice.id, one.uuid, NOW)))
    heard.changes()
    assert (await at(store, NOW + 8 * DAY)).promote == ()
    assert heard.changes() == []


async def test_a_promotion_is_tried_until_it_is_said_to_be_done(kept: Kept, alice: Box) -> None:
    store = kept.store
    await have(store, alice, promote="600")
    await pushed(store, by(alice), alice)
    assert (await at(store, NOW + 10 * MINUTE - 1)).promote == ()
    (one,) = (await at(store, NOW + 10 * MINUTE)).promote
    store = await kept.reopen()  # the process ended before it was done
    assert (await at(store, NOW + 11 * MINUTE - 1)).promote == ()
    (again,) = (await at(store, NOW + 11 * MINUTE)).promote
    assert again.uuid == one.uuid
    kept.heard.changes()
    for _ in range(2):
        await store.write(promoted(Promoted(again.id, again.replaced, NOW + 11 * MINUTE)))
    assert [change.kind for change in kept.heard.changes()] == ["cleared"]
    assert (await at(store, NOW + 12 * MINUTE)).promote == ()
    assert [row.status for row in await store.read(sent(ByPush(alice.id, one.push)))] == ["promoted"]


async def test_what_was_changed_while_it_was_promoted_stands(store: Store, heard: Heard, alice: Box) -> None:
    await have(store, alice, promote="600")
    await pushed(store, by(alice), alice, tag="disk", body=b"90 %")
    (one,) = (await at(store, NOW + 10 * MINUTE)).promote
    await pushed(store, by(alice), alice, tag="disk", body=b"95 %", now=NOW + 10 * MINUTE)
    heard.changes()
    await store.write(promoted(Promoted(one.id, one.replaced, NOW + 10 * MINUTE)))
    assert heard.changes() == []
    assert await said(store, alice) == ["95 %"]
    (later,) = (await at(store, NOW + 20 * MINUTE)).promote
    assert later.body == b"95 %"


async def test_what_is_replaced_begins_its_time_anew(store: Store, heard: Heard, alice: Box) -> None:
    await pushed(store, by(alice), alice, tag="disk", ttl=HOUR)
    await pushed(store, by(alice), alice, tag="disk", ttl=HOUR, now=NOW + MINUTE, body=b"95 %")
    assert await happens(store, heard, NOW + HOUR) == []
    assert len(await happens(store, heard, NOW + HOUR + MINUTE)) == 1
    await pushed(store, by(alice), alice, tag="disk", now=NOW + 2 * HOUR)
    await pushed(store, by(alice), alice, tag="disk", now=NOW + 2 * HOUR, after=HOUR, body=b"later")
    assert await said(store, alice) == []  # what replaces it has to wait, so it is off the screen
    await at(store, NOW + 3 * HOUR)
    assert await said(store, alice) == ["later"]


async def test_quiet_hours_hold_up_what_comes_due_in_them(store: Store, alice: Box) -> None:
    await have(store, alice, quiet="00:00-06:00 UTC")  # NOW is midnight
    for level in Level:
        await pushed(store, by(alice), alice, level=level, after=HOUR, body=level.name.encode())
    await at(store, NOW + HOUR)
    assert await said(store, alice) == ["CRITICAL", "SILENT"]
    await at(store, NOW + 6 * HOUR)
    assert set(await said(store, alice)) == {level.name for level in Level}


async def test_a_source_that_falls_silent_is_told_of_once_until_it_speaks(kept: Kept, alice: Box) -> None:
    store = kept.store
    token = await a_token(store, alice, every=3600)
    await a_token(store, alice, "other")  # that promised nothing
    await pushed(store, with_token(alice, token), alice, now=NOW + HOUR // 2, token=token)
    assert await happens(store, kept.heard, NOW + HOUR) == []
    store = await kept.reopen()
    assert len(await happens(store, kept.heard, NOW + HOUR + HOUR // 2)) == 1
    (silence, _) = await shown(store, alice)
    assert (silence.sender, silence.level) == ("alice/nas@a.example", Level.HIGH)
    assert await happens(store, kept.heard, NOW + 5 * HOUR) == []
    await pushed(store, with_token(alice, token), alice, now=NOW + 5 * HOUR, token=token)
    assert len(await happens(store, kept.heard, NOW + 6 * HOUR)) == 1


async def test_a_removed_source_is_not_missed(store: Store, heard: Heard, alice: Box) -> None:
    await a_token(store, alice, every=3600)
    await store.write(remove_token(Named(alice.id, "nas")))
    await a_token(store, alice, every=7200)  # of the same name, with a time of its own
    assert await happens(store, heard, NOW + HOUR) == []
    assert len(await happens(store, heard, NOW + 2 * HOUR)) == 1
