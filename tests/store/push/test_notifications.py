"""Notifications on every backend: once however often they are sent, replaced, taken back, answered, over."""

import asyncio
from uuid import UUID

import msgspec
import pytest
from tests.store.conftest import Kept
from tests.store.hearing import Heard
from tests.store.making import NOW, Box, make_box, new_id
from tests.store.notifying import CARD, DAY, a_push, by, happens, pushed, said, shown, told

from immpd.model.notification import Level
from immpd.store.contract import Store
from immpd.store.push.admission import MAX_OPEN
from immpd.store.push.notifications import (
    Answer,
    ByIds,
    ByPush,
    Dismiss,
    Ended,
    ForgetNotifications,
    ListNotifications,
    NoAction,
    NoNotification,
    Retract,
    answer,
    by_ids,
    dismiss,
    forget_notifications,
    notifications,
    retract,
    sent,
)
from immpd.store.push.pushes import push

ID = UUID("0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60")
OTHER = UUID("0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f61")


@pytest.fixture
async def alice(store: Store) -> Box:
    return await make_box(store, "alice@a.example")


@pytest.fixture
async def bob(store: Store) -> Box:
    return await make_box(store, "bob@a.example")


async def statuses(store: Store, sender: Box, id: UUID = ID) -> list[tuple[str, str, str | None]]:
    """PUSH STATUS: whose, what became of it, the answer."""
    rows = await store.read(sent(ByPush(sender.id, id.bytes)))
    return [(row.recipient, row.status, row.answer) for row in rows]


async def test_the_same_id_is_shown_once_however_often_it_is_sent(
    store: Store, heard: Heard, alice: Box, bob: Box
) -> None:
    results = await asyncio.gather(*[pushed(store, by(bob), alice, id=ID) for _ in range(5)])
    assert list(results) == ["delivered"] + ["duplicate"] * 4
    assert [change.kind for change in heard.changes()] == ["notified"]
    assert await said(store, alice) == ["hello"]
    (one,) = await shown(store, alice)
    await store.write(dismiss(Dismiss(alice.id, one.uuid, NOW)))
    assert await pushed(store, by(bob), alice, id=ID) == "duplicate"  # nor when it was cleared meanwhile
    assert await said(store, alice) == []


async def test_an_id_belongs_to_its_sender_and_recipient(store: Store, alice: Box, bob: Box) -> None:
    for sender, to in ((bob, alice), (alice, alice), (alice, bob)):
        assert await pushed(store, by(sender), to, id=ID) == "delivered"
    assert len(await said(store, alice)) == 2
    assert await statuses(store, bob) == [("alice@a.example", "shown", None)]
    assert {row[0] for row in await statuses(store, alice)} == {"alice@a.example", "bob@a.example"}


async def test_the_same_id_with_other_content_replaces_it(store: Store, heard: Heard, alice: Box, bob: Box) -> None:
    await pushed(store, by(bob), alice, id=ID, body=b"50 %")
    (first,) = await shown(store, alice)
    heard.changes()
    assert await pushed(store, by(bob), alice, id=ID, body=b"100 %") == "updated"
    assert [change.kind for change in heard.changes()] == ["notified"]
    (second,) = await shown(store, alice)
    assert (second.uuid, second.body) == (first.uuid, b"100 %")


async def test_one_of_a_tag_is_open_at_most(store: Store, heard: Heard, alice: Box, bob: Box) -> None:
    for body in (b"90 %", b"95 %"):
        await pushed(store, by(bob), alice, tag="disk", body=body)
    assert await said(store, alice) == ["95 %"]
    await pushed(store, by(alice), alice, tag="disk", body=b"mine")  # another's tag is another tag
    await pushed(store, by(bob), alice, id=ID, body=b"no tag yet")
    assert await said(store, alice) == ["no tag yet", "mine", "95 %"]
    heard.changes()
    await pushed(store, by(bob), alice, id=ID, tag="disk", body=b"99 %")
    assert [change.kind for change in heard.changes()] == ["cleared", "notified"]
    assert await said(store, alice) == ["99 %", "mine"]
    (one, _) = await shown(store, alice)
    await store.write(dismiss(Dismiss(alice.id, one.uuid, NOW)))
    result = await pushed(store, by(bob), alice, tag="disk", body=b"100 %")  # what was cleared is not replaced
    assert result == "delivered"
    assert (await shown(store, alice))[0].uuid != one.uuid


async def test_what_its_tag_replaced_does_not_come_back_when_it_is_sent_again(
    store: Store, heard: Heard, alice: Box, bob: Box
) -> None:
    await pushed(store, by(bob), alice, id=ID, tag="backup", body=b"Running")
    await pushed(store, by(bob), alice, id=OTHER, tag="backup", body=b"Done")
    heard.changes()
    assert await pushed(store, by(bob), alice, id=ID, tag="backup", body=b"Running") == "duplicate"
    assert heard.changes() == []
    assert await said(store, alice) == ["Done"]


