"""Feeds over real TLS: nobody misses an item, order, slow watchers, messages, restarts."""

import asyncio
import email
import email.policy
import json
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise

import pytest
from tests.server.quiet import conversation_of, nothing_left, until
from tests.serving import Serving, Talk, serving
from tests.store.integrity.test_verify import Damage, damage

from immpd.server.settings import Bounds
from immpd.service.settings import Limits

pytestmark = pytest.mark.usefixtures("server")


async def event(talk: Talk, pid: str = "*") -> dict:
    return json.loads(await talk.row(pid))


async def titles(talk: Talk, count: int, pid: str = "*") -> list[str]:
    return [(await event(talk, pid))["title"] for _ in range(count)]


def publish(node: str, title: str, body: bytes = b"hello", more: str = "") -> bytes:
    return f'PUBLISH {node} TITLE "{title}" LENGTH {len(body)} {more}\n'.encode() + body


async def a_node(talk: Talk, account, name: str = "news", more: str = "") -> str:
    local, _, domain = str(account).partition("@")
    node = f"{local}/{name}@{domain}"
    answer = await talk.ask(f"PUBLISH CREATE {node} {more}")
    assert answer.code == 200, answer
    return node


async def subscribe(talk: Talk, node: str, more: str = "") -> None:
    answer = await talk.ask(f"SUBSCRIBE TO {node} {more}")
    assert answer.code == 280, answer


async def watching(talk: Talk, words: str = "WATCH") -> str:
    talk.send(words)
    first = await event(talk)
    assert first["event"] == "watching"
    return first["cursor"]


async def test_many_publishers_and_nodes_reach_every_watch_in_one_order(account, talk):
    owners = [await account("news") for _ in range(3)]
    publishing = [await talk(owner) for owner in owners]
    nodes = [await a_node(one, owner) for one, owner in zip(publishing, owners, strict=True)]
    readers = [await talk(await account("reader")) for _ in range(4)]
    for reader in readers:
        for node in nodes:
            await subscribe(reader, node)
        await watching(reader)
    for number in range(40):
        for at, one in enumerate(publishing):
            one.send(publish(nodes[at], f"{at}.{number}"))
    for one in publishing:
        assert {(await one.reply()).code for _ in range(40)} == {273}
    seen = [await titles(reader, 120) for reader in readers]
    assert all(one == seen[0] for one in seen)
    for at in range(3):
        assert [title for title in seen[0] if title.startswith(f"{at}.")] == [f"{at}.{n}" for n in range(40)]


async def test_a_cursor_goes_on_behind_what_was_shown_and_is_kept_for_a_device(account, talk):
    owner, alice = await account("news"), await account()
    one, phone = await talk(owner), await talk(alice, device="phone")
    node = await a_node(one, owner)
    await subscribe(phone, node)
    before = await watching(phone)
    await one.ask(publish(node, "One"))
    shown = await event(phone)
    epoch, state, item = shown["cursor"].split(".")
    assert not item.isdecimal()  # how many items the server has is nobody's business
    assert item != before.split(".")[2]
    assert (await phone.ask(f"ACK {shown['cursor']}")).code == 205
    for title in ("Two", "Three"):
        await one.ask(publish(node, title))
    again = await talk(alice, device="phone")
    assert await watching(again) == shown["cursor"]
    assert await titles(again, 2) == ["Two", "Three"]
    # A cursor of two parts, as older servers gave them, has seen no item.
    old = await talk(alice)
    await watching(old, f"WATCH SINCE {epoch}.{state}")
    assert await titles(old, 3) == ["One", "Two", "Three"]


