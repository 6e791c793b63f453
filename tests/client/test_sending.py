"""Answers, forwarded messages and conversations, against the real server."""

from collections.abc import Awaitable, Callable

import pytest

from immpd.client import BadValue, Client, at

pytestmark = pytest.mark.asyncio(loop_scope="module")
Login = Callable[..., Awaitable[Client]]


async def _newest(me: Client, folder: str = "/inbox") -> str:
    (row,) = [row async for row in me.index(folder, limit=1)]
    return row.id


async def test_an_answer_joins_the_conversation_and_marks_what_it_answers(account, login: Login) -> None:
    alice, bob = await account(), await account("bob")
    her, him = await login(alice), await login(bob)
    await her.send(bob.address, "Lunch?", "At noon?\n-- \nAlice")
    question = at("/inbox", await _newest(him))
    await him.reply(question, "Yes", quoted=True)
    (row,) = [row async for row in him.index("/inbox")]
    assert row.flags == ("ANSWERED",)
    answer = await her.message(at("/inbox", await _newest(her)))
    assert (answer.envelope.subject, answer.envelope.in_reply_to) == ("Re: Lunch?", row.thread)
    assert answer.parts[0].data.endswith(f"{alice} wrote:\n> At noon?\n\nYes")
    await her.reply(at("/inbox", answer.id), "Good", all=True)
    subjects = [(row.folder, row.subject) async for row in her.thread(at("/inbox", answer.id))]
    assert subjects == [("/INBOX", "Re: Lunch?"), ("/SENT", "Re: Lunch?"), ("/SENT", "Lunch?")]
    assert [row.folder async for row in him.thread(question)] == ["/INBOX", "/INBOX", "/SENT"]


async def test_a_message_is_forwarded_with_all_it_has(account, login: Login) -> None:
    alice, bob = await account(), await account("bob")
    her, him = await login(alice), await login(bob)
    data = bytes(range(256)) * 400
    await her.send(alice.address, "Plan", "See there.", attachments=[data, b"small"])
    await her.forward(at("/inbox", await _newest(her)), bob.address, "For you")
    got = await him.message(at("/inbox", await _newest(him)))
    assert got.envelope.subject == "Fwd: Plan"
    assert got.parts[0].data.startswith("For you\n\n---------- Forwarded message ----------\nFrom: " + str(alice))
    assert got.parts[0].data.endswith("\n\nSee there.")
    assert [(part.name, part.length) for part in got.parts[1:]] == [("attachment-1", 102_400), ("attachment-2", 5)]
    assert b"".join([octets async for octets in him.fetch_part(at("/inbox", got.id), 2)]) == data


async def test_an_internet_mail_is_forwarded_and_answered_as_it_came(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    mail = b"From: Eve <eve@e.test>\r\nSubject: Old\r\nMessage-ID: <m1@e.test>\r\n\r\nWords.\r\n"
    await me.send(alice.address, eml=mail)
    path = at("/inbox", await _newest(me))
    await me.forward(path, alice.address)
    got = await me.message(at("/inbox", await _newest(me)))
    assert got.parts[0].data.endswith("\n\nWords.")
    assert (got.parts[1].name, got.parts[1].type, got.parts[1].data.encode()) == ("message.eml", "message/rfc822", mail)
    # Its thread is that of the mails that name it.
    (original,) = [row async for row in me.thread(path) if row.folder == "/INBOX"]
    assert original.thread == "m1@e.test"


async def test_ids_of_other_messages_are_read_before_anything_is_sent(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    with pytest.raises(BadValue):
        await me.send(alice.address, "x", "x", in_reply_to="two words")
    assert not [row async for row in me.index("/inbox")]
