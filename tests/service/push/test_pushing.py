"""Notifications over a real connection: sent, seen, answered, cleared, replaced, taken back, and by whom."""

import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from tests.service.driving import account as an_account
from tests.service.driving import answers, services_in

from immpd.model.imid import parse_imid
from immpd.protocol.commands import Push, PushList
from immpd.service.mail.drafts import SESSION_MEMORY, drafts_of
from immpd.service.push.pushing import ARRIVED, REFUSED
from immpd.store.push.admission import NotKept

pytestmark = pytest.mark.usefixtures("server")

CARD = (
    b'{"title":"Confirm your address","body":"You registered at website.com",'
    b'"actions":[{"id":"confirm","label":"Confirm"},{"id":"site","label":"Open","url":"https://website.com/"}]}'
)
NOTIFICATION = "TYPE application/immp-notification+json"


def pushed(line: str, body: bytes) -> bytes:
    """PUSH with its octets behind it."""
    return f"PUSH {line} LENGTH {len(body)}\n".encode() + body


async def watching(talk, account, device=""):
    one = await talk(account, device)
    one.send("AS w WATCH")
    await one.row("w")
    return one


async def next_event(one) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(await one.row("w"))
    return read


async def test_a_notification_is_answered_and_its_sender_hears(account, talk):
    alice, bob = await account(), await account("bob")
    phone, desk = await watching(talk, alice, "phone"), await watching(talk, alice, "desk")
    sender = await watching(talk, bob)
    answer = await sender.ask(pushed(f"TO {alice} {NOTIFICATION}", CARD))
    assert answer.code == 273
    assert answer.rows == (f"{alice} delivered 273 Delivered",)
    push = answer.text.split()[-1]
    seen = await next_event(phone)
    assert {**seen, "cursor": "", "id": "", "created": "", "expires": ""} == {
        "cursor": "",
        "event": "notification",
        "id": "",
        "push": push,
        "from": str(bob),
        "origin": "a.test",
        "to": [str(alice)],
        "level": "normal",
        "why": "domain",
        "title": "Confirm your address",
        "type": "application/immp-notification+json",
        "length": len(CARD),
        "created": "",
        "expires": "",
        "status": "shown",
        "verified": True,
        "body": "You registered at website.com",
        "actions": [
            {"id": "confirm", "label": "Confirm"},
            {"id": "site", "label": "Open", "url": "https://website.com/"},
        ],
    }
    assert (await next_event(desk))["id"] == seen["id"]
    assert (await sender.ask(f"PUSH STATUS {push}")).rows == (f"{alice} delivered",)
    assert (await phone.ask(f"PUSH ANSWER {seen['id']} site")).word == "NO-ACTION"  # it opens a page, it is no answer
    assert (await phone.ask(f"PUSH ANSWER {seen['id']} confirm")).code == 200
    for one in (phone, desk):
        cleared = await next_event(one)
        assert (cleared["event"], cleared["id"], cleared["why"]) == ("notification-cleared", seen["id"], "answered")
    heard = await next_event(sender)
    assert (heard["event"], heard["push"], heard["by"], heard["action"]) == ("answer", push, str(alice), "confirm")
    assert (await desk.ask(f"PUSH ANSWER {seen['id']} confirm")).word == "ENDED"
    assert (await sender.ask(f"PUSH STATUS {push}")).rows[0].startswith(f"{alice} answered answer=confirm at=")
    assert (await phone.ask("PUSH LIST")).rows == ()
    assert json.loads((await phone.ask("PUSH LIST +ALL")).rows[0])["answer"] == "confirm"


async def test_what_nobody_watched_is_listed_and_never_in_a_folder(account, talk):
    alice, bob = await account(), await account("bob")
    sender = await talk(bob)
    for text in (b"one", b"two"):
        assert (await sender.ask(pushed(f"TO {alice} TITLE Backup -IMPORTANT", text))).code == 273
    one = await talk(alice)
    rows = [json.loads(row) for row in (await one.ask("PUSH LIST")).rows]
    assert [(row["body"], row["level"], row["title"]) for row in rows] == [
        ("two", "low", "Backup"),
        ("one", "low", "Backup"),
    ]
    first = await one.ask("PUSH LIST LIMIT 1")
    assert first.fields["more"] == "yes"
    rest = await one.ask(f"PUSH LIST AFTER {json.loads(first.rows[0])['id']}")
    assert [json.loads(row)["body"] for row in rest.rows] == ["one"]
    assert (await one.ask("MBOX CHECK /inbox")).fields["t"] == "0"
    shown = await one.ask(f"PUSH SHOW {rows[1]['id']}")
    assert shown.octets("1") == b"one"
    assert (await one.ask(f"PUSH DISMISS {rows[1]['id']}")).code == 200
    assert (await one.ask(f"PUSH DISMISS {rows[1]['id']}")).word == "ENDED"
    assert len((await one.ask("PUSH LIST")).rows) == 1


