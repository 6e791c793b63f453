"""WATCH over real TLS: nothing missed, order kept, positions, slow watchers, restarts."""

import asyncio
import json

import msgspec
import pytest
from tests.server.quiet import buffered, conversation_of, nothing_left, until
from tests.service.filling import fill

from immpd.service.mail.watching import FAR
from immpd.store.mail.changes import ForgetChanges, forget_changes
from immpd.store.sqlite.engine import open_sqlite

pytestmark = pytest.mark.usefixtures("server")


async def event(talk, pid: str = "*") -> dict:
    return json.loads(await talk.row(pid))


async def events(talk, count: int, pid: str = "*") -> list[dict]:
    return [await event(talk, pid) for _ in range(count)]


def number(cursor: str) -> int:
    return int(cursor.split(".")[1])


# --- what is shown


async def test_every_kind_of_change_has_its_event(account, talk):
    alice = await account()
    watching, one = await talk(alice), await talk(alice)
    watching.send("WATCH")
    assert (await event(watching))["event"] == "watching"
    await one.deliver(alice, subject="Hi there")
    inbox, sent = await event(watching), await event(watching)
    if inbox["folder"] != "/INBOX":
        inbox, sent = sent, inbox
    assert (inbox["event"], inbox["folder"], inbox["subject"], inbox["from"]) == (
        "mail",
        "/INBOX",
        "Hi there",
        f"{alice}",
    )
    assert (sent["event"], sent["folder"]) == ("mail", "/SENT")
    one.send("MBOX CREATE /notes; MBOX FLAG /inbox::* +FLAGGED +todo; MBOX COPY /inbox::* TO /notes")
    one.send(
        "MBOX MOVE /notes::* TO /archive; MBOX RENAME /notes TO /play; MBOX REMOVE /play; MBOX DELETE /inbox::* +PURGE"
    )
    seen = await events(watching, 7)
    assert [one["event"] for one in seen] == [
        "folder-created",
        "flags",
        "copied",
        "moved",
        "folder-renamed",
        "folder-removed",
        "gone",
    ]
    assert (seen[0]["folder"], seen[4]["folder"], seen[4]["was"]) == ("/notes", "/play", "/notes")
    assert set(seen[1]["flags"]) == {"FLAGGED", "todo"}
    assert (seen[3]["from-folder"], seen[3]["folder"]) == ("/notes", "/ARCHIVE")
    assert [number(one["cursor"]) for one in seen] == sorted(number(one["cursor"]) for one in seen)


async def test_watches_of_one_mailbox_know_its_folders_once(server, account, talk):
    alice = await account()
    watching, one = await talk(alice), await talk(alice)
    watching.send("AS a WATCH; AS b WATCH")
    for pid in "ab":
        assert (await event(watching, pid))["event"] == "watching"
    for command in ("MBOX CREATE /a", "MBOX RENAME /a TO /b", "MBOX REMOVE /b"):
        one.send(command)
        for pid in "ab":
            await event(watching, pid)
        a, b = [jobs[0].attached.paths for jobs in conversation_of(server, watching).pipelines.busy.values()]
        assert a is b


async def test_only_the_folders_asked_for(account, talk):
    alice = await account()
    watching, one = await talk(alice), await talk(alice)
    watching.send("WATCH /sent /archive")
    await event(watching)
    await one.deliver(alice)
    assert (await event(watching))["folder"] == "/SENT"
    await one.ask("MBOX MOVE /inbox::* TO /archive")
    moved = await event(watching)
    assert (moved["event"], moved["folder"]) == ("moved", "/ARCHIVE")


async def test_nobody_elses_changes(account, talk):
    alice, bob = await account(), await account("bob")
    watching, one = await talk(alice), await talk(bob)
    watching.send("AS w WATCH")
    await event(watching, "w")
    assert (await one.deliver(bob)).code == 273
    assert (await one.deliver(alice)).code == 273
    assert (await event(watching, "w"))["from"] == f"{bob}"


