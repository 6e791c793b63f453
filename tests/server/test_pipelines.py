"""Pipelines over one connection: order in each, concurrency between them, CANCEL and QUIT."""

import apsw
import pytest
from tests.server.quiet import conversation_of, nothing_left, part, raw_lines, until

from immpd.store.sqlite.files import FILE_NAME

pytestmark = pytest.mark.usefixtures("server")

MIB = 1 << 20


# --- order


async def test_commands_of_one_pipeline_are_answered_in_order(account, talk):
    alice = await account()
    one = await talk(alice)
    one.send(f"DELIVER TO {alice} SUBJECT first\n".encode() + part(b"one") + b"DONE\nWHO\nMBOX CHECK /inbox\nNOOP\n")
    answers = await one.replies(6)
    assert [answer.code for answer in answers] == [270, 272, 273, 200, 240, 200]
    assert "t=1" in answers[4].text  # what DONE did is seen by what came after it
    one.send("HELP WHO;NOOP; ;WHO;XYZZY;NOOP")
    assert [answer.code for answer in await one.replies(5)] == [200, 200, 200, 701, 200]


async def test_pipelines_run_beside_each_other(account, talk):
    alice = await account()
    one = await talk(alice)
    one.send(f"AS slow DELIVER TO {alice}\nAS slow DATA x +CHUNKED +CONTENT\n")
    one.send("AS quick NOOP\nNOOP\nAS slow CHUNK 2\nhiAS quick WHO\nAS slow CHUNK 0\n")
    lines = await raw_lines(one, 6)
    assert lines[:4] == [
        "slow: 270 Send DATA, then DONE",
        "slow: 271 Go on with the octets",
        "quick: 200 Done",
        "200 Done",
    ]
    assert lines[4].startswith("quick: 200 account=")
    assert lines[5].startswith("slow: 272 ")


async def test_a_commit_that_hangs_holds_up_nobody_else(server, account, talk):
    """While another process has the store's lock, the message waits; what is said beside it does not."""
    alice = await account()
    one = await talk(alice)
    await one.deliver(alice)  # her mailbox is known from now on, and needs no look-up
    other = apsw.Connection(str(server.folder / FILE_NAME))
    other.execute("BEGIN IMMEDIATE")
    try:
        one.send(f"AS m DELIVER TO {alice}\n".encode() + part(b"x", "m") + b"AS m DONE\n")
        await until(lambda: "m" in conversation_of(server, one).pipelines.busy)
        assert (await one.ask("NOOP")).code == 200
        assert [answer.code for answer in await one.replies(2, "m")] == [270, 272]
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert (await one.reply("m")).code == 273


async def test_names_of_pipelines_are_case_sensitive(account, talk):
    one = await talk(await account())
    one.send("AS a WATCH\nAS A NOOP\n")
    await one.row("a")
    assert (await one.reply("A")).code == 200


async def test_a_pipeline_may_be_used_again_when_it_has_ended(account, talk):
    one = await talk(await account())
    for _ in range(200):
        assert (await one.ask("AS p NOOP", "p")).code == 200


async def test_a_sixty_fifth_pipeline_is_refused_and_its_body_thrown_away(account, talk):
    alice = await account()
    one = await talk(alice)
    for number in range(64):
        one.send(f"AS p{number} WATCH")
    for number in range(64):
        await one.row(f"p{number}")
    one.send(part(b"QUIT\nQUIT\n", "late"))
    assert (await one.reply("late")).word == "TOO-MANY-PIPELINES"
    assert (await one.ask("NOOP")).word == "TOO-MANY-PIPELINES"
    one.send(b"ACK x\nCANCEL p0\n")  # these open no pipeline
    assert [answer.code for answer in await one.replies(2)] == [405, 206]
    assert (await one.reply("p0")).code == 420
    assert (await one.ask("NOOP")).code == 200


async def test_thousands_behind_one_that_waits(account, talk):
    """What queued behind a command runs without a frame of the interpreter's stack each."""
    alice = await account()
    one = await talk(alice)
    one.send(f"DELIVER TO {alice}\n".encode() + part(b"x") + b"DONE\n" + b"NOOP\nXYZZY\nWATCH\nNOOP\n" * 500)
    answers = await one.replies(3 + 2000)
    assert [answer.code for answer in answers] == [270, 272, 273] + [200, 701, 260, 200] * 500


async def test_barriers_hold_back_what_follows_until_they_are_answered(account, talk):
    alice = await account()
    one = await talk(alice)
    one.send("AUTH SECRET x@a.test\nAS a NOOP\nAUTH RESPONSE 00\nNOOP\n" * 300)
    answers = await one.replies(900)
    assert [answer.code for answer in answers] == [704, 704, 200] * 300
    assert {answer.code for answer in [await one.reply("a") for _ in range(300)]} == {200}


