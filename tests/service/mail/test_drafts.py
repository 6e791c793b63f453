"""Messages while they come in, over real TLS: parts in any form and order, memory, files, time."""

import random
from base64 import b64encode

import pytest
from tests.server.quiet import conversation_of, nothing_left, owned, until

from immpd.service.mail.drafts import FILES_AT_ONCE, IN_MEMORY, SESSION_MEMORY
from immpd.service.settings import Limits

pytestmark = pytest.mark.usefixtures("server")

MIB = 1 << 20


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


# --- waiting, and several side by side


async def test_a_part_that_is_there_at_once_needs_no_271(account, talk):
    alice = await account()
    one = await talk(alice)
    answer = await one.deliver(alice)
    assert answer.code == 273


async def test_a_part_that_is_awaited_says_so(account, talk):
    alice = await account()
    one = await talk(alice)
    one.send(f"DELIVER TO {alice}\nDATA a LENGTH 5 +CONTENT\n")
    assert (await one.reply()).code == 270
    assert await one.line() == "271 Go on with the octets"
    one.send(b"he")
    one.send(b"llo")
    assert (await one.reply()).lines == ("272 n=1 length=5",)
    assert (await one.ask("DONE")).code == 273


async def test_uploads_side_by_side_each_in_its_pipeline(account, talk):
    alice = await account()
    one = await talk(alice)
    bodies = {f"p{number}": noise(150_000 + number, number) for number in range(8)}
    for pid in bodies:
        one.send(f"AS {pid} DELIVER TO {alice} SUBJECT {pid}\nAS {pid} DATA body +CHUNKED +CONTENT\n")
    for at in range(0, 160_000, 20_000):
        for pid, body in bodies.items():
            piece = body[at : at + 20_000]
            if piece:
                one.send(f"AS {pid} CHUNK {len(piece)}\n".encode() + piece)
    for pid in reversed(bodies):
        one.send(f"AS {pid} CHUNK 0\nAS {pid} DONE\n")
    for pid in bodies:
        assert [(await one.reply(pid)).code for _ in range(3)] == [270, 272, 273]
    answer = await one.ask("FETCH /inbox::* +RAW")
    assert sorted(block.octets for block in _joined(answer)) == sorted(bodies.values())


def _joined(answer):
    """The blocks of each message as one."""
    joined = {}
    for block in answer.blocks:
        before = joined.get(block.message)
        octets = block.octets if before is None else before.octets + block.octets
        joined[block.message] = type(block)(block.message, block.part, octets, False)
    return joined.values()


async def test_done_waits_for_parts_from_other_pipelines(account, talk):
    alice = await account()
    one = await talk(alice)
    one.send(f"AS m DELIVER TO {alice}\nAS a DATA first +CHUNKED +CONTENT FOR m\nAS b DATA second +CHUNKED FOR m\n")
    one.send("AS m DONE\nAS b CHUNK 1\n2AS b CHUNK 0\nNOOP\n")
    assert (await one.reply("m")).code == 270
    assert (await one.reply("b")).lines[-1] == "272 n=2 length=1"  # numbered as their lines were read
    assert (await one.reply()).code == 200
    one.send("AS a CHUNK 1\n1AS a CHUNK 0\n")
    assert (await one.reply("a")).lines[-1] == "272 n=1 length=1"
    assert (await one.reply("m")).code == 273
    answer = await one.ask("FETCH /inbox::* +RAW")
    assert [block.octets for block in answer.blocks] == [b"1", b"2"]


async def test_done_delivers_nothing_if_a_part_failed(account, talk):
    alice = await account()
    one = await talk(alice)
    one.send(f"DELIVER TO {alice}\nDATA a LENGTH 1 +CONTENT\n1DATA b LENGTH 3 +BASE64\n===DONE\n")
    assert [answer.code for answer in await one.replies(3)] == [270, 272, 700]
    answer = await one.reply()
    assert (answer.code, answer.word) == (700, "BASE64")
    assert "Part 2" in answer.text
    assert "t=0" in (await one.ask("MBOX CHECK /inbox")).text


async def test_whose_message_a_part_belongs_to(account, talk):
    alice = await account()
    one = await talk(alice)
    one.send("AS a DATA x LENGTH 2\nhi")
    assert (await one.reply("a")).word == "NO-MESSAGE"
    one.send(f"DELIVER TO {alice}\nAS a DATA x LENGTH 2 +CONTENT\nhiAS b DELIVER TO {alice}\n")
    one.send("AS b DATA y LENGTH 2 +CONTENT\nyoAS b DATA z LENGTH 2 FOR *\nhaAS b DATA q LENGTH 2 FOR nobody\nhaDONE\n")
    one.send("AS b DONE\nDONE\nAS b DELIVER TO nobody@a.test\n")
    assert (await one.reply("a")).lines[-1] == "272 n=1 length=2"
    answers = [await one.reply("b") for _ in range(6)]
    assert [answer.code for answer in answers] == [270, 272, 272, 404, 273, 404]
    assert answers[2].lines[-1] == "272 n=2 length=2"
    assert [answer.code for answer in await one.replies(3)] == [270, 273, 404]