# --- none missed


async def test_concurrent_deliveries_are_all_seen_in_order_by_every_watch(server, account, talk):
    alice = await account()
    senders = [await talk(await account("sender")) for _ in range(4)]
    watching = await talk(alice)
    watching.send("AS a WATCH\nAS b WATCH /inbox\n")
    start = number((await event(watching, "a"))["cursor"])
    await event(watching, "b")
    each = 60

    async def send(talk, name):
        for count in range(each):
            assert (await talk.deliver(alice, subject=f"{name}-{count}")).code == 273

    sending = [asyncio.create_task(send(one, at)) for at, one in enumerate(senders)]
    seen = {pid: await events(watching, each * 4, pid) for pid in "ab"}
    await asyncio.gather(*sending)
    assert seen["a"] == seen["b"]
    assert [number(one["cursor"]) for one in seen["a"]] == list(range(start + 1, start + 1 + each * 4))
    for name in range(4):
        mine = [one["subject"] for one in seen["a"] if one["subject"].startswith(f"{name}-")]
        assert mine == [f"{name}-{count}" for count in range(each)]


async def test_since_an_old_cursor_shows_all_that_came_after_it(account, talk):
    alice = await account()
    one, sender = await talk(alice), await talk(await account("sender"))
    one.send("AS w WATCH")
    cursor = (await event(one, "w"))["cursor"]
    for count in range(250):  # more than one page of changes
        sender.send(f"DELIVER TO {alice} SUBJECT {count}\nDATA a LENGTH 1 +CONTENT\nxDONE\n")
    await sender.replies(750)
    live = await events(one, 250, "w")
    one.send(f"AS s WATCH SINCE {cursor}")
    assert (await event(one, "s"))["cursor"] == cursor
    assert await events(one, 250, "s") == live
    middle = live[100]["cursor"]
    one.send(f"AS m WATCH SINCE {middle}")
    await event(one, "m")
    assert await events(one, 149, "m") == live[101:]


async def test_a_slow_watcher_costs_nothing_and_catches_up(server, account, talk):
    alice = await account()
    slow, sender = await talk(alice), await talk(await account("sender"))
    slow.send("WATCH")
    await event(slow)
    slow.writer.transport.pause_reading()
    subject = "x" * 1500
    sent = 0
    while not conversation_of(server, slow).stream.paused:
        for _ in range(100):
            sender.send(f"DELIVER TO {alice} SUBJECT {subject}\nDATA a LENGTH 1 +CONTENT\nxDONE\n")
        await sender.replies(300)
        sent += 100
    for _ in range(3):
        for _ in range(100):
            sender.send(f"DELIVER TO {alice} SUBJECT {subject}\nDATA a LENGTH 1 +CONTENT\nxDONE\n")
        await sender.replies(300)
        sent += 100
        assert buffered(server, slow) < 1 << 20
    assert conversation_of(server, slow).outlet.written == 0
    slow.writer.transport.resume_reading()
    seen = await events(slow, sent)
    cursors = [number(one["cursor"]) for one in seen]
    assert cursors == list(range(cursors[0], cursors[0] + sent))


async def test_what_was_forgotten_is_a_resync(server, account, talk):
    alice = await account()
    one = await talk(alice)
    one.send("AS w WATCH")
    old = (await event(one, "w"))["cursor"]
    for _ in range(5):
        await one.deliver(alice)
    newest = (await events(one, 10, "w"))[-1]["cursor"]
    mailbox = conversation_of(server, one).session.principal.person.mailbox
    while await server.services.store.write(forget_changes(ForgetChanges(mailbox, 2))):
        pass
    one.send(f"AS late WATCH SINCE {old}")
    assert (await event(one, "late"))["event"] == "watching"
    resync = await event(one, "late")
    assert (resync["event"], resync["cursor"]) == ("resync", newest)
    await one.deliver(alice)
    assert (await event(one, "late"))["event"] == "mail"
    one.send(f"AS future WATCH SINCE {newest.partition('.')[0]}.999999")
    assert [one["event"] for one in await events(one, 2, "future")] == ["watching", "resync"]


