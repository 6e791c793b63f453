"""What a stage of acceptance may say, and what comes of it for each recipient."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest
from tests.server.quiet import until
from tests.service.driving import account, answers, data, deliver, services_in

from immpd.model.imid import parse_imid
from immpd.model.message import IndexRow
from immpd.protocol.codes import Code
from immpd.protocol.commands import (
    Data,
    Deliver,
    Done,
    MboxCreate,
    MboxIndex,
    MboxPut,
    MboxRemove,
    PublishCreate,
    Push,
    PushList,
)
from immpd.protocol.errors import Refused
from immpd.service.acceptance import Accept, Addressee, Defer, Incoming, Junk, Reason, Refuse, Request, Said
from immpd.service.outcome import Step
from immpd.service.session import Services, Session
from immpd.store.accounts.directory import FindRecipient, recipient

BLOCKED = Refuse(Code.DENIED, "BLOCKED", "alice does not want mail from you", (Reason("on the block list"),))
LATER = Defer("GREYLISTED", "Come back in a minute", 60)


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    async with services_in(tmp_path, max_message=1 << 20) as opened:
        yield opened


class Saying:
    """A stage that says the same of a recipient each time, and remembers what it was asked."""

    def __init__(self, **said: Said) -> None:
        self.said = said
        self.asked: list[tuple[Incoming, tuple[Addressee, ...]]] = []

    async def __call__(self, incoming: Incoming, to: Sequence[Addressee]) -> Sequence[Said]:
        self.asked.append((incoming, tuple(to)))
        return [self.said.get(one.imid.partition("@")[0]) for one in to]


async def failing(_: Incoming, __: Sequence[Addressee]) -> Sequence[Said]:
    raise RuntimeError("the filter is away")


async def saying_too_little(_: Incoming, __: Sequence[Addressee]) -> Sequence[Said]:
    return []


async def subjects(session: Session, path: str) -> list[str]:
    _, octets = await answers(session, MboxIndex(path=parse_imid(path), json=True))
    return [msgspec.json.decode(line[5:], type=IndexRow).subject for line in octets.splitlines()]


async def folder_number(services: Services, session: Session, path: str) -> int:
    await answers(session, MboxCreate(path=parse_imid(path)))
    found = await services.store.read(recipient(FindRecipient(str(session.principal.account.address), path.lower())))
    assert found is not None
    return found.folder


async def test_without_stages_nothing_is_asked_and_no_task_is_made(services):
    bob, _ = [await account(services, f"{name}@demo.test") for name in ("bob", "alice")]
    assert services.stages == {}
    await bob.call(Deliver(to=(parse_imid("alice@demo.test"),)))
    await data(bob, Data(name="body", content=True), b"hello")
    request = Done()
    assert isinstance(bob.begin(request, bob.arrive(None, request)), Step)
    services.stages = {"all": Saying()}
    await bob.call(Deliver(to=(parse_imid("alice@demo.test"),)))
    await data(bob, Data(name="body", content=True), b"hello")
    outcome = bob.begin(request, bob.arrive(None, request))
    assert inspect.iscoroutine(outcome)
    outcome.close()


async def test_verdicts_of_several_recipients_differ_and_the_rows_say_so(services):
    names = ("bob", "alice", "carol", "dave", "erin", "fay", "gus")
    bob, alice, carol, dave, erin, fay, gus = [await account(services, f"{name}@demo.test") for name in names]
    lists = await folder_number(services, carol, "/INBOX/Lists")
    waiting = await folder_number(services, gus, "/Waiting")
    services.stages = {
        "blocks": Saying(alice=BLOCKED, erin=LATER),
        "rules": Saying(carol=Accept(lists), dave=Junk(), gus=Request(waiting)),
    }
    reply = await deliver(bob, *[f"{name}@demo.test" for name in names[1:]], subject="Hi")
    assert [(row.imid.partition("@")[0], row.outcome, row.code, row.text) for row in reply.rows] == [
        ("alice", "refused", 403, "[BLOCKED] alice does not want mail from you"),
        ("carol", "delivered", 273, "Delivered"),
        ("dave", "delivered", 273, "Delivered"),
        ("erin", "refused", 450, "[GREYLISTED] retry=60 Come back in a minute"),
        ("fay", "delivered", 273, "Delivered"),
        ("gus", "queued", 273, "Waits until the recipient has decided"),
    ]
    there = [(carol, "/inbox/lists"), (dave, "/junk"), (fay, "/inbox"), (gus, "/waiting"), (bob, "/sent")]
    for session, path in there:
        assert await subjects(session, path) == ["Hi"]
    for session in (alice, carol, dave, erin, gus):
        assert await subjects(session, "/inbox") == []


async def test_where_all_refuse_the_first_reason_is_the_answer_and_nothing_is_kept(services):
    bob, alice, _ = [await account(services, f"{name}@demo.test") for name in ("bob", "alice", "carol")]
    services.stages = {"blocks": Saying(alice=LATER, carol=BLOCKED)}
    with pytest.raises(Refused) as error:
        await deliver(bob, "alice@demo.test", "carol@demo.test", subject="Hi", parts=[("body", b"x" * 400_000, True)])
    assert (error.value.code, error.value.word, error.value.retry) == (Code.TEMPORARY, "GREYLISTED", 60)
    assert await subjects(alice, "/inbox") == await subjects(bob, "/sent") == []
    assert bob.drafts is not None
    assert bob.drafts.memory == 0
    await until(lambda: not any(one.is_file() for one in services.bodies.folder.rglob("*")))


async def test_what_was_refused_comes_under_the_same_id_once_nothing_is_said_against_it(services):
    bob, alice = [await account(services, f"{name}@demo.test") for name in ("bob", "alice")]
    identity = services.ids.uuid()
    services.stages = {"blocks": Saying(alice=LATER)}
    with pytest.raises(Refused):
        await deliver(bob, "alice@demo.test", id=identity, subject="Hi")
    services.stages = {}
    assert (await deliver(bob, "alice@demo.test", id=identity, subject="Hi")).rows[0].text == "Delivered"
    assert await subjects(alice, "/inbox") == ["Hi"]


async def test_a_folder_that_is_gone_means_inbox(services):
    bob, alice = [await account(services, f"{name}@demo.test") for name in ("bob", "alice")]
    number = await folder_number(services, alice, "/Gone")
    await answers(alice, MboxRemove(path=parse_imid("/Gone")))
    services.stages = {"rules": Saying(alice=Accept(number))}
    await deliver(bob, "alice@demo.test", subject="Hi")
    assert await subjects(alice, "/inbox") == ["Hi"]


async def test_nobody_is_kept_from_the_own_mailbox(services):
    alice = await account(services, "alice@demo.test")
    stage = Saying(alice=BLOCKED)
    services.stages = {"blocks": stage}
    await deliver(alice, "alice@demo.test", subject="Note")
    await alice.call(MboxPut(path=parse_imid("/inbox"), subject="Put"))
    await data(alice, Data(name="body", content=True), b"hello")
    await alice.call(Done())
    assert sorted(await subjects(alice, "/inbox")) == ["Note", "Put"]
    assert stage.asked == []


async def test_a_stage_sees_who_acts_the_envelope_the_parts_and_what_was_found_before(services):
    bob, _ = [await account(services, f"{name}@demo.test") for name in ("bob", "alice")]
    large = bytes(range(256)) * 1200
    last = Saying(alice=Junk(reasons=(Reason("above 5"),)))
    services.stages = {"first": Saying(alice=Reason("looks odd", 3.5)), "second": Saying(), "last": last}
    parts = [("body", b"hello", True), ("file", large, False)]
    await deliver(bob, "alice@demo.test", subject="Hi", parts=parts)
    ((incoming, (to,)),) = last.asked
    assert incoming.session is bob
    assert (incoming.envelope.from_, incoming.envelope.subject) == ("bob@demo.test", "Hi")
    assert to.reasons == (Reason("looks odd", 3.5, "first"),)
    body, file = incoming.parts
    assert (body.part.name, body.octets, file.octets) == ("body", b"hello", None)
    assert file.part.length == len(large)
    read = [block async for block in file.blocks()]
    assert b"".join(read) == large
    assert len(read) > 1
    assert [block async for block in body.blocks()] == [b"hello"]


class Remembering:
    """A log that keeps what was told of verdicts, and of errors."""

    def __init__(self) -> None:
        self.judged: list[dict[str, object]] = []
        self.errors: list[dict[str, object]] = []

    def debug(self, event: str, **fields: object) -> None:
        if event == "judged":
            self.judged.append(fields)

    info = warning = debug

    def error(self, _: str, **fields: object) -> None:
        self.errors.append(fields)


@pytest.mark.parametrize("broken", [failing, saying_too_little])
async def test_a_stage_that_fails_says_nothing_and_the_reasons_say_that(tmp_path, broken):
    log = Remembering()
    async with services_in(tmp_path, log) as services:
        bob, alice = [await account(services, f"{name}@demo.test") for name in ("bob", "alice")]
        services.stages = {"filter": broken, "rules": Saying(alice=Accept(reasons=(Reason("known"),)))}
        await deliver(bob, "alice@demo.test", subject="Hi")
        assert await subjects(alice, "/inbox") == ["Hi"]
        assert [error["stage"] for error in log.errors] == ["filter"]
        assert log.judged[0]["verdict"] == "accept"
        assert log.judged[0]["reasons"] == ["filter: could not be asked", "rules: known"]


@pytest.mark.parametrize("said", [BLOCKED, Junk(), Request(1)])
async def test_a_list_takes_a_message_or_refuses_it(services, said):
    bob, alice = [await account(services, f"{name}@demo.test") for name in ("bob", "alice")]
    await answers(bob, PublishCreate(node=parse_imid("bob/list@demo.test"), list=True))
    services.stages = {"blocks": Saying(**{"bob/list": said})}
    reply = await deliver(bob, "bob/list@demo.test", "alice@demo.test", subject="Hi")
    assert [row.outcome for row in reply.rows] == ["refused", "delivered"]
    assert "BLOCKED" in reply.rows[0].text or "NOT-WANTED" in reply.rows[0].text
    with pytest.raises(Refused):
        await deliver(bob, "bob/list@demo.test")
    services.stages = {"blocks": Saying(alice=BLOCKED)}
    reply = await deliver(bob, "bob/list@demo.test", "alice@demo.test", subject="Hi")
    assert [row.outcome for row in reply.rows] == ["delivered", "refused"]
    assert await subjects(alice, "/inbox") == ["Hi"]


async def push(session: Session, *to: str) -> list[tuple[str, str]]:
    request = Push(to=tuple(parse_imid(one) for one in to), title="Hi", length=5)
    draft = session.arrive(None, request)
    draft.whole(b"hello")
    reply, _ = await answers(session, request, draft)
    return [(row.outcome, row.text) for row in reply.rows]


async def test_a_notification_is_judged_too_and_goes_into_no_folder(services):
    bob, alice, carol, dave = [
        await account(services, f"{name}@demo.test") for name in ("bob", "alice", "carol", "dave")
    ]
    names = ("bob", "alice", "carol", "dave")
    stage = Saying(bob=BLOCKED, alice=BLOCKED, carol=Junk())
    services.stages = {"blocks": stage}
    assert await push(bob, *[f"{name}@demo.test" for name in names]) == [
        ("delivered", "Delivered"),
        ("refused", "[BLOCKED] alice does not want mail from you"),
        ("refused", "[NOT-WANTED] carol@demo.test does not take this"),
        ("delivered", "Delivered"),
    ]
    for session, count in ((bob, 1), (alice, 0), (carol, 0), (dave, 1)):
        reply, _ = await answers(session, PushList())
        assert reply.n == count
    ((incoming, _),) = stage.asked
    assert (incoming.kind, incoming.envelope.from_, incoming.envelope.subject) == (
        "notification", "bob@demo.test", "Hi",
    )  # fmt: skip
    with pytest.raises(Refused, match="does not want mail"):
        await push(bob, "alice@demo.test")


class Waiting:
    """A stage that says nothing until it is let go."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self, _: Incoming, to: Sequence[Addressee]) -> Sequence[Said]:
        self.asked.set()
        await self.let_go.wait()
        return [None] * len(to)


async def test_a_message_is_cancelled_while_it_is_judged_and_others_go_on(serve, talk):
    server = await serve()
    alice, bob = [await server.add_account(name) for name in ("alice", "bob")]
    stage = Waiting()
    server.services.stages = {"filter": stage}
    one, other = await talk(bob, on=server), await talk(alice, on=server)
    one.send(f'AS m DELIVER TO {alice} SUBJECT "Hi" LENGTH 5')
    one.send(b"hello")
    async with asyncio.timeout(10):
        await stage.asked.wait()
    assert (await other.ask("NOOP")).code == (await one.ask("NOOP")).code == 200
    one.send("CANCEL m")
    assert {(await one.reply(pid)).word for pid in ("m", "*")} == {"CANCELLED", ""}
    stage.let_go.set()
    assert (await other.ask("MBOX CHECK /inbox")).fields["t"] == "0"
    one.send(f'AS m DELIVER TO {alice} SUBJECT "Again" LENGTH 5')
    one.send(b"hello")
    assert (await one.reply("m")).code == 273
    assert (await other.ask("MBOX CHECK /inbox")).fields["t"] == "1"
