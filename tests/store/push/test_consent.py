"""Who may notify whom, on every backend: approvals, requests, grants and tokens, decided where it is stored."""

import asyncio

import pytest
from tests.store.conftest import Kept
from tests.store.making import NOW, Box, make_box
from tests.store.notifying import DAY, a_token, by, pushed, shown, stranger, with_token

from immpd.model.notification import Level
from immpd.store.contract import Store
from immpd.store.push.admission import MAX_REQUESTS
from immpd.store.push.consent import (
    MAX_GRANTS,
    MAX_ORIGINS,
    MAX_TOKENS,
    Allow,
    AnswerRequest,
    FindToken,
    Named,
    NameTaken,
    NewGrant,
    NothingNamed,
    OfMailbox,
    SetSetting,
    TooMany,
    add_grant,
    allow,
    answer_request,
    find_token,
    forget_origin,
    grants,
    origins,
    remove_grant,
    remove_token,
    requests,
    set_setting,
    settings,
    tokens,
)

SITE = stranger()


@pytest.fixture
async def alice(store: Store) -> Box:
    return await make_box(store, "alice@a.example")


async def levels(store: Store, box: Box) -> list[tuple[str, int]]:
    """What let each in that is shown, and how urgent it may be; the newest first."""
    return [(one.why, one.level) for one in await shown(store, box)]


# --- the order in which it is decided


async def test_nobody_shuts_out_the_own_account(store: Store, alice: Box) -> None:
    for origin in ("alice@a.example", "a.example"):
        await store.write(allow(Allow(alice.id, origin, False, Level.SILENT, NOW)))
    await pushed(store, by(alice), alice, level=Level.CRITICAL)
    assert await levels(store, alice) == [("own", Level.CRITICAL)]


async def test_a_colleague_may_up_to_high_unless_declined(store: Store, alice: Box) -> None:
    bob = await make_box(store, "bob@a.example")
    await pushed(store, by(bob), alice, level=Level.CRITICAL)
    assert await levels(store, alice) == [("domain", Level.HIGH)]
    await store.write(allow(Allow(alice.id, "bob@a.example", False, Level.SILENT, NOW)))
    assert await pushed(store, by(bob), alice) == "declined"
    await store.write(forget_origin(Named(alice.id, "bob@a.example")))
    assert await pushed(store, by(bob), alice) == "delivered"


async def test_what_is_said_of_a_sender_goes_before_what_is_said_of_its_domain(store: Store, alice: Box) -> None:
    await store.write(allow(Allow(alice.id, "site.example", False, Level.SILENT, NOW)))
    await store.write(allow(Allow(alice.id, "noreply@site.example", True, Level.LOW, NOW)))
    await pushed(store, SITE, alice, level=Level.CRITICAL)
    assert await levels(store, alice) == [("approved", Level.LOW)]
    assert await pushed(store, stranger("other@site.example"), alice) == "declined"


async def test_a_decision_is_changed_taken_back_and_kept(kept: Kept, alice: Box) -> None:
    store = kept.store
    await store.write(allow(Allow(alice.id, "site.example", True, Level.CRITICAL, NOW)))
    await store.write(allow(Allow(alice.id, "site.example", False, Level.SILENT, NOW + 1)))
    store = await kept.reopen()
    (one,) = await store.read(origins(OfMailbox(alice.id)))
    assert (one.origin, one.allowed, one.since) == ("site.example", False, NOW)
    assert await pushed(store, SITE, alice) == "declined"
    await store.write(forget_origin(Named(alice.id, "site.example")))
    with pytest.raises(NothingNamed):
        await store.write(forget_origin(Named(alice.id, "site.example")))
    assert await store.read(origins(OfMailbox(alice.id))) == []


# --- requests


async def test_of_a_stranger_domain_one_gets_through_even_at_once(store: Store, alice: Box) -> None:
    senders = [stranger(f"u{n}@site.example") for n in range(4)]
    results = await asyncio.gather(*[pushed(store, one, alice, level=Level.CRITICAL) for one in senders])
    assert list(results) == ["delivered"] + ["pending"] * 3
    assert await levels(store, alice) == [("request", Level.NORMAL)]
    (request,) = await store.read(requests(OfMailbox(alice.id)))
    assert (request.origin, request.sender, request.title) == ("site.example", "u0@site.example", "Title")


