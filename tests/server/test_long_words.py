"""Whatever long things a client says, no answer is a line that a client would have to refuse."""

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