async def test_the_open_form_takes_data_and_done(account, talk):
    alice, bob = await account(), await account("bob")
    one = await talk(bob)
    one.send(f"PUSH TO {alice} TITLE Hi; DATA note LENGTH 5 +CONTENT; DONE\n".encode() + b"there")
    assert [answer.code for answer in await one.replies(3)] == [270, 272, 273]
    one.send(f"PUSH TO {alice} TITLE Hi; DATA a LENGTH 1 +CONTENT; DATA b LENGTH 1 +CONTENT; DONE\n".encode() + b"ab")
    assert [answer.code for answer in await one.replies(4)] == [270, 272, 272, 400]
    one.send(f"PUSH TO {alice} TITLE Hi; ABORT")
    assert [answer.code for answer in await one.replies(2)] == [270, 200]
    there = await talk(alice)
    assert len((await there.ask("PUSH LIST")).rows) == 1


async def test_the_same_id_or_tag_replaces(account, talk):
    alice, bob = await account(), await account("bob")
    watch, one = await watching(talk, alice), await talk(bob)
    push = "ID 0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60"
    assert "Delivered before" not in (await one.ask(pushed(f"TO {alice} {push}", b"50 %"))).rows[0]
    assert "Delivered before" in (await one.ask(pushed(f"TO {alice} {push}", b"50 %"))).rows[0]
    assert "Updated" in (await one.ask(pushed(f"TO {alice} {push}", b"100 %"))).rows[0]
    first, second = await next_event(watch), await next_event(watch)
    assert first["id"] == second["id"]
    assert (first["body"], second["body"]) == ("50 %", "100 %")
    for body in (b"disk 90 %", b"disk 95 %"):
        await one.ask(pushed(f"TO {alice} TAG disk", body))
    third, fourth = await next_event(watch), await next_event(watch)
    assert third["id"] == fourth["id"] != first["id"]
    assert [json.loads(row)["body"] for row in (await watch.ask("PUSH LIST")).rows] == ["disk 95 %", "100 %"]
    await watch.ask(f"PUSH DISMISS {fourth['id']}")
    await next_event(watch)
    await one.ask(pushed(f"TO {alice} TAG disk", b"disk 99 %"))  # what was cleared is not replaced: this is news
    assert (await next_event(watch))["id"] != fourth["id"]


async def test_what_is_taken_back_before_a_device_comes_is_never_seen(account, talk):
    alice, bob = await account(), await account("bob")
    phone = await watching(talk, alice, "phone")
    one = await talk(bob)
    push = (await one.ask(pushed(f"TO {alice}", b"Fire!"))).text.split()[-1]
    seen = await next_event(phone)
    await phone.ask(f"ACK {seen['cursor']}")
    since = seen["cursor"]
    later = (await one.ask(pushed(f"TO {alice}", b"Drill."))).text.split()[-1]
    assert (await next_event(phone))["body"] == "Drill."
    assert (await one.ask(f"PUSH RETRACT {later}")).code == 200
    assert (await next_event(phone))["why"] == "retracted"
    other = await talk(alice, "desk")
    other.send(f"AS w WATCH SINCE {since}")
    assert (await next_event(other))["event"] == "watching"
    assert (await next_event(other))["event"] == "notification-cleared"
    assert (await one.ask(f"PUSH STATUS {later}")).rows[0].startswith(f"{alice} retracted")
    # Nor is it in any list: what it said is gone with it.
    rows = [json.loads(row) for row in (await other.ask("PUSH LIST +ALL")).rows]
    assert [row["status"] for row in rows] == ["retracted", "shown"]
    assert "Drill." not in json.dumps(rows)
    unseen = (await one.ask(pushed(f"TO {alice} AT 2026-01-03T00:00:00Z", b"Not yet."))).text.split()[-1]
    assert (await one.ask(f"PUSH RETRACT {unseen}")).code == 200
    assert len((await other.ask("PUSH LIST +ALL")).rows) == 2
    stranger = await talk(await account("eve"))
    for command in ("RETRACT", "STATUS"):
        assert (await stranger.ask(f"PUSH {command} {push}")).word == "NO-NOTIFICATION"


