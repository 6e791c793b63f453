"""Who may notify a person, and what the person's own rules make of it: over real connections, time by the clock."""

import json
from typing import Any

import pytest

CARD = b'{"title":"Confirm","actions":[{"id":"ok","label":"OK"}]}'
NOTIFICATION = "TYPE application/immp-notification+json"
DAY = 86_400


def pushed(line: str, body: bytes = b"Hello") -> bytes:
    return f"PUSH {line} LENGTH {len(body)}\n".encode() + body


@pytest.fixture
async def two(serve, talk):
    """A server of two domains; alice of one watches, site of the other is a stranger to her."""
    server = await serve(domains=("a.test", "site.test"))
    alice = await server.add_account("alice@a.test")
    site = await server.add_account("noreply@site.test")
    watch, sender = await talk(alice, on=server), await talk(site, on=server)
    watch.send("AS w WATCH")
    await watch.row("w")
    return server, watch, sender


async def event(watch, pid="w") -> dict[str, Any]:
    """The next event that is no mere sign of life."""
    read: dict[str, Any] = {"event": "alive"}
    while read["event"] == "alive":
        read = json.loads(await watch.row(pid))
    return read


async def test_a_stranger_gets_one_through_and_waits(two):
    _, watch, sender = two
    push = (await sender.ask(pushed(f"TO alice@a.test LEVEL critical {NOTIFICATION}", CARD))).text.split()[-1]
    seen = await event(watch)
    assert (seen["why"], seen["level"], seen["origin"]) == ("request", "normal", "site.test")
    second = await sender.ask(pushed("TO alice@a.test"))
    assert (second.code, second.word) == (450, "REQUEST-PENDING")
    # Its answer works all the same, and accepts nothing but itself.
    assert (await watch.ask(f"PUSH ANSWER {seen['id']} ok")).code == 200
    assert (await sender.ask(f"PUSH STATUS {push}")).rows[0].startswith("alice@a.test answered answer=ok")
    assert (await sender.ask(pushed("TO alice@a.test"))).word == "REQUEST-PENDING"
    request = (await watch.ask("REQUEST LIST")).rows[0].split(" ")
    assert request[1] == "site.test"
    assert (await watch.ask(f"REQUEST ACCEPT {request[0]}")).code == 200
    assert (await sender.ask(pushed("TO alice@a.test"))).code == 273
    assert (await watch.ask("REQUEST LIST")).rows == ()
    assert (await watch.ask("PUSH DENY noreply@site.test")).code == 200
    assert (await sender.ask(pushed("TO alice@a.test"))).word == "DECLINED"


async def test_a_declined_stranger_stays_out(two):
    _, watch, sender = two
    await sender.ask(pushed("TO alice@a.test"))
    request = (await watch.ask("REQUEST LIST")).rows[0].split(" ")[0]
    assert (await watch.ask(f"REQUEST DECLINE {request}")).code == 200
    refused = await sender.ask(pushed("TO alice@a.test"))
    assert (refused.code, refused.word) == (403, "DECLINED")
    assert (await watch.ask("PUSH ORIGINS")).rows[0].startswith("site.test allowed=false")


async def test_a_stranger_may_change_what_it_got_through(two):
    _, watch, sender = two
    identity = "ID 0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60"
    await sender.ask(pushed(f"TO alice@a.test {identity}", b"one"))
    answer = await sender.ask(pushed(f"TO alice@a.test {identity} LEVEL critical", b"two"))
    assert "Updated" in answer.rows[0]
    first, second = await event(watch), await event(watch)
    assert (first["id"], second["body"], second["level"]) == (second["id"], "two", "normal")


async def test_what_a_stranger_got_through_is_no_door_for_more(two):
    """It changes a few times while it stands; what was cleared stays cleared."""
    _, watch, sender = two
    identity = "ID 0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60"
    answers = [await sender.ask(pushed(f"TO alice@a.test {identity}", b"%d" % n)) for n in range(12)]
    assert [answer.code for answer in answers] == [273] * 11 + [450]
    seen = [await event(watch) for _ in range(11)]
    assert (await watch.ask(f"PUSH DISMISS {seen[-1]['id']}")).code == 200
    assert (await sender.ask(pushed(f"TO alice@a.test {identity}", b"again"))).word == "REQUEST-PENDING"
    grant = (await watch.ask("GRANT ADD")).text.split()[-1]
    other = "ID 0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f61"
    assert (await sender.ask(pushed(f"TO {grant} {other}", b"one"))).code == 273
    assert (await sender.ask(pushed(f"TO {grant} {other}", b"two"))).code == 273  # it stands, and is only changed
    last = json.loads((await watch.ask("PUSH LIST LIMIT 1")).rows[0])
    assert (await watch.ask(f"PUSH DISMISS {last['id']}")).code == 200
    assert (await sender.ask(pushed(f"TO {grant} {other}", b"three"))).word == "BAD-GRANT"


