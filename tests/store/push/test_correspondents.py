"""Whom a person has written to may answer with a notification, on every backend."""

import asyncio

import pytest
from tests.store.conftest import Kept
from tests.store.making import NOW, Box, a_delivery, make_box, target
from tests.store.notifying import by, pushed, stranger

from immpd.store.contract import Store
from immpd.store.mail.deliver import deliver
from immpd.store.push.consent import Named, NewGrant, OfMailbox, add_grant, grants, remove_grant
from immpd.store.push.correspondents import ANSWER_TIME, MAX_ANSWERS, ForgetAnswers, forget_answers

SHOP = "shop@b.example"


@pytest.fixture
async def alice(store: Store) -> Box:
    return await make_box(store, "alice@a.example")


@pytest.fixture
async def shop(store: Store) -> Box:
    return await make_box(store, SHOP)


async def write(store: Store, alice: Box, shop: Box, **more: object) -> None:
    """Alice writes to the shop."""
    await store.write(deliver(a_delivery(target(shop, opens=(alice.id, SHOP), **more))))


async def outcomes(store: Store, asking: object, to: Box, count: int, now: int = NOW) -> list[str]:
    """What became of so many that come at once; of a stranger one gets through in any case."""
    results = await asyncio.gather(*[pushed(store, asking, to, now=now) for _ in range(count)])  # type: ignore[arg-type]
    return results


async def test_each_delivery_opens_one_answer_also_many_at_once(kept: Kept, alice: Box, shop: Box) -> None:
    store = kept.store
    assert await outcomes(store, by(shop), alice, 2) == ["delivered", "pending"]
    await asyncio.gather(*[write(store, alice, shop) for _ in range(2)])
    store = await kept.reopen()
    assert await outcomes(store, stranger("other@b.example"), alice, 1) == ["pending"]
    assert await outcomes(store, by(shop), alice, 3) == ["delivered", "delivered", "pending"]


async def test_the_same_delivery_sent_again_opens_no_other(store: Store, alice: Box, shop: Box) -> None:
    await outcomes(store, by(shop), alice, 1)
    for _ in range(3):
        await write(store, alice, shop, key=b"k" * 20)
    assert await outcomes(store, by(shop), alice, 2) == ["delivered", "pending"]


async def test_a_push_opens_one_and_an_update_of_it_none(store: Store, alice: Box, shop: Box) -> None:
    await outcomes(store, by(shop), alice, 1)
    for body in (b"1", b"2"):
        await pushed(store, by(alice), shop, tag="t", body=body)
    assert await outcomes(store, by(shop), alice, 2) == ["delivered", "pending"]


async def test_so_many_are_in_hand_and_for_so_long(store: Store, alice: Box, shop: Box) -> None:
    await outcomes(store, by(shop), alice, 1)
    for _ in range(MAX_ANSWERS + 2):
        await write(store, alice, shop)
    assert not await store.write(forget_answers(ForgetAnswers(NOW + ANSWER_TIME - 1)))
    expected = ["delivered"] * MAX_ANSWERS + ["pending"]
    assert await outcomes(store, by(shop), alice, MAX_ANSWERS + 1, NOW + ANSWER_TIME - 1) == expected
    await write(store, alice, shop)
    assert await store.write(forget_answers(ForgetAnswers(NOW + ANSWER_TIME, limit=1)))
    assert await outcomes(store, by(shop), alice, 1, NOW) == ["pending"]


async def test_a_grant_that_is_shown_is_used_and_the_answer_is_kept(store: Store, alice: Box, shop: Box) -> None:
    await outcomes(store, by(shop), alice, 1)
    await write(store, alice, shop)
    await store.write(add_grant(NewGrant(alice.id, "code", "", 2, None, NOW)))
    assert await pushed(store, by(shop), alice, grant="code") == "delivered"
    assert (await store.read(grants(OfMailbox(alice.id))))[0].uses == 1
    await store.write(remove_grant(Named(alice.id, "code")))
    assert await pushed(store, by(shop), alice, grant="code") == "bad-grant"
    assert await outcomes(store, by(shop), alice, 2) == ["delivered", "pending"]
