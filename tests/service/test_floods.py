"""Who floods with notifications or items is bounded and named to the operator, and nobody else notices."""

import asyncio
import json

import pytest
from tests.service.driving import answers

from immpd.model.imid import parse_imid
from immpd.protocol.commands import Push
from immpd.protocol.errors import Refused
from immpd.protocol.states import State
from immpd.service.session import Session
from immpd.service.settings import Limits
from immpd.store.push.admission import MAX_OPEN_OF_ONE

MINUTE = 60
FLOOD = 100
LATER = "AT 2026-01-20T00:00:00Z"
"""It is kept, and nobody has to take in a flood of events."""


def pushed(line: str, body: bytes = b"Hello") -> bytes:
    return f"PUSH {line} LENGTH {len(body)}\n".encode() + body


@pytest.fixture
async def stage(serve, talk):
    """A server of two domains; alice watches, and has a token that leaked."""
    server = await serve(domains=("a.test", "site.test"))
    alice = await server.add_account("alice@a.test")
    watch = await talk(alice, on=server)
    watch.send("AS w WATCH")
    await watch.row("w")
    token = (await watch.ask("PUSH TOKEN ADD nas")).fields["token"]
    return server, watch, token


async def bodies(watch, count: int) -> list[str]:
    """The texts of the next so many notifications."""
    found = []
    while len(found) < count:
        event = json.loads(await watch.row("w"))
        if event["event"] == "notification":
            found.append(event["body"])
    return found


async def test_a_leaked_token_floods_and_others_go_on(stage, talk):
    server, watch, token = stage
    bob = await talk(await server.add_account("bob@a.test"), on=server)
    floods = [await talk(on=server) for _ in range(4)]
    pings = []
    for one in floods:  # before log-in there is room for so much at once
        one.send(b"".join(pushed(f"TO alice@a.test TOKEN {token}", b"flood %d" % n) for n in range(FLOOD)))
    for n in range(5):
        pings.append((await bob.ask(pushed("TO alice@a.test", b"ping %d" % n))).code)
    answers = [answer for one in floods for answer in await one.replies(FLOOD)]
    assert pings == [273] * 5
    assert [answer.code for answer in answers].count(273) == 20  # what a token may send at once
    assert {answer.word for answer in answers if answer.code != 273} == {"TOO-FAST"}
    shown = await bodies(watch, 25)
    assert [text for text in shown if text.startswith("ping")] == [f"ping {n}" for n in range(5)]


async def test_a_flood_is_named_once_a_period_and_counted(stage, talk):
    server, _, token = stage
    nas = await talk(on=server)
    for _ in range(20):
        assert (await nas.ask(pushed(f"TO alice@a.test TOKEN {token} {LATER} TAG t"))).code == 273
    codes = []
    for _ in range(30):  # it goes on for a quarter of an hour, twice as fast as it may
        server.pass_time(30)
        codes += [(await nas.ask(pushed(f"TO alice@a.test TOKEN {token} {LATER} TAG t"))).code for _ in range(60)]
        await nas.close()  # a connection has a minute to log in
        nas = await talk(on=server)
    told = server.log.events("pushes too fast")
    assert [(one["sender"], one["token"], one["origin"]) for one in told] == [("alice/nas@a.test", True, "a.test")] * 2
    assert told[0]["refused"] == 1
    assert 0 < told[1]["refused"] < codes.count(450)
    assert all(one["peer"].startswith("127.0.0.1") for one in told)


async def test_a_person_who_floods_is_named_too(stage, talk):
    server, watch, _ = stage
    eve = await talk(await server.add_account("eve@site.test"), on=server)
    await watch.ask("PUSH ALLOW site.test")
    eve.send(b"".join(pushed(f"TO alice@a.test {LATER} TAG t") for _ in range(220)))
    codes = [answer.code for answer in await eve.replies(220)]
    assert codes == [273] * 200 + [450] * 20
    (told,) = server.log.events("pushes too fast")
    assert (told["sender"], told["token"], told["origin"]) == ("eve@site.test", False, "site.test")
    assert (await watch.ask(pushed("TO alice@a.test"))).code == 273


async def test_one_sender_at_its_pace_does_not_fill_a_mailbox(stage, talk):
    server, watch, token = stage
    bob = await talk(await server.add_account("bob@a.test"), on=server)
    nas = await talk(on=server)
    codes = []
    for n in range(MAX_OPEN_OF_ONE + 50):
        server.pass_time(1)
        answer = await nas.ask(pushed(f"TO alice@a.test TOKEN {token}", b"%d" % n))
        codes.append(answer.code)
        if n % 50 == 49:
            await nas.close()
            nas = await talk(on=server)
    assert codes == [273] * MAX_OPEN_OF_ONE + [450] * 50
    assert (answer.word, answer.text) == (
        "TOO-MANY-NOTIFICATIONS",
        "[TOO-MANY-NOTIFICATIONS] retry=3600 alice@a.test has too many unanswered notifications of yours",
    )
    assert len(server.log.events("too many notifications of one sender")) == 1
    assert (await bob.ask(pushed("TO alice@a.test", b"me too"))).code == 273
    one = json.loads((await watch.ask("PUSH LIST LIMIT 2")).rows[1])  # the newest is Bob's
    assert (await watch.ask(f"PUSH DISMISS {one['id']}")).code == 200
    assert (await nas.ask(pushed(f"TO alice@a.test TOKEN {token}", b"room again"))).code == 273