@pytest.mark.parametrize(("accepted", "outcome"), [(True, "delivered"), (False, "declined")])
async def test_the_answer_to_a_request_holds_for_its_domain(
    store: Store, alice: Box, accepted: bool, outcome: str
) -> None:
    bob = await make_box(store, "bob@a.example")
    await pushed(store, SITE, alice)
    (request,) = await store.read(requests(OfMailbox(alice.id)))
    with pytest.raises(NothingNamed):
        await store.write(answer_request(AnswerRequest(bob.id, request.id, accepted, NOW)))
    assert await store.write(answer_request(AnswerRequest(alice.id, request.id, accepted, NOW))) == "site.example"
    with pytest.raises(NothingNamed):
        await store.write(answer_request(AnswerRequest(alice.id, request.id, accepted, NOW)))
    assert await store.read(requests(OfMailbox(alice.id))) == []
    assert await pushed(store, stranger("other@site.example"), alice) == outcome
    assert await pushed(store, SITE, bob) == "delivered"  # of bob nothing was said


async def test_a_decision_about_the_domain_answers_its_request(store: Store, alice: Box) -> None:
    await pushed(store, SITE, alice)
    await store.write(allow(Allow(alice.id, "site.example", True, Level.HIGH, NOW)))
    assert await store.read(requests(OfMailbox(alice.id))) == []


async def test_so_many_strangers_wait_and_no_more(store: Store, alice: Box) -> None:
    many = [pushed(store, stranger(f"u@site{n}.example"), alice) for n in range(MAX_REQUESTS + 1)]
    results = await asyncio.gather(*many)
    assert list(results) == ["delivered"] * MAX_REQUESTS + ["too-many-requests"]


# --- grants


async def test_a_grant_is_used_as_often_as_it_says_even_at_once(store: Store, alice: Box) -> None:
    await store.write(add_grant(NewGrant(alice.id, "code", "", 1, None, NOW)))
    results = await asyncio.gather(*[pushed(store, SITE, alice, grant="code") for _ in range(3)])
    assert list(results) == ["delivered", "bad-grant", "bad-grant"]
    assert await levels(store, alice) == [("grant", Level.NORMAL)]
    assert await store.read(requests(OfMailbox(alice.id))) == []


async def test_a_grant_is_bound_to_the_first_domain_or_to_its_own(store: Store, alice: Box) -> None:
    await store.write(add_grant(NewGrant(alice.id, "first", "", 3, None, NOW)))
    await store.write(add_grant(NewGrant(alice.id, "own", "shop.example", 3, None, NOW)))
    shop = stranger("u@shop.example")
    assert await pushed(store, SITE, alice, grant="own") == "bad-grant"
    assert await pushed(store, SITE, alice, grant="first") == "delivered"
    assert await pushed(store, shop, alice, grant="first") == "bad-grant"
    assert await pushed(store, shop, alice, grant="own") == "delivered"
    left = {one.code: (one.domain, one.uses) for one in await store.read(grants(OfMailbox(alice.id)))}
    assert left == {"first": ("site.example", 2), "own": ("shop.example", 2)}


async def test_a_grant_ends_at_its_time_or_when_it_is_removed(store: Store, alice: Box) -> None:
    bob = await make_box(store, "bob@a.example")
    await store.write(add_grant(NewGrant(alice.id, "brief", "", 9, NOW + DAY, NOW)))
    await store.write(add_grant(NewGrant(alice.id, "other", "", 9, None, NOW)))
    assert await pushed(store, SITE, alice, grant="brief", now=NOW + DAY - 1) == "delivered"
    assert await pushed(store, SITE, alice, grant="brief", now=NOW + DAY) == "bad-grant"
    with pytest.raises(NothingNamed):
        await store.write(remove_grant(Named(bob.id, "other")))
    await store.write(remove_grant(Named(alice.id, "other")))
    assert await pushed(store, SITE, alice, grant="other") == "bad-grant"
    assert await pushed(store, SITE, bob, grant="brief") == "bad-grant"