async def test_what_is_taken_back_is_gone_for_who_has_not_seen_it(
    store: Store, heard: Heard, alice: Box, bob: Box
) -> None:
    carol = await make_box(store, "carol@a.example")
    await store.write(push(a_push(by(bob), alice, carol, id=ID, body=CARD)))
    (one,) = await shown(store, carol)
    await store.write(answer(Answer(carol.id, one.uuid, "yes", NOW, "now")))
    heard.changes()
    assert not await store.write(retract(Retract(bob.id, ID.bytes, NOW)))
    assert [change.mailbox for change in heard.changes()] == [alice.id]
    assert await said(store, alice) == []
    (kept,) = await store.read(notifications(ListNotifications(alice.id, ended=True)))
    assert (kept.status, kept.title, kept.body) == ("retracted", "", b"")
    assert await statuses(store, bob) == [
        ("alice@a.example", "retracted", None),
        ("carol@a.example", "answered", "yes"),
    ]
    with pytest.raises(NoNotification):
        await store.write(retract(Retract(alice.id, ID.bytes, NOW)))  # only its sender may


async def test_what_is_taken_back_while_it_waits_was_never_there(
    store: Store, heard: Heard, alice: Box, bob: Box
) -> None:
    await pushed(store, by(bob), alice, id=ID, after=60_000)
    await store.write(retract(Retract(bob.id, ID.bytes, NOW)))
    assert heard.changes() == []
    assert await happens(store, heard, NOW + 8 * DAY) == []
    assert await told(store, alice) == []
    assert await store.read(notifications(ListNotifications(alice.id, ended=True))) == []


async def test_it_is_answered_once_and_its_sender_hears_once(store: Store, alice: Box, bob: Box) -> None:
    await pushed(store, by(bob), alice, id=ID, body=CARD)
    (one,) = await shown(store, alice)
    for action in ("web", "no"):  # a button that opens a page is no answer
        with pytest.raises(NoAction):
            await store.write(answer(Answer(alice.id, one.uuid, action, NOW, "now")))
    with pytest.raises(NoNotification):
        await store.write(answer(Answer(bob.id, one.uuid, "yes", NOW, "now")))
    pressed = [store.write(answer(Answer(alice.id, one.uuid, "yes", NOW, "now"))) for _ in range(3)]
    results = await asyncio.gather(*pressed, return_exceptions=True)
    assert [isinstance(result, Ended) for result in results] == [False, True, True]
    with pytest.raises(Ended):
        await store.write(dismiss(Dismiss(alice.id, one.uuid, NOW)))
    assert await statuses(store, bob) == [("alice@a.example", "answered", "yes")]
    assert [change.kind for change in await told(store, alice)] == ["notified", "cleared"]
    (heard,) = await told(store, bob)
    assert (heard.kind, heard.id) == ("answered", ID.bytes)
    details = {"push": str(ID), "by": "alice@a.example", "action": "yes", "at": "now"}
    assert msgspec.json.decode(heard.details) == details


async def test_who_answers_an_own_notification_is_told_both(store: Store, heard: Heard, alice: Box) -> None:
    await pushed(store, by(alice), alice, body=CARD)
    (one,) = await shown(store, alice)
    heard.changes()
    await store.write(answer(Answer(alice.id, one.uuid, "yes", NOW, "now")))
    changes = heard.changes()
    assert [(change.kind, change.state) for change in changes] == [("cleared", 2), ("answered", 3)]
    assert await told(store, alice, since=1) == changes


async def test_what_is_dismissed_is_so_on_all_devices_and_told_once(
    store: Store, heard: Heard, alice: Box, bob: Box
) -> None:
    await pushed(store, by(bob), alice, id=ID)
    (one,) = await shown(store, alice)
    done = [store.write(dismiss(Dismiss(alice.id, one.uuid, NOW))) for _ in range(2)]
    heard.changes()
    _, second = await asyncio.gather(*done, return_exceptions=True)
    assert isinstance(second, Ended)
    assert [change.kind for change in heard.changes()] == ["cleared"]
    assert await said(store, alice) == []
    assert [change.kind for change in await told(store, alice)] == ["notified", "cleared"]
    assert await told(store, bob) == []  # its sender is not told
    assert await statuses(store, bob) == [("alice@a.example", "dismissed", None)]