async def test_a_decision_can_be_changed_when_there_are_as_many_as_may_be(two):
    _, watch, _ = two
    watch.send("".join(f"PUSH ALLOW d{n}.test\n" for n in range(1000)))
    assert {answer.code for answer in await watch.replies(1000)} == {200}
    assert (await watch.ask("PUSH ALLOW one-more.test")).word == "TOO-MANY"
    assert (await watch.ask("PUSH DENY d7.test")).code == 200


async def test_a_token_that_is_removed_while_its_octets_come_does_nothing(two, talk):
    server, watch, _ = two
    token = (await watch.ask("PUSH TOKEN ADD nas")).fields["token"]
    nas = await talk(on=server)
    nas.send(f"PUSH TO alice@a.test TOKEN {token} LENGTH 4\n".encode() + b"la")
    assert (await nas.line()).startswith("271 ")  # the token was right, and half of it is here
    assert (await watch.ask("PUSH TOKEN REMOVE nas")).code == 200
    nas.send(b"te")
    assert (await nas.reply()).word == "DECLINED"


async def test_a_grant_is_used_up_and_bound(two, talk):
    server, watch, sender = two
    grant = (await watch.ask("GRANT ADD USES 2")).text.split()[-1]
    assert (await sender.ask(pushed(f"TO {grant}"))).code == 273
    assert (await event(watch))["why"] == "grant"
    assert "domain=site.test uses=1" in (await watch.ask("GRANT LIST")).rows[0]
    assert (await sender.ask(pushed(f"TO {grant}", b"again"))).code == 273
    assert (await sender.ask(pushed(f"TO {grant}", b"once more"))).word == "BAD-GRANT"
    other = (await watch.ask("GRANT ADD FOR elsewhere.test")).text.split()[-1]
    assert (await sender.ask(pushed(f"TO {other}"))).word == "BAD-GRANT"
    brief = (await watch.ask("GRANT ADD UNTIL 2026-06-01T00:00:00Z")).text.split()[-1]
    server.clock.advance(365 * DAY)
    assert (await sender.ask(pushed(f"TO {brief}"))).word == "BAD-GRANT"


@pytest.mark.parametrize("how", ["DELIVER", "BCC", "PUSH"])
async def test_writing_to_somebody_grants_their_answer(two, talk, how):
    server, watch, sender = two
    other = await talk(await server.add_account("other@site.test"), on=server)
    assert (await sender.ask(pushed("TO alice@a.test", b"a stranger's first"))).code == 273
    assert (await sender.ask(pushed("TO alice@a.test"))).word == "REQUEST-PENDING"
    assert (await event(watch))["why"] == "request"
    if how == "PUSH":
        assert (await watch.ask(pushed("TO noreply@site.test"))).code == 273
    else:
        to = "TO alice@a.test BCC Noreply+list@SITE.test" if how == "BCC" else "TO noreply@site.test"
        watch.send(f"DELIVER {to}; DATA body LENGTH 2 +CONTENT; DONE\n".encode() + b"Hi")
        assert [answer.code for answer in await watch.replies(3)] == [270, 272, 273]
        while (await event(watch))["event"] != "mail":
            pass
        if how == "BCC":
            assert (await event(watch))["event"] == "mail"
    # Only the very address that was written to, only once, and no louder than normal.
    assert (await other.ask(pushed("TO alice@a.test"))).word == "REQUEST-PENDING"
    assert (await sender.ask(pushed("TO alice@a.test LEVEL critical TAG re", b"Re: Hi"))).code == 273
    seen = await event(watch)
    assert (seen["why"], seen["level"], seen["body"]) == ("answer", "normal", "Re: Hi")
    assert (await sender.ask(pushed("TO alice@a.test"))).word == "REQUEST-PENDING"
    assert "Updated" in (await sender.ask(pushed("TO alice@a.test TAG re", b"Re: Hi!"))).rows[0]
    assert (await watch.ask("REQUEST LIST")).rows != ()  # which is not answered by it