async def test_a_colleague_and_an_approved_sender_use_up_no_grant(store: Store, alice: Box) -> None:
    bob = await make_box(store, "bob@a.example")
    await store.write(add_grant(NewGrant(alice.id, "code", "", 1, None, NOW)))
    await store.write(allow(Allow(alice.id, "site.example", True, Level.HIGH, NOW)))
    for asking in (by(bob), SITE):
        assert await pushed(store, asking, alice, grant="code") == "delivered"
    (left,) = await store.read(grants(OfMailbox(alice.id)))
    assert (left.domain, left.uses) == ("", 1)


async def test_grants_that_are_over_make_room(store: Store, alice: Box) -> None:
    news = [NewGrant(alice.id, f"{n}", "", 1, None if n else NOW + 1, NOW) for n in range(MAX_GRANTS)]
    await asyncio.gather(*[store.write(add_grant(one)) for one in news])
    with pytest.raises(TooMany):
        await store.write(add_grant(NewGrant(alice.id, "more", "", 1, None, NOW)))
    await store.write(add_grant(NewGrant(alice.id, "more", "", 1, None, NOW + 1)))


# --- tokens


async def test_a_token_speaks_for_its_owner_to_its_owner_up_to_its_level(store: Store, alice: Box) -> None:
    bob = await make_box(store, "bob@a.example")
    token = await a_token(store, alice, cap=Level.LOW)
    asking = with_token(alice, token)
    await pushed(store, asking, alice, level=Level.CRITICAL, token=token)
    assert await levels(store, alice) == [("token", Level.LOW)]
    assert await pushed(store, asking, bob, token=token) == "declined"
    (listed,) = await store.read(tokens(OfMailbox(alice.id)))
    assert (listed.name, listed.used) == ("nas", NOW)


async def test_a_removed_token_does_nothing_even_when_another_has_its_name(kept: Kept, alice: Box) -> None:
    store = kept.store
    old = await a_token(store, alice)
    with pytest.raises(NameTaken):
        await a_token(store, alice)
    await store.write(remove_token(Named(alice.id, "nas")))
    with pytest.raises(NothingNamed):
        await store.write(remove_token(Named(alice.id, "nas")))
    new = await a_token(store, alice)
    store = await kept.reopen()
    assert await store.read(find_token(FindToken(old.public))) is None
    # Its octets were under way when it was removed and another made.
    assert await pushed(store, with_token(alice, old), alice, token=old) == "declined"
    assert await shown(store, alice) == []
    assert await pushed(store, with_token(alice, new), alice, token=new) == "delivered"


async def test_there_are_so_many_tokens_and_decisions_and_no_more(store: Store, alice: Box) -> None:
    for n in range(MAX_TOKENS):
        await a_token(store, alice, f"t{n}")
    with pytest.raises(TooMany):
        await a_token(store, alice, "more")
    many = [Allow(alice.id, f"d{n}.example", True, Level.HIGH, NOW) for n in range(MAX_ORIGINS)]
    await asyncio.gather(*[store.write(allow(one)) for one in many])
    with pytest.raises(TooMany):
        await store.write(allow(Allow(alice.id, "more.example", True, Level.HIGH, NOW)))
    await store.write(allow(Allow(alice.id, "d7.example", False, Level.SILENT, NOW)))


async def test_settings_are_a_mailboxs_own_and_taken_back(kept: Kept, alice: Box) -> None:
    store = kept.store
    bob = await make_box(store, "bob@a.example")
    for value in ("600", "900"):
        await store.write(set_setting(SetSetting(alice.id, "push.repeat", value)))
    store = await kept.reopen()
    assert await store.read(settings(OfMailbox(alice.id))) == {"push.repeat": "900"}
    assert await store.read(settings(OfMailbox(bob.id))) == {}
    await store.write(set_setting(SetSetting(alice.id, "push.repeat", "")))
    assert await store.read(settings(OfMailbox(alice.id))) == {}