async def test_what_is_over_is_not_listed_also_where_its_timer_is_late(store: Store, alice: Box, bob: Box) -> None:
    await pushed(store, by(bob), alice, ttl=60_000)
    (one,) = await store.read(notifications(ListNotifications(alice.id, now=NOW + 59_999)))
    late = NOW + 60_000
    assert await store.read(notifications(ListNotifications(alice.id, now=late))) == []
    (ended,) = await store.read(notifications(ListNotifications(alice.id, ended=True, now=late)))
    assert (ended.status, ended.ended) == ("expired", late)
    assert (await store.read(by_ids(ByIds(alice.id, (one.uuid,), late))))[one.uuid].status == "expired"
    with pytest.raises(Ended):
        await store.write(dismiss(Dismiss(alice.id, one.uuid, late)))


async def test_lists_go_by_pages_and_hold_what_was_seen(store: Store, alice: Box, bob: Box) -> None:
    for n in range(5):
        await pushed(store, by(bob), alice, body=b"%d" % n)
    await pushed(store, by(bob), alice, body=b"waits", after=60_000)
    page = await store.read(notifications(ListNotifications(alice.id, limit=2)))
    assert [one.body for one in page] == [b"4", b"3"]
    rest = await store.read(notifications(ListNotifications(alice.id, before=page[-1].id)))
    assert [one.body for one in rest] == [b"2", b"1", b"0"]
    await store.write(dismiss(Dismiss(alice.id, page[0].uuid, NOW)))
    assert await said(store, alice) == ["3", "2", "1", "0"]
    assert len(await store.read(notifications(ListNotifications(alice.id, ended=True)))) == 5
    ids = (page[0].uuid, page[1].uuid, new_id())
    assert set(await store.read(by_ids(ByIds(alice.id, ids)))) == set(ids[:2])
    assert await store.read(by_ids(ByIds(bob.id, ids))) == {}


async def test_one_push_goes_to_many_and_each_has_an_outcome(store: Store, heard: Heard, alice: Box, bob: Box) -> None:
    carol = await make_box(store, "carol@a.example")
    nobody = msgspec.structs.replace(bob, account=msgspec.structs.replace(bob.account, address="nobody@a.example"))
    results = await store.write(push(a_push(by(bob), alice, nobody, carol, id=ID)))
    assert list(results) == ["delivered", "no-mailbox", "delivered"]
    assert [change.mailbox for change in heard.changes()] == [alice.id, carol.id]
    assert [row[0] for row in await statuses(store, bob)] == ["alice@a.example", "carol@a.example"]


async def test_what_ended_long_ago_is_forgotten_and_what_is_open_is_not(store: Store, alice: Box, bob: Box) -> None:
    for id in (ID, OTHER):
        await pushed(store, by(bob), alice, id=id)
    (_, one) = await shown(store, alice)
    await store.write(dismiss(Dismiss(alice.id, one.uuid, NOW)))
    assert not await store.write(forget_notifications(ForgetNotifications(NOW)))
    assert len(await statuses(store, bob)) == 1
    assert await store.write(forget_notifications(ForgetNotifications(NOW + 1, limit=1)))
    with pytest.raises(NoNotification):
        await statuses(store, bob)
    assert await statuses(store, bob, OTHER) == [("alice@a.example", "shown", None)]


async def test_a_mailbox_has_room_again_when_something_ended(store: Store, alice: Box, bob: Box) -> None:
    senders = [await make_box(store, f"u{n}@a.example") for n in range(MAX_OPEN // 100)]
    for sender in senders:
        await asyncio.gather(*[pushed(store, by(sender), alice) for _ in range(100)])
    assert await pushed(store, by(bob), alice) == "full"
    assert await pushed(store, by(bob), bob) == "delivered"
    (one, *_) = await shown(store, alice)
    await store.write(dismiss(Dismiss(alice.id, one.uuid, NOW)))
    assert await pushed(store, by(bob), alice, id=ID) == "delivered"
    assert await pushed(store, by(bob), alice, id=ID, body=b"changed") == "updated"


async def test_all_of_it_outlives_the_process(kept: Kept, alice: Box, bob: Box) -> None:
    store = kept.store
    await pushed(store, by(bob), alice, id=ID, body=CARD, level=Level.HIGH)
    await pushed(store, by(bob), alice, id=OTHER, tag="disk", body=b"90 %")
    (_, card) = before = await shown(store, alice)
    await store.write(answer(Answer(alice.id, card.uuid, "yes", NOW, "now")))
    changes = await told(store, alice)
    store = await kept.reopen()
    assert await shown(store, alice) == before[:1]
    assert await told(store, alice) == changes
    assert await statuses(store, bob) == [("alice@a.example", "answered", "yes")]
    assert [change.kind for change in await told(store, bob)] == ["answered"]
    assert await pushed(store, by(bob), alice, id=ID, body=CARD, level=Level.HIGH) == "duplicate"
    assert await pushed(store, by(bob), alice, tag="disk", body=b"95 %") == "updated"