async def test_mail_and_items_have_one_timeline(account, talk):
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(reader, node)
    cursor = await watching(reader)
    cursors = []
    for number in range(5):
        await one.deliver(alice, subject=f"Mail {number}")
        cursors.append((await event(reader))["cursor"])
        await one.ask(publish(node, f"Item {number}"))
        cursors.append((await event(reader))["cursor"])
    parts = [one.split(".")[1:] for one in (cursor, *cursors)]
    for (state, item), (next_state, next_item) in pairwise(parts):
        assert (int(next_state) > int(state)) != (next_item != item)
        assert int(next_state) >= int(state)
    # From the middle: what lies behind, of both kinds, and nothing else.
    again = await talk(alice)
    await watching(again, f"WATCH SINCE {cursors[3]}")
    behind = [await event(again) for _ in range(6)]
    assert [one["subject"] for one in behind if one["event"] == "mail"] == ["Mail 2", "Mail 3", "Mail 4"]
    assert [one["title"] for one in behind if one["event"] == "item"] == ["Item 2", "Item 3", "Item 4"]


async def test_a_slow_reader_is_bounded_and_misses_nothing(serve, talk):
    server = await serve(limits=Limits(items_per_minute=10_000))
    owner, alice = await server.unique_account("news"), await server.unique_account()
    one, slow = await talk(owner, on=server), await talk(alice, on=server)
    node = await a_node(one, owner, more="KEEP 1000")
    await subscribe(slow, node)
    await watching(slow)
    conversation = conversation_of(server, slow)
    slow.writer.transport.pause_reading()
    body = b"x" * 4000
    count = 0
    while not conversation.stream.paused:
        for _ in range(20):
            one.send(publish(node, f"{count}", body))
            count += 1
        await one.replies(20)
        assert count < 1000
    for _ in range(100):
        one.send(publish(node, f"{count}", body))
        count += 1
    await one.replies(100)
    assert conversation.stream.transport.get_write_buffer_size() < 1 << 20
    slow.writer.transport.resume_reading()
    assert await titles(slow, count) == [f"{number}" for number in range(count)]


async def test_a_watch_that_ends_leaves_nothing(server, account, talk):
    owner, alice = await account("news"), await account()
    one = await talk(owner)
    node = await a_node(one, owner)
    await subscribe(await talk(alice), node)
    async with nothing_left(server):
        reader = await talk(alice)
        await watching(reader)
        assert server.services.bus.listening[1] == 1
        await reader.close()
    await until(lambda: server.services.bus.listening[1] == 0)
    assert (await one.ask(publish(node, "One"))).code == 273


async def test_items_as_messages_come_once_also_over_a_restart(tmp_path, talk):
    async with serving(tmp_path) as server:
        owner = await server.unique_account("news")
        readers = [await server.unique_account("reader") for _ in range(5)]
        one = await talk(owner, on=server)
        node = await a_node(one, owner, more="FORM message")
        for reader in readers:
            await subscribe(await talk(reader, on=server), node)
        answer = await one.ask(publish(node, "One", more="+IMPORTANT"))
        assert " pending=5 " in answer.rows[0]
    async with serving(tmp_path) as server:
        one = await talk(owner, on=server)
        await until_pending(one, node, 0)
        for reader in readers:
            one_of_five = await talk(reader, on=server)
            answer = await one_of_five.ask("MBOX INDEX /inbox +JSON")
            (row,) = [json.loads(row) for row in answer.rows]
            assert (row["subject"], row["from"], row["to"]) == ("One", str(owner), [node])
            assert row["flags"] == ["IMPORTANT"]
            shown = await one_of_five.ask(f"FETCH /inbox#{row['id']} +JSON")
            assert json.loads(shown.rows[0])["parts"][0]["data"] == "hello"
        answer = await one.ask(f"PUBLISH SHOW {node}")
        assert " accepted=5 pending=0 " in answer.rows[0]


async def until_pending(talk: Talk, node: str, count: int) -> None:
    async with asyncio.timeout(10):
        while f" pending={count} " not in (await talk.ask(f"PUBLISH SHOW {node}")).rows[0]:
            pass