async def test_what_a_watch_has_not_taken_of_very_many_changes_is_told_as_one(server, account, talk):
    alice = await account()
    slow, late, one = await talk(alice), await talk(alice), await talk(alice)
    begun = await ready(slow)
    slow.writer.transport.pause_reading()
    # By another process, and nobody is told of it.
    other = await open_sqlite(server.folder)
    await fill(msgspec.structs.replace(server.services, store=other), str(alice), FAR + 1)
    await other.close()
    server.services.store.renew()
    one.send("MBOX FLAG /inbox::* +READ")
    assert (await one.reply()).fields["n"] == str(FAR + 1)
    assert buffered(server, slow) < 1 << 20
    slow.writer.transport.resume_reading()
    resync = await event(slow, "w")
    assert resync["event"] == "resync"
    assert number(resync["cursor"]) > FAR
    rest = await events(slow, 2 * (FAR + 1) - number(resync["cursor"]), "w")
    assert {one["event"] for one in rest} == {"flags"}
    await one.deliver(alice, subject="After")
    assert (await event(slow, "w"))["subject"] == "After"
    # Whoever asks for all of it gets all of it.
    late.send(f"AS w WATCH SINCE {begun}")
    assert len(await events(late, 2 * FAR, "w")) == 2 * FAR


async def ready(talk) -> str:
    """A watch that stands and waits; its cursor."""
    talk.send("AS w WATCH")
    return (await event(talk, "w"))["cursor"]


# --- positions


async def test_positions_are_kept_by_device_and_name(account, talk):
    alice = await account()
    phone, sender = await talk(alice, "phone"), await talk(await account("sender"))
    phone.send("WATCH")
    await event(phone)
    for count in range(4):
        await sender.deliver(alice, subject=str(count))
    first = await events(phone, 4)
    phone.send(f"ACK {first[1]['cursor']}\nACK {first[0]['cursor']}\nACK {first[2]['cursor']} NAME other\nNOOP\n")
    answers = [answer for answer in await phone.replies(5) if answer.code != 260]
    assert sorted(answer.code for answer in answers) == [200, 205, 205, 205]
    await phone.close()
    for device, name, left in (
        ("phone", "", 2),
        ("phone", " NAME other", 1),
        ("phone", " NAME third", 0),
        ("tablet", "", 0),
    ):
        again = await talk(alice, device)
        again.send(f"AS w WATCH{name}")
        await event(again, "w")
        seen = await events(again, left, "w")
        assert [one["subject"] for one in seen] == ["2", "3"][2 - left :]
        await sender.ask("NOOP")
        assert (await again.ask("NOOP")).code == 200
        assert not again._lines["w"]


async def test_acknowledging_wants_a_device_and_a_cursor(account, talk):
    alice = await account()
    nameless, phone = await talk(alice), await talk(alice, "phone")
    nameless.send("AS w WATCH")
    cursor = (await event(nameless, "w"))["cursor"]
    assert (await nameless.ask(f"ACK {cursor}")).word == "NO-DEVICE"
    assert (await phone.ask("ACK nonsense")).word == "BAD-STATE"
    assert (await phone.ask("ACK 00000000.1")).word == "STATE-GONE"
    assert (await phone.ask(f'ACK {cursor} NAME "{"x" * 65}"')).word == "BAD-NAME"
    epoch, state, item = cursor.split(".")
    for ahead in (f"{epoch}.{int(state) + 1}.{item}", f"{epoch}.{'9' * 18}"):
        assert (await phone.ask(f"ACK {ahead}")).text.startswith("[BAD-STATE] Nothing has come as far")
    for invented in (f"{epoch}.{state}.{item[::-1]}", f"{epoch}.{state}.7", f"{epoch}.{state}."):
        assert (await phone.ask(f"ACK {invented}")).word == "BAD-STATE"
    assert (await phone.ask(f"ACK {cursor}")).code == 205


