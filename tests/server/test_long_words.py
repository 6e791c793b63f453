"""Whatever long things a client says, no answer is a line that a client would have to refuse."""

import json

import pytest
from tests.server.quiet import part

from immpd.protocol.connection import MAX_LINE

pytestmark = pytest.mark.usefixtures("server")

LONG = "/a" * 6000
NAME = "/" + "/".join(["n" * 250] * 15)
"""Nearly as long as a path may be."""


@pytest.mark.parametrize(
    "said",
    [
        f"MBOX FETCH {LONG}",
        f"MBOX FETCH {NAME}",
        f"MBOX CREATE {LONG}",
        f"MBOX CREATE {NAME}\nMBOX LIST\nMBOX CHECK {NAME}\nMBOX RENAME {NAME} TO {NAME}b\nMBOX REMOVE {NAME}b",
        "MBOX CREATE a@b.test" + LONG,
        "DELIVER TO {alice} TO a@b.test" + LONG,
        "PUSH TO a@b.test" + LONG,
        "PUSH ALLOW " + "x" * 16_000,
        "x" * 16_000,
        'SET GLOBAL "' + "é" * 8_000 + '"',
    ],
    ids=lambda said: said[:30],
)
async def test_no_answer_is_too_long(account, talk, said):
    alice = await account()
    one = await talk(alice)
    line = said.replace("{alice}", str(alice))
    one.send(line)
    one.send("NOOP")
    lines = []
    while not lines or lines[-1] != "200 Done":
        lines.append(await one.line())
    assert max(len(line.encode()) for line in lines) <= MAX_LINE


async def test_where_a_message_was_put_is_said_whole(account, talk):
    one = await talk(await account())
    assert (await one.ask(f"MBOX CREATE {NAME}")).code == 200
    one.send(f"MBOX PUT {NAME}\n".encode() + part(b"x") + b"DONE\n")
    answers = await one.replies(3)
    assert [answer.code for answer in answers] == [270, 272, 251]
    assert answers[2].text.split("#")[0].endswith(NAME)


TAGS = "\U000e0041\u202e" * 280
"""Nearly as long as a subject may be, and six times as long where it has to be escaped."""
FOREIGN = ", ".join(f'"{"名" * 390}" <{"名" * 390}@elsewhere.test>' for _ in range(10))


async def rows_of(one, line: str) -> list[str]:
    """What a list and a watch of it show, none of it too long."""
    answer = await one.ask(line)
    assert answer.code == 250, answer
    assert max(len(said.encode()) for said in answer.lines) <= MAX_LINE
    return [json.loads(row) for row in answer.rows]


async def test_no_row_of_a_message_is_too_long_wherever_it_lies(account, talk):
    alice = await account("名" * 15)
    one = await talk(alice)
    assert (await one.ask(f"MBOX CREATE {NAME}")).code == 200
    flags = " ".join(f"+k{n:02}{'k' * 61}" for n in range(64))
    recipients = " ".join(f"TO {'名' * 20}/{'名' * 20}/{'名' * 20}/{n}@x.test" for n in range(45))
    one.send("AS w WATCH")
    await one.row("w")
    mail = f"From: {FOREIGN}\nSubject: x\n\n".encode()
    answers = []
    for subject in (f' SUBJECT "{TAGS}"', ""):
        one.send(f"MBOX PUT {NAME} {recipients} IN-REPLY-TO {'r' * 200}@x.test{subject}")
        one.send(f"DATA mail TYPE message/rfc822 LENGTH {len(mail)} +CONTENT\n".encode() + mail + b"DONE\n")
        answers += await one.replies(3)
        event = await one.row("w")
        assert len(event) <= MAX_LINE - 100
    assert [answer.code for answer in answers] == [270, 272, 251] * 2
    assert (await one.ask(f"MBOX FLAG {NAME}::* {flags}")).code == 200
    rows = await rows_of(one, f"MBOX INDEX {NAME} +JSON")
    assert [row["author"][-1] for row in rows] == ["…", "…"]
    assert TAGS.startswith(rows[1]["subject"].rstrip("…"))
    assert 0 < len(rows[0]["to"]) < 45


@pytest.mark.parametrize("how", ["SUBJECT", "+HEADERS"])
@pytest.mark.parametrize("command", ["MBOX PUT /inbox", "DELIVER TO {alice}"])
async def test_a_subject_is_bounded_wherever_it_is_given(account, talk, how, command):
    alice = await account()
    one = await talk(alice)
    line = command.replace("{alice}", str(alice))
    long = "s" * 2001
    if how == "SUBJECT":
        assert (await one.ask(f"{line} SUBJECT {long}")).word == "SUBJECT-TOO-LONG"
        return
    fields = f"Subject: {long}".encode()
    one.send(line)
    one.send(f"DATA h LENGTH {len(fields)} +HEADERS\n".encode() + fields + part(b"x") + b"DONE\n")
    assert [answer.code for answer in await one.replies(4)] == [270, 272, 272, 413]


async def test_no_message_of_a_feed_has_a_row_that_is_too_long(account, talk):
    owner = await account("news")
    one = await talk(owner)
    node = str(owner).replace("@", "/news@")
    assert (await one.ask(f'PUBLISH CREATE {node} TITLE "{TAGS}"')).code == 200
    assert (await one.ask(f"SUBSCRIBE TO {node} +MAIL")).code == 280
    one.send("AS w WATCH")
    await one.row("w")
    mail = f"From: {FOREIGN}\n\nx".encode()
    await one.ask(f'PUBLISH {node} TITLE "{TAGS}" TYPE message/rfc822 LENGTH {len(mail)}\n'.encode() + mail)
    event = json.loads(await one.row("w"))
    (row,) = await rows_of(one, "MBOX INDEX /inbox +JSON")
    assert (row["author"][-1], row["verified"]) == ("…", False)
    assert TAGS.startswith(row["subject"].rstrip("…"))
    assert (event["subject"], event["author"]) == (row["subject"], row["author"])