async def test_an_item_that_cannot_be_delivered_holds_up_no_other_and_is_tried_again(tmp_path, talk):
    async with serving(tmp_path, bounds=Bounds(idle=10**6, alive=10**6)) as server:
        owner, alice = await server.unique_account("news"), await server.unique_account()
        one, reader = await talk(owner, on=server), await talk(alice, on=server)
        node = await a_node(one, owner, more="FORM message")
        await subscribe(reader, node)
        await watching(reader)
        no = "BEFORE INSERT ON content WHEN NEW.octets = x'426164' BEGIN SELECT RAISE(ABORT, 'broken'); END"
        await server.services.store.write(damage(Damage(f"CREATE TRIGGER broken {no}")))
        assert (await one.ask(publish(node, "Bad", b"Bad"))).code == 273
        assert (await one.ask(publish(node, "Good"))).code == 273
        assert (await event(reader))["subject"] == "Good"
        assert " accepted=0 pending=1 " in (await one.ask(f"PUBLISH SHOW {node}")).rows[1]
        failed = server.log.events("job failed")
        assert [(one["job"], one["of"].split()[0]) for one in failed] == [("fan-out", node)]
        server.pass_time(11)
        await until(lambda: len(server.log.events("job failed")) == 2)
        assert (await one.ask(publish(node, "Better"))).code == 273
        assert (await event(reader))["subject"] == "Better"
        await server.services.store.write(damage(Damage("DROP TRIGGER broken")))
        server.pass_time(21)
        assert (await event(reader))["subject"] == "Bad"
        await until_pending(one, node, 0)
        assert len(server.log.take_errors()) == 2


async def test_what_comes_as_a_message_is_a_mail_event_and_no_item(account, talk):
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(reader, node, "+MAIL FOLDER /archive")
    await watching(reader)
    await one.ask(publish(node, "One"))
    shown = await event(reader)
    assert (shown["event"], shown["folder"], shown["subject"]) == ("mail", "/ARCHIVE", "One")


async def test_what_others_do_to_a_subscription_takes_effect_at_once(account, talk):
    owner, alice = await account("news"), await account()
    one, reader, other = await talk(owner), await talk(alice), await talk(alice)
    node = await a_node(one, owner)
    await watching(reader)
    await subscribe(other, node)
    assert (await event(reader))["status"] == "active"
    await one.ask(publish(node, "One"))
    assert await titles(reader, 1) == ["One"]
    assert (await other.ask(f"UNSUBSCRIBE {node}")).code == 283
    assert (await event(reader))["status"] == "left"
    await one.ask(publish(node, "Two"))
    await subscribe(other, node)
    assert (await event(reader))["status"] == "active"
    await one.ask(publish(node, "Three"))
    assert await titles(reader, 1) == ["Three"]


async def test_a_watch_of_folders_shows_no_feeds(account, talk):
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(reader, node)
    await watching(reader, "WATCH /inbox")
    await one.ask(publish(node, "One"))
    await one.deliver(alice, subject="Mail")
    assert (await event(reader))["event"] == "mail"


async def test_a_large_item_comes_in_blocks_and_its_length_is_told(account, talk):
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(reader, node)
    cursor = await watching(reader)
    body = bytes(range(256)) * 1024
    assert (await one.ask(publish(node, "Large", body, "TYPE application/octet-stream"))).code == 273
    shown = await event(reader)
    assert (shown["length"], "body" in shown) == (len(body), False)
    answer = await one.ask(f"PUBLISH SHOW {node}")
    assert f" length={len(body)} " in answer.rows[0]
    answer = await (await talk(alice)).ask(f"SUBSCRIBE SINCE {cursor}")
    assert answer.octets("body") == body


async def test_no_item_forges_a_line(account, talk):
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(reader, node)
    await watching(reader)
    body = "a\r\n260 The watch has ended\u2028\u202e\x7f\x9b".encode()
    await one.ask(publish(node, "x", body))
    line = await reader.row()
    assert line.isprintable()
    assert json.loads(line)["body"].encode() == body
    await one.ask(publish(node, "y", b"\x01" * 4096))
    shown = await event(reader)
    assert (shown["length"], "body" in shown) == (4096, False)