async def test_many_senders_of_a_foreign_domain_are_one(stage, talk):
    server, watch, _ = stage
    await watch.ask("PUSH ALLOW site.test")
    senders = [await talk(await server.add_account(f"u{n}@site.test"), on=server) for n in range(2, 5)]
    codes = []
    for n in range(MAX_OPEN_OF_ONE + 3):
        server.pass_time(1)
        codes.append((await senders[n % 3].ask(pushed(f"TO alice@a.test {LATER}", b"%d" % n))).code)
    assert codes == [273] * MAX_OPEN_OF_ONE + [450] * 3


async def test_tokens_that_open_nothing_are_no_flood_of_the_log(stage, talk):
    server, watch, token = stage
    await watch.ask("PUSH TOKEN REMOVE nas")
    for _ in range(5):
        nas = await talk(on=server)
        codes = [(await nas.ask(pushed(f"TO alice@a.test TOKEN {token}"))).code for _ in range(2)]
        assert codes == [410, 410]
        await nas.close()
    assert [one["refused"] for one in server.log.events("push token refused")] == [1]
    server.pass_time(11 * MINUTE)
    nas = await talk(on=server)
    assert (await nas.ask(pushed(f"TO alice@a.test TOKEN {token}"))).code == 410
    assert [one["refused"] for one in server.log.events("push token refused")] == [1, 10]


async def test_each_address_that_tries_tokens_is_named(stage):
    server, _, _ = stage
    for peer in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "2001:db8::2"):
        guess = Session(server.services, State.UNAUTHENTICATED, peer=peer)
        request = Push(to=(parse_imid("alice@a.test"),), token="AAAA.AAAA", length=0)
        with pytest.raises(Refused, match="password is wrong"):
            await answers(guess, request)
    told = server.log.events("push token refused")
    assert [one["peer"] for one in told] == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]


async def test_those_who_hold_their_pace_beside_a_flood_are_all_served(stage, talk):
    server, _, _ = stage
    people = [await talk(await server.add_account(f"p{n}@a.test"), on=server) for n in range(2, 6)]
    flood = await talk(await server.add_account("eve@site.test"), on=server)

    async def speak(one) -> list[int]:
        return [(await one.ask(pushed("TO alice@a.test", b"%d" % n))).code for n in range(20)]

    flood.send(b"".join(pushed("TO alice@a.test") for _ in range(2000)))
    served = await asyncio.gather(*[speak(one) for one in people])
    assert served == [[273] * 20] * 4
    assert {answer.code for answer in await flood.replies(2000)} == {273, 450}


async def a_list(serve, talk, **limits):
    """A server where an account publishes little, an open mailing list, its owner's and a reader's session."""
    server = await serve(limits=Limits(**limits))
    one = await talk(await server.add_account("club@a.test"), on=server)
    assert (await one.ask("PUBLISH CREATE club/list@a.test +LIST FORM notification")).code == 200
    reader = await talk(await server.add_account("bob@a.test"), on=server)
    assert (await reader.ask("SUBSCRIBE TO club/list@a.test")).code == 280
    return server, one, reader


async def test_who_publishes_too_fast_is_held_back_and_named(serve, talk):
    server, one, reader = await a_list(serve, talk, items_per_minute=30)
    one.send(b"".join(b"PUBLISH club/list@a.test TITLE %d LENGTH 1\nx" % number for number in range(100)))
    answers = await one.replies(100)
    assert [answer.code for answer in answers] == [273] * 10 + [450] * 90
    assert answers[-1].text == "[TOO-FAST] retry=2 At most 30 items a minute"
    assert (await one.ask("PUBLISH club/list@a.test")).word == "TOO-FAST"
    (told,) = server.log.events("items too fast")
    assert (told["account"], told["node"], told["refused"]) == ("club@a.test", "club/list@a.test", 1)
    assert told["peer"].startswith("127.0.0.1")
    # Another is not held back, and a while later neither is who was.
    assert (await reader.ask(b"PUBLISH club/list@a.test LENGTH 1\nx")).code == 273
    server.pass_time(2)
    assert (await one.ask(b"PUBLISH club/list@a.test LENGTH 1\nx")).code == 273


async def test_what_is_delivered_to_a_list_counts_as_what_is_published(serve, talk):
    server, _, reader = await a_list(serve, talk, items_per_minute=30)
    for _ in range(10):
        assert (await reader.deliver("club/list@a.test")).code == 273
    reader.send(b"DELIVER TO club/list@a.test TO bob@a.test\nDATA body LENGTH 2 +CONTENT\nHiDONE\n")
    done = (await reader.replies(3))[2]
    assert [row.split()[:3] for row in done.rows] == [
        ["club/list@a.test", "refused", "450"],
        ["bob@a.test", "delivered", "273"],
    ]
    assert (await reader.ask(b"PUBLISH club/list@a.test LENGTH 1\nx")).word == "TOO-FAST"
    assert [one["account"] for one in server.log.events("items too fast")] == ["bob@a.test"]
