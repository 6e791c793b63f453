"""What leaves a connection: turns of long answers, and back-pressure."""

import pytest
from tests.server.quiet import buffered, conversation_of, nothing_left, part, raw_lines, until

pytestmark = pytest.mark.usefixtures("server")

MIB = 1 << 20


# --- turns


async def test_a_big_download_never_holds_up_a_small_answer(talk, big):
    account, body = big
    one = await talk(account)
    one.send("AS big FETCH /inbox::* +RAW")
    first = await one.line()
    assert first.startswith("big: 255- ")
    await one.reader.readexactly(int(first.split(" ")[4]) + 1)
    one.send("AS small NOOP")
    before = 0
    while not (line := await one.line()).startswith("small: "):
        assert line.startswith("big: 255- "), line
        await one.reader.readexactly(int(line.split(" ")[4]) + 1)
        before += 1
    assert line == "small: 200 Done"
    assert before < 128 / 2  # of the 128 blocks most came later
    answer = await one.reply("big")
    assert answer.code == 250
    assert body.endswith(answer.octets())


async def test_downloads_take_turns_block_by_block(talk, big):
    account, body = big
    one = await talk(account)
    one.send("AS a FETCH /inbox::* +RAW -READ\nAS b FETCH /inbox::* +RAW -READ\n")
    ahead = 0
    octets = {"a": b"", "b": b""}
    while len(octets["a"]) + len(octets["b"]) < 2 * len(body):
        line = await one.line()
        if "255- " not in line:
            assert line[1:6] == ": 250", line
            continue
        octets[line[0]] += (await one.reader.readexactly(int(line.split(" ")[4]) + 1))[:-1]
        ahead = max(ahead, abs(len(octets["a"]) - len(octets["b"])))
    assert octets == {"a": body, "b": body}
    assert ahead <= MIB  # of 8: a thread may bring the blocks of one a little later


async def test_small_messages_in_a_long_answer_take_turns_too(account, talk, no_time_passes):
    alice = await account()
    one = await talk(alice)
    for _ in range(8):
        await one.deliver(alice, body=b"x" * 200_000)
    one.send("AS long FETCH /inbox::* +RAW\nAS short NOOP\n")
    seen = 0
    while (line := await one.line()) != "short: 200 Done":
        seen += len(await one.reader.readexactly(int(line.split(" ")[4]) + 1))
    assert seen <= 3 * 64 * 1024
    assert len((await one.reply("long")).octets()) == 8 * 200_000 - seen + seen // (64 * 1024)


async def test_hostile_mail_as_text_for_people_never_holds_up_others(server, account, talk):
    """30 pages of HTML took 5 s in the loop; made beside it, others are answered meanwhile."""
    alice = await account()
    page = b"--b\nContent-Type: text/html\n\n" + b"<p>x" * 65_536
    mail = b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n" + page * 30
    one, other = await talk(alice), await talk(alice)
    one.send(
        f"DELIVER TO {alice}\nDATA x TYPE message/rfc822 LENGTH {len(mail)} +CONTENT\n".encode() + mail + b"DONE\n"
    )
    assert [answer.code for answer in await one.replies(3)] == [270, 272, 273]
    one.send("FETCH /inbox::*")
    await until(lambda: conversation_of(server, one).pipelines.busy)
    assert (await other.ask("NOOP")).code == 200
    assert conversation_of(server, one).pipelines.busy  # it is still being made
    answer = await one.reply()
    assert answer.code == 250
    assert answer.rows[-2].startswith("[Not all of part 1 is shown; FETCH with PART 1 brings its 7.5 MiB]")


# --- back-pressure


async def test_who_does_not_read_a_download_costs_no_memory(server, talk, big):
    account, _ = big
    async with nothing_left(server):
        deaf = await talk(account)
        deaf.writer.transport.pause_reading()
        for number in range(13):  # 104 MiB
            deaf.send(f"AS p{number} FETCH /inbox::* +RAW")
        await until(lambda: conversation_of(server, deaf).stream.paused)
        other = await talk(account)
        for _ in range(50):
            assert (await other.ask("NOOP")).code == 200
            assert buffered(server, deaf) < MIB
        await other.close()
        deaf.reset()


async def test_who_does_not_read_his_answers_is_not_read(server, account, talk):
    async with nothing_left(server):
        deaf = await talk(await account())
        deaf.writer.transport.pause_reading()
        deaf.send(b"HELP\n" * 50_000)  # more than 200 MiB of answers
        await until(lambda: conversation_of(server, deaf).outlet.held)
        other = await talk()
        for _ in range(50):
            assert (await other.ask("NOOP")).code == 200
            assert buffered(server, deaf) < MIB
        await other.close()
        deaf.reset()


async def test_who_reads_late_gets_every_answer(server, account, talk):
    late = await talk(await account())
    late.writer.transport.pause_reading()
    late.send(b"NOOP\n" * 100_000 + b"XYZZY\n")
    await until(lambda: conversation_of(server, late).stream.paused)
    late.writer.transport.resume_reading()
    wanted = b"200 Done\n" * 100_000 + b"701 "
    pieces: list[bytes] = []
    size = 0
    while size < len(wanted):
        pieces.append(await late.reader.read(MIB))
        size += len(pieces[-1])
    assert b"".join(pieces)[: len(wanted)] == wanted


async def test_many_big_answers_behind_each_other_wait_for_room(server, account, talk):
    """Queued in one pipeline, behind something that waits: the queue does not run out all at once."""
    alice = await account()
    deaf = await talk(alice)
    deaf.writer.transport.pause_reading()
    deaf.send(f"DELIVER TO {alice}\n".encode() + part(b"x") + b"DONE\n" + b"HELP\n" * 3000)
    await until(lambda: conversation_of(server, deaf).stream.paused)
    assert buffered(server, deaf) < MIB
    deaf.writer.transport.resume_reading()
    answers = await deaf.replies(3003)
    assert {answer.code for answer in answers[3:]} == {200}


async def test_what_is_not_answered_is_bounded(server, account, talk):
    alice = await account()
    one = await talk(alice)
    one.send(f"DELIVER TO {alice}\nAS other DATA x +CHUNKED +CONTENT FOR *\nDONE\n")
    assert [line[:10] for line in await raw_lines(one, 2)] == ["270 Send D", "other: 271"]
    one.send(b"NOOP\n" * 100_000)
    conversation = conversation_of(server, one)
    await until(lambda: conversation.outlet.held)
    assert sum(map(len, conversation.pipelines.busy.values())) < 5000
    one.reset()


async def test_acknowledgements_do_not_use_up_what_may_be_unanswered(server, account, talk):
    one = await talk(await account(), "phone")
    one.send("AS w WATCH")
    cursor = (await one.row("w")).split('"')[3]
    for _ in range(12):
        one.send(f"ACK {cursor}\n" * 500)
        assert {answer.code for answer in await one.replies(500)} == {205}
    assert conversation_of(server, one).pipelines.unanswered < 1000
    assert (await one.ask(f"AS x ACK {cursor}", "x")).code == 205