async def test_what_is_published_together_is_said_together_in_the_pipeline_of_the_watch(account, talk):
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(reader, node)
    for pid in ("v", "w"):
        reader.send(f"AS {pid} WATCH")
        assert (await event(reader, pid))["event"] == "watching"
    one.send(b"".join(b"AS p%d " % number + publish(node, f"{number}") for number in range(50)))
    for number in range(50):
        assert (await one.reply(f"p{number}")).code == 273
    for pid in ("v", "w"):
        assert await titles(reader, 50, pid) == [f"{number}" for number in range(50)]


async def test_a_mail_with_a_file_comes_through_a_list_with_it(account, talk):
    owner, alice = await account("club"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner, "list", "+LIST")
    await subscribe(reader, node)
    await watching(reader, "WATCH /inbox")
    one.send(f'DELIVER TO {node} SUBJECT "With a file"')
    one.send(b"DATA body LENGTH 5 +CONTENT\nHelloDATA a.txt TYPE text/plain LENGTH 3\nabcDONE\n")
    assert (await one.replies(4))[3].code == 273
    shown = await event(reader)
    assert (shown["event"], shown["subject"], shown["from"]) == ("mail", "With a file", str(owner))
    answer = await reader.ask(f"FETCH /inbox#{shown['id']} +MIME")
    assert answer.code == 260  # the watch
    mail = email.message_from_bytes((await reader.reply()).octets(), policy=email.policy.default)
    body, attached = mail.iter_parts()
    assert (body.get_content().strip(), attached.get_filename()) == ("Hello", "a.txt")
    assert attached.get_payload(decode=True).strip() == b"abc"


async def test_a_node_for_members_is_there_for_nobody_else(account, talk):
    """Whoever is no member is answered as for a node that there is not, whatever is tried."""
    owner, alice = await account("news"), await account()
    one, other = await talk(owner), await talk(alice)
    hidden = await a_node(one, owner, name="secret", more="ACCESS members +LIST +MODERATED")
    absent = hidden.replace("secret", "absent")
    item = "0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60"
    tries = [
        *(
            "SUBSCRIBE TO {}",
            "SUBSCRIBE SHOW {}",
            "SUBSCRIBE SET {} +MUTED",
            "UNSUBSCRIBE {}",
            "SUBSCRIBE SINCE NODE {}",
        ),
        *("PUBLISH {} TITLE x LENGTH 0", "PUBLISH {}", "PUBLISH SHOW {}", "PUBLISH SET {} KEEP 1", "PUBLISH REMOVE {}"),
        *("PUBLISH MEMBERS LIST {}", f"PUBLISH MEMBERS ADD {{}} {alice}", f"PUBLISH MEMBERS REMOVE {{}} {alice}"),
        *(f"PUBLISH MEMBERS ACCEPT {{}} {alice}", f"PUBLISH ACCEPT {{}}#{item}", f"PUBLISH RETRACT {{}}#{item}"),
        *(f"SUBSCRIBE DISMISS {{}}#{item}", f"PUSH FROM {{}} TO {owner} LENGTH 0", f"PUSH FROM {{}} TO {owner}"),
        *("DELIVER TO {}", "PUSH TO {} LENGTH 0", "PUBLISH CREATE {}", "MBOX CHECK {}"),
    ]

    async def answers(node: str) -> list[tuple[str, tuple[str, ...]]]:
        said = []
        for line in tries:
            answer = await other.ask(line.format(node).encode() + b"\n")
            said.append((line, tuple(text.replace(node, "NODE") for text in answer.lines)))
        return said

    assert await answers(hidden) == await answers(absent)
    assert {text[:3] for _, lines in await answers(hidden) for text in lines} <= {"400", "403", "404", "380"}
    await one.ask(f"PUBLISH MEMBERS ADD {hidden} {alice}")
    assert (await other.ask(f"PUBLISH SET {hidden} KEEP 1")).word == "NOT-OWNER"
    assert (await other.ask(f"DELIVER TO {hidden}")).code == 270
    assert (await other.ask(f"SUBSCRIBE TO {hidden}")).code == 280