async def test_each_answer_is_for_one_that_was_written_and_for_30_days(two):
    server, watch, sender = two
    await sender.ask(pushed("TO alice@a.test", b"a stranger's first"))
    identity = "ID 0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60"
    for _ in range(3):  # the same once more is not another
        await watch.ask(pushed(f"TO noreply@site.test {identity}"))
    await watch.deliver("noreply@site.test")
    await watch.deliver("nobody@site.test")  # who is not there has nothing to answer
    codes = [(await sender.ask(pushed("TO alice@a.test", b"%d" % n))).code for n in range(3)]
    assert codes == [273, 273, 450]
    for _ in range(12):
        await watch.deliver("noreply@site.test")
    codes = [(await sender.ask(pushed("TO alice@a.test", b"%d" % n))).code for n in range(12)]
    assert codes == [273] * 10 + [450] * 2
    await watch.deliver("noreply@site.test")
    server.clock.advance(30 * DAY)
    assert (await sender.ask(pushed("TO alice@a.test"))).word == "REQUEST-PENDING"


async def test_who_was_declined_is_not_let_in_by_being_written_to(two):
    _, watch, sender = two
    await watch.ask("PUSH DENY site.test")
    await watch.deliver("noreply@site.test")
    assert (await sender.ask(pushed("TO alice@a.test"))).word == "DECLINED"


async def test_an_approval_caps_the_level(two):
    _, watch, sender = two
    await watch.ask("PUSH ALLOW site.test LEVEL low")
    await sender.ask(pushed("TO alice@a.test LEVEL critical"))
    assert (await event(watch))["level"] == "low"


async def test_a_flood_is_held_to_its_pace_and_harms_nobody_else(two, talk):
    server, watch, _ = two
    token = (await watch.ask("PUSH TOKEN ADD nas")).fields["token"]
    nas = await talk(on=server)
    codes = [(await nas.ask(pushed(f"TO alice@a.test TOKEN {token}", b"%d" % n))).code for n in range(25)]
    assert codes == [273] * 20 + [450] * 5
    assert len(server.log.events("pushes too fast")) == 1
    assert (await watch.ask(pushed("TO alice@a.test"))).code == 273
    server.clock.advance(1)
    assert (await nas.ask(pushed(f"TO alice@a.test TOKEN {token}", b"later"))).code == 273


async def test_a_source_that_falls_silent_is_told_of_once(two, talk):
    server, watch, _ = two
    token = (await watch.ask("PUSH TOKEN ADD backup EVERY 86400")).fields["token"]
    nas = await talk(on=server)
    assert (await nas.ask(pushed(f"TO alice@a.test LEVEL silent TOKEN {token}", b"fine"))).code == 273
    assert (await event(watch))["from"] == "alice/backup@a.test"
    server.clock.advance(DAY - 1)
    assert (await watch.ask("NOOP")).code == 200
    server.clock.advance(1)
    silent = await event(watch)
    assert silent["title"] == "backup has said nothing for 1 day"
    server.clock.advance(3 * DAY)
    assert (await nas.ask(pushed(f"TO alice@a.test LEVEL silent TOKEN {token}", b"back"))).code == 273
    assert (await event(watch))["body"] == "back"
    server.clock.advance(DAY)
    assert (await event(watch))["title"] == "backup has said nothing for 1 day"


async def test_a_token_that_was_never_used_is_silent_too(two):
    server, watch, _ = two
    await watch.ask("PUSH TOKEN ADD sensor EVERY 3600")
    server.clock.advance(3600)
    assert (await event(watch))["title"] == "sensor has said nothing for 1 hour"


async def test_quiet_hours_hold_up_all_but_the_silent_and_the_critical(two):
    server, watch, _ = two
    # The clock stands at 00:00 UTC of a first of January: in Berlin it is one in the morning.
    await watch.ask('SET GLOBAL "push.quiet=22:00-07:00 Europe/Berlin"')
    push = (await watch.ask(pushed("TO alice@a.test LEVEL high", b"waits"))).text.split()[-1]
    assert (await watch.ask(f"PUSH STATUS {push}")).rows == ("alice@a.test waiting",)
    await watch.ask(pushed("TO alice@a.test LEVEL critical", b"fire"))
    assert (await event(watch))["body"] == "fire"
    server.clock.advance(6 * 3600)
    assert (await event(watch))["body"] == "waits"


async def test_a_setting_without_a_name_is_none(two):
    _, watch, _ = two
    assert [(await watch.ask(f"SET GLOBAL ={value}")).word for value in ("", "600")] == ["NO-SETTING"] * 2