async def test_one_open_message_a_pipeline(account, talk):
    alice = await account()
    one = await talk(alice)
    one.send(f"DELIVER TO {alice}\nDELIVER TO {alice}\nMBOX PUT /drafts\nABORT\nABORT\nDONE\n")
    words = [(answer.code, answer.word) for answer in await one.replies(6)]
    assert words == [
        (270, ""),
        (409, "MESSAGE-OPEN"),
        (409, "MESSAGE-OPEN"),
        (200, ""),
        (404, "NO-MESSAGE"),
        (404, "NO-MESSAGE"),
    ]


async def test_a_refused_delivery_swallows_its_parts_and_its_done(account, talk):
    one = await talk(await account())
    one.send(
        b"DELIVER TO nobody@a.test\nDATA a LENGTH 5 +CONTENT\nQUIT\n"
        b"DATA b +CHUNKED\nCHUNK 5\nQUIT\nCHUNK 0\nDONE\nNOOP\n"
    )
    assert [answer.code for answer in await one.replies(5)] == [404, 404, 404, 404, 200]


# --- giving up


async def test_abort_where_a_chunk_could_be(server, account, talk):
    alice = await account()
    async with nothing_left(server):
        one = await talk(alice)
        one.send(f"DELIVER TO {alice}\nDATA a +CHUNKED +CONTENT\nCHUNK 400000\n".encode() + noise(400_000))
        await until(lambda: owned(server).files)
        one.send("ABORT\nNOOP\n")
        answers = await one.replies(4)
        assert [(answer.code, answer.word) for answer in answers] == [(270, ""), (420, "ABORTED"), (200, ""), (200, "")]
        assert conversation_of(server, one).session.drafts.memory == 0
        await one.close()


@pytest.mark.parametrize("end", ["ABORT", "QUIT", "lost", "DONE refused"])
async def test_files_of_a_message_that_comes_to_nothing_are_removed(server, account, talk, end):
    alice = await account()
    async with nothing_left(server):
        one = await talk(alice)
        one.send(f"DELIVER TO {alice}\n")
        for number in range(3):
            one.send(f"DATA p{number} LENGTH 400000\n".encode() + noise(400_000, number))
        assert [answer.code for answer in await one.replies(4)] == [270, 272, 272, 272]
        assert owned(server).files >= 3
        if end == "lost":
            one.reset()
        elif end == "QUIT":
            assert (await one.ask("QUIT")).code == 203
        else:
            assert (await one.ask(end.split(" ", maxsplit=1)[0])).code == (200 if end == "ABORT" else 400)
            await one.close()


