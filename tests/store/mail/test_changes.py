"""Catching up and positions, on every backend."""

import pytest
from tests.store.making import NOW, a_delivery, fill, make_box, target

from immpd.model.change import Change
from immpd.store.contract import Store
from immpd.store.errors import NoMailbox, NoMessage, StateAhead, StateGone
from immpd.store.mail.changes import (
    ChangesSince,
    ForgetChanges,
    ForgetRetryKeys,
    Positions,
    SetPositions,
    changes_since,
    forget_changes,
    forget_retry_keys,
    positions,
    set_positions,
)
from immpd.store.mail.deliver import deliver
from immpd.store.mail.filing import FlagMessages, MoveMessages, flag, move
from immpd.store.mail.mailboxes import ByMailbox, mailbox_row
from immpd.store.mail.messages import PositionOf, position_of


async def catch_up(store: Store, mailbox: int, since: int, span: int) -> list[Change]:
    found = []
    while True:
        page = await store.read(changes_since(ChangesSince(mailbox, since, span)))
        found += page.changes
        if not page.more:
            return found
        assert page.cursor > since
        since = page.cursor


async def test_what_happened_is_told_in_order_whatever_the_pages(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    made = await fill(store, box, 4)
    expected = [("new", one, box.inbox) for one in made]
    await store.write(flag(FlagMessages(box.id, box.inbox, (made[0], made[1]), on=1)))
    expected += [("flags", made[0], box.inbox), ("flags", made[1], box.inbox)]
    await store.write(move(MoveMessages(box.id, box.inbox, box.to.sent, (made[2],), NOW)))
    # What came and moved on is told where it is now; nothing is told twice.
    expected = [one for one in expected if one != ("new", made[2], box.inbox)]
    expected.append(("moved", made[2], box.to.sent))
    for span in (1, 2, 3, 500):
        found = await catch_up(store, box.id, 0, span)
        assert [(change.kind, change.id, change.folder) for change in found] == expected
        assert [change.state for change in found] == [1, 2, 4, 5, 6, 7]
    assert await catch_up(store, box.id, 7, 10) == []


async def test_unknown_states(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    with pytest.raises(StateGone):
        await store.read(changes_since(ChangesSince(box.id, 1)))
    with pytest.raises(StateGone):
        await store.read(changes_since(ChangesSince(box.id, -1)))
    with pytest.raises(NoMailbox):
        await store.read(changes_since(ChangesSince(999_999, 0)))


async def test_old_changes_are_forgotten_by_steps(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    made = await fill(store, box, 5)
    for one in made[:4]:
        await store.write(move(MoveMessages(box.id, box.inbox, box.to.sent, (one,), NOW)))
    await store.write(move(MoveMessages(box.id, box.to.sent, box.inbox, (made[0],), NOW)))
    await store.write(move(MoveMessages(box.id, box.inbox, box.to.sent, (made[0],), NOW)))
    assert not await store.write(forget_changes(ForgetChanges(box.id, keep=20)))
    assert await store.write(forget_changes(ForgetChanges(box.id, keep=2, limit=2)))
    with pytest.raises(StateGone):
        await store.read(changes_since(ChangesSince(box.id, 6)))
    assert len(await catch_up(store, box.id, 7, 500)) == 4
    assert not await store.write(forget_changes(ForgetChanges(box.id, keep=2)))
    assert [change.state for change in await catch_up(store, box.id, 9, 500)] == [10, 11]
    with pytest.raises(NoMessage):
        await store.read(position_of(PositionOf(box.id, box.inbox, made[1])))
    assert await store.read(position_of(PositionOf(box.id, box.inbox, made[0]))) == 10


async def test_positions_never_go_backwards_nor_ahead_of_what_has_come(store: Store) -> None:
    box, other = await make_box(store, "alice@a.example"), await make_box(store, "bob@a.example")
    for one in [box] * 5 + [other] * 3:
        await store.write(deliver(a_delivery(target(one))))
    assert await store.read(positions(Positions(1, "phone", "*"))) == {}
    base = (await store.read(mailbox_row(ByMailbox(box.id)))).state - 5
    await store.write(set_positions(SetPositions(1, "phone", "*", ((box.id, base + 5, 0), (other.id, base + 1, 0)))))
    await store.write(set_positions(SetPositions(1, "phone", "*", ((box.id, base + 3, 0), (other.id, base + 3, 0)))))
    await store.write(set_positions(SetPositions(1, "desk", "*", ((box.id, base + 1, 0),))))
    assert await store.read(positions(Positions(1, "phone", "*"))) == {box.id: (base + 5, 0), other.id: (base + 3, 0)}
    assert await store.read(positions(Positions(1, "desk", "*"))) == {box.id: (base + 1, 0)}
    for ahead in ((box.id, base + 6, 0), (box.id, base + 5, 1), (99, 0, 0)):
        with pytest.raises(StateAhead):
            await store.write(set_positions(SetPositions(1, "phone", "*", (ahead,))))


async def test_retry_keys_are_forgotten_after_their_days_by_steps(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    today = NOW // 86_400_000
    for n in range(5):
        await store.write(deliver(a_delivery(target(box, key=bytes([n]) * 20), now=NOW - n * 86_400_000)))
    after: bytes | None = b""
    steps = 0
    while after is not None:
        after = await store.write(forget_retry_keys(ForgetRetryKeys(today - 2, after, limit=2)))
        steps += 1
    assert steps == 3
    outcomes = [(await store.write(deliver(a_delivery(target(box, key=bytes([n]) * 20)))))[0] for n in range(5)]
    assert outcomes == ["duplicate"] * 3 + ["delivered"] * 2