async def test_what_is_no_notification(account, talk):
    alice = await account()
    one = await talk(alice)
    bad = [
        ("", b"x", "NO-RECIPIENT"),
        (f"TO {alice} LEVEL loud", b"x", "BAD-LEVEL"),
        (f"TO {alice} TYPE text/html", b"x", "BAD-TYPE"),
        (f"TO {alice} TTL 0", b"x", "BAD-TIME"),
        (f"TO {alice} AT tomorrow", b"x", "BAD-TIME"),
        (f"TO {alice} {NOTIFICATION}", b"{", "BAD-NOTIFICATION"),
        (f"TO {alice} {NOTIFICATION}", b'{"actions":[{"id":"a","label":""}]}', "BAD-NOTIFICATION"),
        (f"TO {alice} {NOTIFICATION}", b'{"actions":[{"id":"a","label":"a","url":"file:///etc"}]}', "BAD-NOTIFICATION"),
        (f"TO {alice}", b"\xff", "BAD-NOTIFICATION"),
        (f"TO {alice}", bytes(65_537), "TOO-LARGE"),
        (f"TO {alice} FROM bob@a.test", b"x", "NOT-YOURS"),
        (f"TO {alice}/inbox", b"x", "BAD-RECIPIENT"),
        ("TO nobody@a.test", b"x", "NO-RECIPIENT"),
        ("TO bob@elsewhere.test", b"x", "NO-ROUTE"),
    ]
    for line, body, word in bad:
        assert (await one.ask(pushed(line, body))).word == word, line
    said = (await one.ask(pushed(f"TO {alice}", bytes(65_537)))).text
    assert said == "[TOO-LARGE] A notification has at most 65536 octets here"
    answer = await one.ask(pushed(f"TO {alice} TO nobody@a.test", b"x"))
    assert answer.code == 273
    assert answer.rows[1].startswith("nobody@a.test refused 404 [NO-RECIPIENT]")
    assert (await one.ask("NOOP")).code == 200


@pytest.mark.parametrize("largest", ["text of control characters", "a card of the longest of all"])
async def test_no_notification_makes_a_line_too_long_for_a_client(account, talk, largest):
    alice = await account()
    one = await watching(talk, alice)
    body, kind = b"\x01" * 4000, "TYPE text/plain"
    if largest.startswith("a card"):
        action = {"label": "\U0001f600" * 60, "url": "https://" + "x" * 992}
        card = {"title": "\U0001f600" * 200, "body": "\U0001f600" * 2000, "icon": "https://" + "y" * 992}
        card["actions"] = [{"id": f"{n}" * 32, **action} for n in range(4)]
        body, kind = json.dumps(card).encode(), NOTIFICATION
    assert (await one.ask(pushed(f"TO {alice} {kind}", body))).code == 273
    seen = await next_event(one)
    (row,) = (await one.ask("PUSH LIST")).rows
    assert max(len(row.encode()), len(json.dumps(seen, ensure_ascii=False).encode())) < 16_000
    assert (await one.ask(f"PUSH SHOW {seen['id']}")).octets("1") == body


async def test_time_decides(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    bob = await server.add_account("bob")
    watch, one = await talk(alice, on=server), await talk(bob, on=server)
    watch.send("AS w WATCH")
    await watch.row("w")

    def at(seconds: int) -> str:
        moment = datetime.fromtimestamp(server.clock.now() / 1000 + seconds, UTC)
        return moment.isoformat(timespec="seconds")

    assert (await one.ask(pushed(f"TO {alice} AT {at(60)} TTL 60", b"later"))).code == 273
    gone = (await one.ask(pushed(f"TO {alice} AT {at(30)}", b"never"))).text.split()[-1]
    await one.ask(f"PUSH RETRACT {gone}")
    assert (await watch.ask("PUSH LIST")).rows == ()
    server.clock.advance(61)
    assert (await next_event(watch))["body"] == "later"
    server.clock.advance(60)
    assert (await next_event(watch))["why"] == "expired"


async def test_a_body_comes_whole_where_a_session_has_much_in_memory(tmp_path):
    async with services_in(tmp_path) as services:
        alice = await an_account(services, "alice@demo.test")
        drafts_of(alice).memory = SESSION_MEMORY
        request = Push(to=(parse_imid("alice@demo.test"),), title="Hi", length=5)
        draft = alice.arrive(None, request)
        draft.whole(b"hello")
        reply, _ = await answers(alice, request, draft)
        assert reply.rows[0].outcome == "delivered"
        reply, _ = await answers(alice, PushList())
        (row,) = reply.rows
        assert row.body == "hello"
        assert drafts_of(alice).memory == SESSION_MEMORY


def test_whatever_becomes_of_a_push_there_are_words_for_it():
    may_become = {one for literal in get_args(NotKept) for one in get_args(literal)}
    assert may_become | {"delivered", "updated"} == set(ARRIVED) | set(REFUSED)