async def test_an_open_message_expires_after_ten_idle_minutes(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    async with nothing_left(server):
        one.send(f"DELIVER TO {alice}\nDATA a LENGTH 400000 +CONTENT\n".encode() + noise(400_000))
        assert [answer.code for answer in await one.replies(2)] == [270, 272]
        server.pass_time(600)
        one.send(b"DATA b LENGTH 1\nx")
        assert (await one.reply()).code == 272
        server.pass_time(600)
        server.pass_time(1)
        one.send(b"DATA c LENGTH 1\nxDONE\n")
        assert [answer.word for answer in await one.replies(2)] == ["EXPIRED", "EXPIRED"]


async def test_a_slow_part_keeps_its_message_open(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    one.send(f"DELIVER TO {alice}\nDATA a +CHUNKED +CONTENT\n")
    conversation = conversation_of(server, one)
    for count in range(1, 6):
        one.send("CHUNK 1\nx")
        await until(lambda count=count: conversation.session.drafts and conversation.session.drafts.memory == count)
        server.pass_time(500)
    one.send("CHUNK 0\nDONE\n")
    assert [answer.code for answer in await one.replies(3)] == [270, 272, 273]


async def test_a_message_that_expires_while_a_part_is_awaited_says_so(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    one.send(f"DELIVER TO {alice}\nDATA a LENGTH 10 +CONTENT\n")
    assert (await one.reply()).code == 270
    assert (await one.line()).startswith("271")
    server.pass_time(601)
    answer = await one.reply()
    assert (answer.code, answer.word) == (404, "EXPIRED")
    one.send(b"0123456789NOOP\n")
    assert (await one.reply()).code == 200


# --- large and many


@pytest.mark.parametrize("form", ["length", "chunks", "base64 with length", "base64 lines"])
async def test_three_mib_go_in_and_out_octet_for_octet(server, account, talk, form):
    alice = await account()
    one = await talk(alice)
    parts = [noise(size, size) for size in (3 * MIB // 2, IN_MEMORY, IN_MEMORY + 1, 1, 0, MIB)]
    one.send(f"DELIVER TO {alice}")
    for part in parts:
        if form == "length":
            one.send(f"DATA p LENGTH {len(part)} +CONTENT\n".encode() + part)
        elif form == "chunks":
            one.send("DATA p +CHUNKED +CONTENT")
            for at in range(0, len(part), 100_000):
                piece = part[at : at + 100_000]
                one.send(f"CHUNK {len(piece)}\n".encode() + piece)
            one.send("CHUNK 0")
        elif form == "base64 with length":
            text = b64encode(part)
            one.send(f"DATA p LENGTH {len(text)} +BASE64 +CONTENT\n".encode() + text)
        else:
            one.send("DATA p +BASE64 +CONTENT")
            text = b64encode(part)
            one.send(b"".join(text[at : at + 76] + b"\n" for at in range(0, len(text), 76)) + b"\n\n")
    one.send("DONE")
    answers = await one.replies(len(parts) + 2)
    assert [answer.code for answer in answers] == [270, *[272] * len(parts), 273], answers
    fetched = await one.ask("FETCH /inbox::* +RAW")
    assert [fetched.octets(str(number)) for number in range(1, len(parts) + 1)] == parts
    assert conversation_of(server, one).session.drafts.memory == 0
    assert (await one.ask("MBOX DELETE /inbox::* +PURGE")).code == 200


async def test_small_parts_go_to_files_when_a_session_holds_too_many(server, account, talk):
    alice = await account()
    async with nothing_left(server):
        one = await talk(alice)
        for number in range(30):
            one.send(
                f"AS p{number} DELIVER TO {alice}\nAS p{number} DATA x LENGTH 200000 +CONTENT\n".encode()
                + noise(200_000)
            )
        for number in range(30):
            assert [(await one.reply(f"p{number}")).code for _ in range(2)] == [270, 272]
        drafts = conversation_of(server, one).session.drafts
        assert 0 < drafts.memory <= SESSION_MEMORY
        assert drafts.pending == 0
        assert owned(server).files > 15
        for number in range(30):
            one.send(f"AS p{number} ABORT")
        for number in range(30):
            assert (await one.reply(f"p{number}")).code == 200
        assert drafts.memory == 0
        await one.close()


async def test_a_disk_slower_than_the_line_stops_the_reading(server, account, talk):
    alice = await account()
    one = await talk(alice)
    body = noise(24 * MIB)
    one.send(f"DELIVER TO {alice}\nDATA a LENGTH {len(body)} +CONTENT\n".encode())
    assert (await one.reply()).code == 270
    drafts = conversation_of(server, one).session.drafts
    most = 0
    for at in range(0, len(body), MIB):
        one.send(body[at : at + MIB])
        await one.writer.drain()
        most = max(most, drafts.pending)
    assert (await one.ask("DONE")).code == 272
    assert most <= 5 * MIB
    assert (await one.reply()).code == 273
    assert (await one.ask("FETCH /inbox::* +RAW")).octets() == body


async def test_a_message_has_a_size(serve, talk):
    server = await serve(limits=Limits(max_message=600_000, max_parts=3))
    alice = await server.add_account("alice")
    async with nothing_left(server):
        one = await talk(alice, on=server)
        one.send(f"DELIVER TO {alice}\nDATA a LENGTH 590000 +CONTENT\n".encode() + bytes(590_000) + b"DONE\n")
        assert [answer.code for answer in await one.replies(3)] == [270, 272, 273]
        path = next(server.services.bodies.folder.iterdir())
        for more in (b"LENGTH 600001\n" + bytes(600_001), b"+CHUNKED\nCHUNK 600001\n" + bytes(600_001) + b"CHUNK 0\n"):
            one.send(f"DELIVER TO {alice}\nDATA a ".encode() + more + b"DONE\n")
            assert [answer.word for answer in await one.replies(3)] == ["", "TOO-LARGE", "TOO-LARGE"]
        one.send(f"DELIVER TO {alice}\n".encode() + b"DATA a LENGTH 1 +CONTENT\nx" * 6 + b"DONE\n")
        words = [answer.word for answer in await one.replies(8)]
        assert words == ["", "", "", "", *["TOO-MANY-PARTS"] * 4]
        path.unlink()
        await one.close()


async def test_an_account_has_so_many_files_on_their_way(server, account, talk):
    """Over all its connections; each is a handle, of which the process has a bounded number."""
    alice = await account()
    async with nothing_left(server):
        several = [await talk(alice) for _ in range(3)]
        for one in several:
            for number in range(60):
                one.send(f"AS p{number} DELIVER TO {alice} +CHUNKED\nAS p{number} CHUNK {IN_MEMORY + 1}\n")
                one.send(bytes(IN_MEMORY + 1))
            refused = max(0, 60 * (several.index(one) + 1) - FILES_AT_ONCE)
            lines = [await one.line() for _ in range(60 + refused)]
            assert sum(": 271 " in line for line in lines) == 60
            assert sum("413 [TOO-MANY-PARTS]" in line for line in lines) == refused
        assert sum(server.services.writing.values()) == FILES_AT_ONCE
        for number in range(60):
            several[0].send(f"AS p{number} ABORT\n")
            assert [answer.code for answer in await several[0].replies(2, f"p{number}")] == [420, 200]
        assert sum(server.services.writing.values()) == FILES_AT_ONCE - 60
        for one in several:
            one.reset()
    assert not server.services.writing