# --- ends


async def test_cancel_ends_what_runs_and_what_waits_then_answers_itself(account, talk):
    alice = await account()
    one = await talk(alice)
    one.send(f"AS p DELIVER TO {alice}\nAS p DATA x +CHUNKED +CONTENT\n")
    await raw_lines(one, 2)
    one.send("AS c CANCEL p\n")
    assert await raw_lines(one, 2) == ["p: 420 [CANCELLED] The command was cancelled", "c: 206 p"]
    one.send("AS p CHUNK 3\nxyzAS p CHUNK 0\nAS p DONE\nAS p NOOP\n")  # the chunks are read and thrown away
    assert [(await one.reply("p")).code for _ in range(2)] == [420, 200]


async def test_cancel_of_a_watch_of_what_is_queued_and_of_the_default_pipeline(account, talk):
    one = await talk(await account())
    one.send("AS w WATCH\nAS w NOOP\nAS w NOOP\n")
    await one.row("w")
    one.send("CANCEL w\nCANCEL w\nNOOP\n")
    assert [(await one.reply("w")).code for _ in range(3)] == [420, 420, 420]
    assert [answer.code for answer in await one.replies(3)] == [206, 406, 200]
    one.send("WATCH\nCANCEL *\n")
    assert [answer.code for answer in await one.replies(2)] == [420, 206]


STANDS_ALONE = "AUTH PASSWORD STORED AAAA SERVER AAAA I 600000"
"""Refused at once, but what follows it is read only then."""


async def test_cancel_behind_a_command_that_stands_alone_leaves_the_order_as_it_was(account, talk):
    one = await talk(await account())
    one.send(f"MBOX CREATE /a\n{STANDS_ALONE}\nNOOP\nCANCEL *\nMBOX CREATE /b\nMBOX CHECK /b\nQUIT\n")
    assert [line[:3] for line in await one.rest()] == ["200", "400", "200", "406", "200", "240", "203"]


async def test_a_watch_behind_a_command_that_stands_alone_ends_at_what_is_read_with_it(account, talk):
    one = await talk(await account())
    one.send(f"MBOX CREATE /a\n{STANDS_ALONE}\nWATCH\nMBOX CREATE /b\nMBOX CREATE /c\nMBOX CHECK /c\nQUIT\n")
    codes = [line[:3] for line in await one.rest() if not line.startswith("260-")]
    assert codes == ["200", "400", "260", "200", "200", "240", "203"]


async def test_cancel_of_a_download_stops_its_blocks(server, talk, big):
    account, body = big
    one = await talk(account)
    one.send("AS p FETCH /inbox::* +RAW")
    line = await one.line()
    await one.reader.readexactly(int(line.split(" ")[4]) + 1)
    one.send("CANCEL p")
    answer = await one.reply("p")
    assert answer.code == 420
    assert len(answer.octets()) < len(body)
    assert (await one.reply()).code == 206


async def test_cancel_of_what_the_store_has_gives_the_true_reply(account, talk):
    alice = await account()
    one = await talk(alice)
    one.send(f"AS p DELIVER TO {alice}\n".encode() + part(b"x", "p") + b"AS p DONE\nAS p WATCH\nCANCEL p\nAS p NOOP\n")
    assert [(await one.reply("p")).code for _ in range(5)] == [270, 272, 273, 420, 200]
    assert (await one.reply()).code == 206
    assert "t=1" in (await one.ask("MBOX CHECK /inbox")).text


async def test_quit_ends_watches_lets_running_commands_finish_and_drops_the_unfinished(server, account, talk):
    alice = await account()
    async with nothing_left(server):
        one = await talk(alice)
        one.send("AS w WATCH")
        await one.row("w")
        one.send(f"AS p DELIVER TO {alice}\n".encode() + part(b"kept", "p") + b"AS p DONE\n")
        one.send(f"AS q DELIVER TO {alice}\n".encode() + part(b"x" * 400_000, "q") + b"AS z QUIT\nNOOP\nQUIT\n")
        lines = await one.rest()
        assert "w: 260 The watch has ended" in lines
        assert any(line.startswith("p: 273 ") for line in lines)
        assert lines[-1] == "z: 203 Good-bye"
        assert lines.count("200 Done") == 0
    other = await talk(alice)
    assert "t=1" in (await other.ask("MBOX CHECK /inbox")).text


@pytest.mark.parametrize("pid", ["", "AS w "])
async def test_quit_also_ends_watches_that_begin_only_then(account, talk, pid):
    one = await talk(await account())
    one.send(f"{pid}MBOX LIST\n" + f"{pid}WATCH\n" * 3 + "QUIT\n")
    lines = await one.rest()
    assert sum(line.endswith("260 The watch has ended") for line in lines) == 3
    assert lines[-1] == "203 Good-bye"