async def test_a_restart_in_between_loses_nothing(serve, talk):
    server = await serve()
    alice, bob = await server.add_account("alice"), await server.add_account("bob")
    phone = await talk(alice, "phone", on=server)
    phone.send("AS w WATCH")
    await event(phone, "w")
    sender = await talk(bob, on=server)
    for count in range(3):
        await sender.deliver(alice, subject=str(count))
    seen = await events(phone, 3, "w")
    assert (await phone.ask(f"ACK {seen[0]['cursor']}")).code == 205
    await server.running.stop()
    assert (await phone.rest())[-1].startswith("751 ")
    again = await serve(server.folder)
    sender = await talk(bob, on=again)
    await sender.deliver(alice, subject="3")
    phone = await talk(alice, "phone", on=again)
    phone.send("AS w WATCH")
    assert (await event(phone, "w"))["cursor"] == seen[0]["cursor"]
    assert [one["subject"] for one in await events(phone, 3, "w")] == ["1", "2", "3"]


# --- its end


async def test_a_watch_ends_at_the_next_command_of_the_default_pipeline(server, account, talk):
    async with nothing_left(server):
        one = await talk(await account())
        one.send("WATCH\nAS w WATCH\nAS x NOOP\n")
        await event(one)
        await event(one, "w")
        assert (await one.reply("x")).code == 200
        one.send("AS w NOOP\nNOOP\n")  # only the default pipeline's watch gives way
        answers = await one.replies(2)
        assert [answer.code for answer in answers] == [260, 200]
        assert answers[0].text == "The watch has ended"
        one.send("WATCH\nXYZZY\nWATCH\nWATCH\nNOOP\n")
        assert [answer.code for answer in await one.replies(5)] == [260, 701, 260, 260, 200]
        assert server.services.bus.listening[0] == 1
        await one.close()


async def test_a_watch_queued_behind_something_ends_when_something_waits_behind_it(account, talk):
    alice = await account()
    one = await talk(alice)
    one.send(f"DELIVER TO {alice}\nDATA a LENGTH 1 +CONTENT\nxDONE\nWATCH\nNOOP\n")
    assert [answer.code for answer in await one.replies(5)] == [270, 272, 273, 260, 200]


async def test_a_watched_mailbox_of_a_lost_connection_is_let_go(server, account, talk):
    alice = await account()
    async with nothing_left(server):
        one = await talk(alice)
        one.send("AS w WATCH")
        await event(one, "w")
        one.reset()
        await until(lambda: not server.services.bus.listening[0])
    assert (await (await talk(alice)).deliver(alice)).code == 273


async def test_no_message_makes_a_line_too_long_for_a_client(account, talk):
    """Its sender may make up as many and as long recipients as a line holds: they are refused, and stand in it."""
    alice = await account()
    watching, one = await talk(alice), await talk(alice)
    watching.send("AS w WATCH")
    await watching.row("w")
    made_up = "/".join("x" * 60 for _ in range(4))
    recipients = [str(alice)] + [f"{made_up}{n}@{'y' * 60}.test" for n in range(50)]
    line = "DELIVER" + "".join(f" TO {imid}" for imid in recipients)
    line += ' SUBJECT "' + "s" * (16_384 - len(line) - 11) + '"'
    one.send(line.encode() + b"\nDATA body LENGTH 2 +CONTENT\nhiDONE\n")
    assert [answer.code for answer in await one.replies(3)] == [270, 272, 273]
    seen = await watching.row("w")
    (row,) = (await one.ask("MBOX INDEX /inbox +JSON")).rows
    assert max(len(seen.encode()), len(row.encode())) < 16_384 - 10
    assert json.loads(seen)["to"][0] == str(alice)
    fetched = json.loads((await one.ask("FETCH /inbox::* +JSON")).octets("json"))
    assert fetched["envelope"]["to"] == recipients
