"""What one account can make the server keep: bounded, however many messages it has."""

import tracemalloc

import pytest
from tests.server.quiet import until
from tests.service.filling import fill

from immpd.server.settings import Bounds

CONNECTIONS = 3
MOST = 4 << 20
"""Octets that a session keeps beside what its commands and its unread answers are."""
MIX = (
    "MBOX LIST",
    "MBOX CHECK /many +RECURSIVE",
    "MBOX INDEX /inbox::* +JSON",
    "MBOX FETCH /inbox::* +JSON -READ",
    "MBOX FETCH /inbox::* +RAW -READ",
    "MBOX FLAG /inbox::* " + " ".join(f"+k{number}" for number in range(20)),
    "MBOX COPY /inbox::* TO /archive",
    "MBOX FLAG /inbox::* -k1",
    "MBOX MOVE /archive::* TO /drafts",
    "MBOX DELETE /drafts::*",
    "WATCH",
    "SUBSCRIBE LIST",
)


async def peak(serve, talk, messages: int) -> int:
    """The most that is kept while three connections, which read nothing, ask for everything twice at once."""
    server = await serve()
    alice = await server.add_account("alice")
    box = await fill(server.services, str(alice), messages)
    talks = [await talk(alice, on=server) for _ in range(CONNECTIONS)]
    for number in range(100):
        assert (await talks[0].ask(f"MBOX CREATE /many/n{number}")).code == 200
    for one in talks:
        one.writer.transport.pause_reading()
    bulk = server.services.bulk
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for one in talks:
            for at in range(2):
                one.send("".join(f"AS p{at}{number} {command}\n" for number, command in enumerate(MIX)))
        await until(lambda: bulk.running(box.id))
        # COPY waits for its reader; whatever does not, ends.
        await until(lambda: not server.services.store._running)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


async def test_what_a_session_keeps_does_not_grow_with_its_mailbox(serve, talk):
    small, large = [await peak(serve, talk, messages) for messages in (300, 3_000)]
    assert large < CONNECTIONS * MOST, large
    assert large < 1.5 * small + (1 << 20), (small, large)


async def test_an_account_has_a_bounded_number_of_connections(serve, talk):
    server = await serve(bounds=Bounds(per_account=2))
    alice, bob = await server.add_account("alice"), await server.add_account("bob")
    first, _ = await talk(alice, on=server), await talk(alice, on=server)
    third = await talk(alice, on=server)
    assert [line[:26] for line in await third.rest()] == ["721 [TOO-MANY-CONNECTIONS]"]
    assert (await (await talk(bob, on=server)).ask("NOOP")).code == 200
    await first.close()
    await until(lambda: len(tuple(server.services.sessions.of(str(alice)))) == 1)
    assert (await (await talk(alice, on=server)).ask("NOOP")).code == 200


async def test_who_takes_nothing_of_a_large_message_keeps_no_other_device_from_one(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    phones = [await talk(alice, f"phone {number}", on=server) for number in range(4)]
    laptop = await talk(alice, "laptop", on=server)
    assert (await laptop.deliver(alice, body=b"x" * 8_000_000)).code == 273
    large, mailbox = server.services.large, next(iter(server.services.sessions.of(str(alice)))).principal.person.mailbox
    for phone in phones:
        phone.writer.transport.pause_reading()
        phone.send("MBOX FETCH /inbox::* +MIME -READ")
    await until(lambda: sum(one.stream.paused for one in server.server.conversations) == 4)
    server.pass_time(31)
    assert large.running(mailbox) == 4  # nobody else wants one
    laptop.send("MBOX FETCH /inbox::* +MIME -READ")
    await until(lambda: large.waiting(mailbox) == 1)
    server.pass_time(1)
    assert (await laptop.reply()).code == 250
    assert large.running(mailbox) == 3
    (ended,) = (one.session.principal.device for one in server.server.conversations if one.stream.closed)
    phone = phones[int(ended[-1])]
    phone.writer.transport.resume_reading()
    assert (await phone.rest())[-1].startswith("721 [NOT-TAKEN]")


@pytest.mark.parametrize("form", ["+MIME", ""])
async def test_large_messages_that_are_rendered_wait_for_their_turn(serve, talk, form):
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    assert (await one.deliver(alice, body=b"x" * 400_000)).code == 273
    one.writer.transport.pause_reading()
    one.send("".join(f"AS p{number} MBOX FETCH /inbox::* {form} -READ\n" for number in range(12)))
    large, mailbox = server.services.large, next(iter(server.services.sessions.of(str(alice)))).principal.person.mailbox
    await until(lambda: large.running(mailbox) == 4 and large.waiting(mailbox) == 8)
    one.writer.transport.resume_reading()
    assert [(await one.reply(f"p{number}")).code for number in range(12)] == [250] * 12
    assert large.running(mailbox) == large.waiting(mailbox) == 0