async def test_the_log_counts_what_is_refused(server, account, talk):
    owner, alice = await account("news"), await account()
    one, other = await talk(owner), await talk(alice)
    node = await a_node(one, owner, more="ACCESS members")
    await other.ask(publish(node, "x"))
    await other.ask(f"PUBLISH {node}")
    await other.ask(f"SUBSCRIBE TO {node}")
    told = [one for one in server.log.events("publish refused") if one["node"] == node]
    assert told == [{"node": node, "account": str(alice), "word": "NO-NODE"}] * 2
    told = [one for one in server.log.events("subscription refused") if one["node"] == node]
    assert told == [{"node": node, "account": str(alice), "word": "NO-NODE"}]


async def test_a_digest_names_what_was_published_once_an_hour(tmp_path, talk):
    patient = Bounds(idle=10**6, alive=10**6)
    async with serving(tmp_path, bounds=patient) as server:
        await digests(server, partial(talk, on=server))


async def digests(server: Serving, talk: Callable[..., Awaitable[Talk]]) -> None:
    owner, alice = await server.unique_account("news"), await server.unique_account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner, more='TITLE "News"')
    await subscribe(reader, node, "DIGEST hourly FOLDER /archive")
    watch = await talk(alice)
    await watching(watch)
    for title in ("One", "Two"):
        assert " accepted=1 pending=0 " in (await one.ask(publish(node, title))).rows[0]
    server.pass_time(3601)
    shown = await event(watch)
    assert (shown["event"], shown["folder"], shown["subject"]) == ("mail", "/ARCHIVE", "News: 2 new items")
    assert (shown["from"], shown["importance"]) == (str(owner), "low")
    answer = await reader.ask(f"FETCH /archive#{shown['id']} +JSON")
    lines = json.loads(answer.rows[0])["parts"][0]["data"].splitlines()
    assert [line.partition("  ")[2] for line in lines[:2]] == ["One", "Two"]
    assert lines[3:] == [f"Read them: immp items {node}", f"Leave: immp unsubscribe {node}"]
    server.pass_time(3601)  # nothing new: no digest
    await one.ask(publish(node, "Three"))
    server.pass_time(3601)
    assert (await event(watch))["event"] == "flags"  # reading the first one
    assert (await event(watch))["subject"] == "News: 1 new item"
    # Who ends it gets what it had still to name at once, and then what comes in the other way.
    await one.ask(publish(node, "Four"))
    assert (await reader.ask(f"SUBSCRIBE SET {node} +PUSH")).code == 200
    assert (await event(watch))["event"] == "subscription"
    await one.ask(publish(node, "Five"))
    server.pass_time(61)
    shown = [await event(watch), await event(watch)]
    assert sorted(one.get("title") or one["subject"] for one in shown) == ["Five", "News: 1 new item"]
    server.pass_time(7202)
    await one.ask(publish(node, "Six"))
    assert (await event(watch))["title"] == "Six"


async def test_a_feed_that_breaks_its_promise_is_heard_of(tmp_path, talk):
    async with serving(tmp_path, bounds=Bounds(idle=10**6, alive=10**6)) as server:
        owner, alice = await server.unique_account("pump"), await server.unique_account()
        one, reader = await talk(owner, on=server), await talk(alice, on=server)
        assert (await one.ask(f"PUBLISH CREATE {str(owner).replace('@', '/x@')} EVERY 59")).word == "BAD-OPTION"
        node = await a_node(one, owner, more='TITLE "Pump" EVERY 3600')
        assert " every=3600 " in (await one.ask("PUBLISH LIST")).rows[0]
        await subscribe(reader, node)
        await watching(reader)
        server.pass_time(3601)
        shown = await event(reader)
        assert (shown["title"], shown["level"], shown["verified"]) == ("Pump is silent", "high", True)
        await one.ask(publish(node, "Level 3"))
        assert (await event(reader))["title"] == "Level 3"
        server.pass_time(3601)
        assert (await event(reader))["title"] == "Pump is silent"
        assert (await one.ask(f"PUBLISH SET {node} EVERY 0")).code == 200
        assert " every=" not in (await one.ask("PUBLISH LIST")).rows[0]


