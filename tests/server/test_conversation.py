"""A connection that is lost: what it owned is given back, what the store has is kept."""

import gc
import itertools
from functools import partial

import pytest
from tests.server.quiet import conversation_of, nothing_left, part, until
from tests.serving import Serving

from immpd.server.conversation import Conversation

pytestmark = pytest.mark.usefixtures("server")

MIB = 1 << 20


@pytest.mark.parametrize("at", ["the middle of a part", "chunks", "a download", "a watch", "waiting parts"])
async def test_a_connection_that_is_lost_leaves_nothing(server, talk, big, at):
    account, _ = big
    async with nothing_left(server):
        one = await talk(account)
        conversation = conversation_of(server, one)
        if at == "the middle of a part":
            one.send(f"DELIVER TO {account}\nDATA x LENGTH 5000000 +CONTENT\n".encode() + bytes(4_900_000))
            await until(
                lambda: conversation.session.drafts and conversation.session.drafts.opened[None].octets > 4 * MIB
            )
        elif at == "chunks":
            one.send(f"DELIVER TO {account}\nDATA x +CHUNKED +CONTENT\nCHUNK 300000\n".encode() + bytes(300_000))
            await until(lambda: any(server.services.bodies.folder.glob("*.part")))
        elif at == "a download":
            one.send("AS a FETCH /inbox::* +RAW -READ\nAS b FETCH /inbox::* +MIME -READ\n")
            await one.line()
        elif at == "a watch":
            one.send("AS a WATCH\nAS b WATCH\nWATCH\n")
            await one.row("a")
        else:
            one.send(
                f"DELIVER TO {account}\nAS a DATA x +CHUNKED +CONTENT\n".encode() + part(bytes(300_000)) + b"DONE\n"
            )
            await until(lambda: len(conversation.pipelines.busy) == 2 and conversation.pipelines.busy[None][0]._task)
        one.reset()


async def test_a_connection_lost_during_the_commit_loses_no_message(server, account, talk):
    """What the store was given is stored, with the octets that lie in a file."""
    alice = await account()
    watching = await talk(alice)
    watching.send("AS w WATCH")
    await watching.row("w")
    one = await talk(alice)
    conversation = conversation_of(server, one)
    one.send(f"DELIVER TO {alice}\n".encode() + part(bytes(300_000)) + b"DONE\n")
    await until(lambda: conversation.pipelines.busy.get(None) and conversation.pipelines.busy[None][0].committing)
    one.reset()
    assert '"event":"mail"' in await watching.row("w")
    assert (await watching.ask("FETCH /inbox::* +RAW")).octets() == bytes(300_000)
    await until(lambda: conversation not in server.server.conversations)
    assert set(server.services.sessions.of(alice.address)) <= {conversation_of(server, watching).session}


def kept(server: Serving) -> int:
    """How many conversations of a server are in memory, connected or not."""
    gc.collect()
    return sum(type(one) is Conversation and one.server is server.server for one in gc.get_objects())


@pytest.mark.parametrize(
    "said",
    [
        b"DONE\nDELIVER\nMBOX CHECK /nowhere\nCANCEL p\nABORT\n",
        b"DATA x LENGTH 400000\n" + bytes(400_000) + b"DONE\n",
        b"DATA x +CHUNKED\nCHUNK 3\nabcCHUNK 0\nDONE\n",
        b"DELIVER TO nobody@a.test\nDATA x LENGTH 3 +BASE64\n!!!DONE\n",
        b"MBOX PUT /inbox\nDATA x LENGTH 4 +BASE64 +CONTENT\n!!!!DATA y LENGTH 1000000000\nDONE\n",
        b"AS p MBOX PUT /nowhere\nAS p DATA x LENGTH 400000\n" + bytes(400_000) + b"AS p DONE\nCHUNK\n",
        b"AS p DELIVER FROM x@a.test TO x@a.test\nAS p DATA x LENGTH 9 +CONTENT\n123456789AS p DONE\nCHUNK\n",
    ],
    ids=["commands", "a part", "chunks", "a message", "a part too large", "a folder", "a sender"],
)
async def test_nothing_is_kept_of_what_was_refused(server, account, talk, said):
    one = await talk(await account())
    one.send(said)
    while (await one.reply()).lines[0][:3] not in ("404", "420", "413", "700", "720"):
        pass
    one.reset()
    await until(lambda: not server.server.conversations)
    await until(lambda: not kept(server))


@pytest.mark.parametrize("is_logged_in", [False, True])
@pytest.mark.parametrize("line", [b"NOOP\n", b"NONSENSE\n"])
async def test_many_short_commands_over_many_connections_leave_others_their_turn(serve, talk, line, is_logged_in):
    """Whose they are has one share of time for all of them, whatever is answered at once."""
    server = await serve()
    account = await server.unique_account() if is_logged_in else None
    many = [await talk(account, on=server) for _ in range(5)]
    server.server.turns.clock = partial(next, itertools.count(1.0, 0.001))  # each look at it takes a millisecond
    conversations = [conversation_of(server, one) for one in many]
    for conversation in conversations:
        conversation.received(line * 500)
    assert all(one.outlet.held for one in conversations)
    untouched = [one for one in conversations if len(one._unread) == len(line * 500)]
    assert len(untouched) == len(many) - 1
    for one in many:
        assert len({answer.code for answer in await one.replies(500)}) == 1
