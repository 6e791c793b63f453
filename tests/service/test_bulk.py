"""Changes of many messages: what is kept of them, and how many of one account run at once."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from tests.service.driving import account, answers, follow, services_in
from tests.service.filling import fill

from immpd.model.imid import parse_imid
from immpd.protocol.commands import MboxCopy, MboxCreate, MboxDelete, MboxFlag, MboxMove, MboxPut, MboxRemove
from immpd.protocol.errors import Refused
from immpd.service.outcome import Wait
from immpd.service.session import Services, Session

ADDRESS = "alice@demo.test"


def mailbox_of(session: Session) -> int:
    return session.principal.person.mailbox


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    async with services_in(tmp_path, bulk_commands=1) as opened:
        yield opened


@pytest.fixture
async def alice(services: Services) -> Session:
    return await account(services, ADDRESS)


class Waiting:
    """Who waits for a turn, as a job does."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1

    def say(self, _: bytes) -> bool:
        raise AssertionError


def keywords(count: int) -> tuple[tuple[str, bool], ...]:
    return tuple((f"k{n}", True) for n in range(count))


ALL = parse_imid("/INBOX::*")
REQUESTS = {
    "flag": lambda: MboxFlag(path=ALL, flags=keywords(20)),
    "copy": lambda: MboxCopy(path=ALL, to=parse_imid("/x")),
    "move": lambda: MboxMove(path=ALL, to=parse_imid("/x")),
    "delete": lambda: MboxDelete(path=ALL),
    "purge": lambda: MboxDelete(path=ALL, purge=True),
    "remove": lambda: MboxRemove(path=parse_imid("/y"), recursive=True),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_what_is_kept_does_not_grow_with_the_messages(services, alice, name):
    await alice.call(MboxCreate(path=parse_imid("/x")))
    await alice.call(MboxCreate(path=parse_imid("/y")))
    await fill(services, ADDRESS, 2_000)
    if name == "remove":
        await answers(alice, MboxMove(path=ALL, to=parse_imid("/y")))
    most = 0
    tracemalloc.start()
    try:
        outcome = alice.begin(REQUESTS[name](), alice.arrive(None, REQUESTS[name]()))
        before, _ = tracemalloc.get_traced_memory()
        while hasattr(outcome, "then"):
            if hasattr(outcome, "unit"):
                store = services.store
                result = await (store.write if outcome.unit.work.writes else store.read)(outcome.unit)
                outcome = outcome.then(result)
                del result
            else:
                outcome = outcome.then()
            most = max(most, tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
    assert outcome.encode()[:3] in (b"200", b"251")
    assert most < 1 << 20, most  # 2,000 messages with 20 keywords are 5 MiB


async def test_the_reply_says_how_many_and_the_last_state(services, alice):
    await fill(services, ADDRESS, 450)
    reply, _ = await answers(alice, REQUESTS["flag"]())
    assert reply.n == 450
    assert int(reply.s.partition(".")[2]) == 900
    reply, _ = await answers(alice, REQUESTS["flag"]())
    assert reply.n == 0


async def test_copied_ids_go_out_while_the_work_goes_on(services, alice):
    await alice.call(MboxCreate(path=parse_imid("/x")))
    await fill(services, ADDRESS, 450)
    reply, octets = await answers(alice, REQUESTS["copy"]())
    lines = octets.decode().splitlines()
    assert len(set(lines)) == 450
    assert all(line.startswith("251- ") and line[5:41] == line[42:] for line in lines)
    assert reply.encode() == b"251 450 copied\n"


async def test_a_message_that_is_named_twice_is_copied_once(services, alice):
    await alice.call(MboxCreate(path=parse_imid("/x")))
    await fill(services, ADDRESS, 1)
    _, octets = await answers(alice, REQUESTS["copy"]())
    name = octets.decode()[5:41]
    reply = await alice.call(MboxCopy(path=parse_imid(f"/x#{name},{name}"), to=parse_imid("/archive")))
    assert [row.old for row in reply.rows] == [name]


# --- turns


def begun(session: Session, request) -> tuple[object, Wait, Waiting]:
    """A command that has to wait for its turn."""
    turn = session.arrive(None, request)
    step = session.begin(request, turn)
    waiting = Waiting()
    while not isinstance(step, Wait):
        step = step.then(session.services.store._reads.run(step.unit))
        assert hasattr(step, "then")
    step.arm(waiting)
    return turn, step, waiting


async def running(session: Session):
    """A command that has its turn, and what makes it go on."""
    request = REQUESTS["flag"]()
    turn = session.arrive(None, request)
    step = session.begin(request, turn)
    return turn, step.then(session.services.store._reads.run(step.unit))


async def test_others_of_the_account_wait_in_order_whatever_connection_they_came_by(services, alice):
    other = Session(services, alice.state)
    other.principal = alice.principal
    await fill(services, ADDRESS, 3)
    first, _ = await running(alice)
    second, _, told_second = begun(other, REQUESTS["flag"]())
    _, _, told_third = begun(alice, REQUESTS["delete"]())
    assert (
        services.bulk.running(mailbox_of(alice)),
        services.bulk.waiting(mailbox_of(alice)),
    ) == (1, 2)
    first.cancelled()
    await asyncio.sleep(0)
    assert (told_second.woken, told_third.woken) == (1, 0)
    first.cancelled()  # once is enough
    second.leave()
    await asyncio.sleep(0)
    assert (told_second.woken, told_third.woken) == (1, 1)
    assert services.bulk.running(mailbox_of(alice)) == 1


async def test_who_is_cancelled_while_it_waits_is_passed_over(services, alice):
    await fill(services, ADDRESS, 3)
    first, _ = await running(alice)
    second, _, told_second = begun(alice, REQUESTS["flag"]())
    _, wait, told_third = begun(alice, REQUESTS["flag"]())
    second.cancelled()
    first.leave()
    await asyncio.sleep(0)
    assert (told_second.woken, told_third.woken) == (0, 1)
    reply, _ = await follow(alice, wait.then())
    assert reply.n == 3
    assert services.bulk.running(mailbox_of(alice)) == services.bulk.waiting(mailbox_of(alice)) == 0


async def test_messages_that_are_named_and_other_accounts_wait_for_nobody(services, alice):
    bob = await account(services, "bob@demo.test")
    await fill(services, ADDRESS, 1)
    await running(alice)
    reply, _ = await answers(bob, REQUESTS["flag"]())
    assert reply.n == 0
    path = parse_imid("/INBOX#00000000-0000-7000-8000-000000000000")
    with pytest.raises(Refused, match="no such message"):
        await answers(alice, MboxFlag(path=path, flags=keywords(1)))


async def test_what_fails_gives_its_turn_back(services, alice):
    await fill(services, ADDRESS, 3)
    with pytest.raises(Refused):
        await answers(alice, MboxRemove(path=parse_imid("/nowhere"), recursive=True))
    assert services.bulk.running(mailbox_of(alice)) == 0


async def test_a_step_whose_connection_is_gone_is_the_last(services, alice):
    await fill(services, ADDRESS, 300)
    _, step = await running(alice)
    step = step.then(await services.store.read(step.unit))
    answered = await services.store.write(step.unit)
    alice.close()
    step.then(answered)
    assert services.bulk.running(mailbox_of(alice)) == 0


async def test_keywords_of_a_message_are_bounded_and_the_refusal_says_so(services, alice):
    await fill(services, ADDRESS, 2)
    reply, _ = await answers(alice, MboxFlag(path=ALL, flags=keywords(64)))
    assert reply.n == 2
    for flags in ((("more", True),), keywords(65)):
        with pytest.raises(Refused) as error:
            await answers(alice, MboxFlag(path=ALL, flags=flags))
        assert error.value.word == "TOO-MANY-KEYWORDS"
    with pytest.raises(Refused) as error:
        await alice.call(MboxPut(path=parse_imid("/drafts"), flags=keywords(65)))


@pytest.mark.parametrize("name", ["flag", "copy", "move", "delete", "purge"])
async def test_what_left_the_folder_since_the_filter_found_it_is_passed_over(services, alice, name):
    await alice.call(MboxCreate(path=parse_imid("/x")))
    await fill(services, ADDRESS, 3)
    for gone in (1, 3):
        step = alice.begin(REQUESTS[name](), alice.arrive(None, REQUESTS[name]()))
        while not step.unit.work.writes:
            step = step.then(await services.store.read(step.unit))
        for one in step.unit.args.ids[:gone]:
            await alice.call(MboxDelete(path=parse_imid(f"/INBOX#{UUID(bytes=one)}"), purge=True))
        reply, _ = await follow(alice, step)
        assert reply.encode()[:8] in (b"200 n=%d " % (3 - gone), b"251 %d co" % (3 - gone))
        await answers(alice, MboxDelete(path=ALL, purge=True))
        await fill(services, ADDRESS, 3)