async def test_who_gets_messages_is_told_all_the_same_that_a_node_is_gone(account, talk):
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(reader, node, "+MAIL")
    await watching(reader)
    await one.ask(publish(node, "One"))
    assert (await event(reader))["subject"] == "One"
    one.send(publish(node, "Two") + f"PUBLISH REMOVE {node}\n".encode())
    assert [answer.code for answer in await one.replies(2)] == [273, 200]
    shown = {one["event"]: one for one in [await event(reader), await event(reader)]}
    assert (shown["mail"]["subject"], shown["mail"]["to"]) == ("Two", [node])
    assert (shown["subscription"]["node"], shown["subscription"]["status"]) == (node, "removed")


async def test_a_feed_reaches_subscribers_of_all_domains_of_the_server(tmp_path, talk):
    async with serving(tmp_path, domains=("a.test", "b.test")) as server:
        owner, alice = await server.add_account("news@b.test"), await server.add_account("alice@a.test")
        one, reader = await talk(owner, on=server), await talk(alice, on=server)
        assert (await one.ask("PUBLISH CREATE news/x@a.test")).word == "BAD-NODE"
        node = await a_node(one, owner)
        await subscribe(reader, node)
        await watching(reader)
        await one.ask(publish(node, "One"))
        shown = await event(reader)
        assert (shown["node"], shown["from"], shown["title"]) == ("news/news@b.test", "news@b.test", "One")


async def test_an_id_is_new_to_a_node_that_has_the_name_of_one_before(account, talk):
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    again = "ID 0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60"
    node = await a_node(one, owner)
    await one.ask(publish(node, "One", more=again))
    assert (await one.ask(f"PUBLISH REMOVE {node}")).code == 200
    await a_node(one, owner)
    await subscribe(reader, node)
    await watching(reader)
    assert " accepted=1 " in (await one.ask(publish(node, "One", more=again))).rows[0]
    assert await titles(reader, 1) == ["One"]
    assert (await one.ask(publish(node, "One", more=again))).rows[0].endswith(" Published before")


async def test_nobody_makes_a_node_under_the_name_of_another_account(server, account, talk):
    """``helpdesk/alice@a.test`` is an account of its own."""
    team = await account("helpdesk")
    local, _, domain = str(team).partition("@")
    await server.add_account(f"{local}/alice@{domain}")
    one = await talk(team)
    made = await one.ask(f"PUBLISH CREATE {local}/alice/news@{domain}")
    assert made.text == "[BAD-NODE] The name lies under that of another account"
    assert (await one.ask(f"PUBLISH CREATE {local}/bob/news@{domain}")).code == 200


async def items_of(talk: Talk, node: str) -> list[str]:
    """Titles that SUBSCRIBE SINCE has of a node."""
    rows = [json.loads(row) for row in (await talk.ask(f"SUBSCRIBE SINCE NODE {node}")).rows]
    return [row["title"] for row in rows if row["event"] == "item"]


async def test_a_message_to_two_lists_that_is_cancelled_went_to_both_or_to_none(account, talk):
    owner, alice = await account("club"), await account()
    one, reader = await talk(owner), await talk(alice)
    lists = [await a_node(one, owner, name, "+LIST FORM notification") for name in ("first", "second")]
    for node in lists:
        await subscribe(reader, node)
    one.send(f'AS m DELIVER TO {lists[0]} TO {lists[1]} TO {alice} SUBJECT "Hello"')
    assert (await one.reply("m")).code == 270
    one.send(b"AS m DATA body LENGTH 5 +CONTENT\nHello")
    assert (await one.reply("m")).code == 272
    one.send("AS m DONE\nCANCEL m\n")
    answer = await one.reply("m")
    published = [await items_of(reader, node) for node in lists]
    delivered = (await reader.ask("MBOX INDEX /inbox")).rows
    told = (answer.code, published, len(delivered))
    assert told in ((273, [["Hello"], ["Hello"]], 1), (420, [[], []], 0))