async def test_what_nobody_answers_comes_again_and_then_as_mail(two):
    server, watch, _ = two
    await watch.ask("SET GLOBAL push.repeat=600")
    await watch.ask("SET GLOBAL push.promote=1500")
    await watch.ask(pushed(f"TO alice@a.test LEVEL high {NOTIFICATION}", CARD))
    first = await event(watch)
    server.clock.advance(600)
    second = await event(watch)
    assert (second["id"], second["again"]) == (first["id"], 1)
    server.clock.advance(600)
    assert (await event(watch))["again"] == 2
    server.clock.advance(300)
    mail = await event(watch)
    assert (mail["event"], mail["subject"], mail["folder"]) == ("mail", "Confirm", "/INBOX")
    assert (await event(watch))["why"] == "promoted"
    server.clock.advance(3600)
    assert (await watch.ask("MBOX CHECK /inbox")).fields["t"] == "1"


async def test_a_card_whose_text_is_too_long_for_a_row_becomes_mail_with_its_text(two):
    server, watch, _ = two
    await watch.ask("SET GLOBAL push.promote=60")
    text, label, url = "\U0001f514" * 2000, "\U0001f514" * 60, f"https://a.test/{'x' * 980}"
    actions = [{"id": f"a{n}", "label": label, "url": url} for n in range(4)]
    card = json.dumps({"title": label * 3, "icon": url, "body": text, "actions": actions}).encode()
    assert (await watch.ask(pushed(f"TO alice@a.test {NOTIFICATION}", card))).code == 273
    assert "body" not in await event(watch)
    server.clock.advance(60)
    mail = await event(watch)
    answer = await watch.ask(f"MBOX FETCH /inbox#{mail['id']} +RAW")
    assert answer.octets("1").decode().startswith(f"{text}\n\n{label}: {url}")


async def test_what_is_replaced_begins_its_time_anew(two):
    server, watch, _ = two
    await watch.ask("SET GLOBAL push.repeat=600")
    await watch.ask("SET GLOBAL push.promote=1000")
    await watch.ask(pushed("TO alice@a.test LEVEL high TAG disk", b"90 %"))
    assert (await event(watch))["body"] == "90 %"
    server.clock.advance(500)
    await watch.ask(pushed("TO alice@a.test LEVEL high TAG disk", b"95 %"))
    assert (await event(watch))["body"] == "95 %"
    server.clock.advance(599)
    assert (await watch.ask("PUSH LIST")).code == 261
    server.clock.advance(1)
    assert (await event(watch))["again"] == 1  # 600 s after the last, not after the first
    server.clock.advance(399)
    assert (await watch.ask("MBOX CHECK /inbox")).fields["t"] == "0"
    await watch.ask("SET GLOBAL push.promote=")  # and what was taken back is not done
    server.clock.advance(1)
    server.clock.advance(200)
    assert (await event(watch))["again"] == 2
    assert (await watch.ask("MBOX CHECK /inbox")).fields["t"] == "0"


async def test_what_now_waits_is_taken_off_the_screen(two):
    server, watch, _ = two
    await watch.ask(pushed("TO alice@a.test TAG disk", b"90 %"))
    shown = await event(watch)
    await watch.ask('SET GLOBAL "push.quiet=22:00-07:00 Europe/Berlin"')
    await watch.ask(pushed("TO alice@a.test TAG disk", b"95 %"))
    gone = await event(watch)
    assert (gone["event"], gone["id"], gone["why"]) == ("notification-cleared", shown["id"], "waiting")
    assert (await watch.ask("PUSH LIST +ALL")).rows == ()
    assert (await watch.ask(f"PUSH SHOW {shown['id']}")).word == "NO-NOTIFICATION"
    server.clock.advance(6 * 3600)
    assert (await event(watch))["body"] == "95 %"


async def test_timers_outlive_the_process(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    one.send("WATCH")
    cursor = (await event(one, "*"))["cursor"]
    await one.ask(pushed(f"TO {alice} AT 2026-01-02T00:00:00Z TTL 60", b"tomorrow"))
    await one.close()
    await server.running.stop()
    server.clock.advance(DAY)
    again = await serve(folder=server.folder, clock=server.clock)
    two = await talk(alice, on=again)
    two.send(f"AS w WATCH SINCE {cursor}")
    assert (await event(two))["event"] == "watching"
    assert (await event(two))["body"] == "tomorrow"
    again.clock.advance(60)
    assert (await event(two))["why"] == "expired"


async def test_a_token_never_looks_like_an_option_of_a_command(serve, talk):
    server = await serve()
    alice = await talk(await server.add_account("alice"), on=server)
    server.services.random = lambda size: b"\xf8" * size  # the first character would be a hyphen
    token = (await alice.ask("PUSH TOKEN ADD nas")).fields["token"]
    assert token.startswith("e")
    assert (await alice.ask(pushed(f"TO alice@a.test TOKEN {token}"))).code == 273