async def test_a_message_goes_to_the_lists_that_take_it(account, talk):
    """Each that does not is a recipient that is refused, and who sends again changes nothing."""
    owner, bob = await account("club"), await account("bob")
    one, sender = await talk(owner), await talk(bob)
    lists = [await a_node(one, owner, name, "+LIST FORM notification") for name in ("a", "b", "c")]
    for node in lists:
        await subscribe(sender, node)
    assert (await sender.ask(f"UNSUBSCRIBE {lists[1]}")).code == 283
    to = f'DELIVER {" ".join(f"TO {node}" for node in lists)} SUBJECT "Hi" ID 0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60'
    for said in ("Published", "Published before"):
        sender.send(f"{to}\n".encode() + b"DATA body LENGTH 5 +CONTENT\nHelloDONE\n")
        done = (await sender.replies(3))[2]
        rows = {row.split()[0]: row for row in done.rows}
        assert [row.split()[1] for row in done.rows] == ["delivered", "refused", "delivered"]
        assert rows[lists[0]].endswith(f" {said}")
        assert " refused 403 [NOT-PUBLISHER] " in rows[lists[1]]
    shown = [await one.ask(f"PUBLISH SHOW {node}") for node in lists]
    assert [(answer.fields["items"], len(answer.rows)) for answer in shown] == [("1", 1), ("0", 0), ("1", 1)]
    sent = await sender.ask("MBOX INDEX /sent")
    assert len(sent.rows) == 1


async def test_only_of_a_node_that_one_subscribed_to_there_are_items_to_read(account, talk):
    """An empty answer would say that it published nothing."""
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await one.ask(publish(node, "One"))
    for name in ("nobody/nothing@a.test", node):
        answer = await reader.ask(f"SUBSCRIBE SINCE NODE {name}")
        assert (answer.code, answer.word) == (404, "NO-SUBSCRIPTION")
    await subscribe(reader, node)
    assert await items_of(reader, node) == []


async def test_a_command_that_takes_a_node_takes_no_item(account, talk):
    owner = await account("news")
    one = await talk(owner)
    node = await a_node(one, owner)
    item = f"{node}#0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60"
    for words in ("SUBSCRIBE TO", "SUBSCRIBE SHOW", "UNSUBSCRIBE", "SUBSCRIBE SINCE NODE", "PUBLISH SHOW", "PUBLISH"):
        assert (await one.ask(f"{words} {item}")).word == "BAD-NODE", words


@pytest.mark.parametrize(
    ("words", "answered"),
    [
        ("ICON https://news.example/a.png?size=48#top LANGUAGE de-CH-1996", 200),
        ("ICON https://[2001:db8::1]:8443/ LANGUAGE x-klingon", 200),
        ('ICON "" LANGUAGE ""', 200),
        ("ICON http://news.example/a.png", 400),
        ("ICON javascript:alert(1)", 400),
        ("ICON https:///a.png", 400),
        ("ICON https://user:secret@news.example/", 400),
        ('ICON "https://news.example/a b"', 400),
        ("ICON https://news.example:port/", 400),
        (f"ICON https://news.example/{'a' * 200}", 413),
        ("LANGUAGE German!", 400),
        ("LANGUAGE x", 400),
        ("LANGUAGE de--CH", 400),
        (f"LANGUAGE en{'-abcdefgh' * 30}", 413),
    ],
)
async def test_an_icon_is_an_https_url_and_a_language_a_tag(account, talk, words, answered):
    owner = await account("news")
    one = await talk(owner)
    node = await a_node(one, owner)
    another = node.replace("/news@", "/another@")
    answers = [await one.ask(f"PUBLISH {begin} {words}") for begin in (f"SET {node}", f"CREATE {another}")]
    assert [answer.code for answer in answers] == [answered] * 2
