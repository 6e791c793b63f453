"""Folders and messages as their owner uses them: counts, filters, moves, and what is refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.service.driving import account, answers, deliver, follow, services_in

from immpd.model.imid import parse_imid
from immpd.model.message import IndexRow
from immpd.protocol.commands import (
    MboxCheck,
    MboxCopy,
    MboxCreate,
    MboxDelete,
    MboxFetch,
    MboxFlag,
    MboxIndex,
    MboxList,
    MboxMove,
    MboxRemove,
    MboxRename,
)
from immpd.protocol.errors import Refused
from immpd.protocol.registry import Span
from immpd.service.mail.rendering import MAX_RENDERED
from immpd.service.outcome import Rows, Step
from immpd.service.session import Services, Session


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    async with services_in(tmp_path) as opened:
        yield opened


@pytest.fixture
async def alice(services: Services) -> Session:
    session = await account(services, "alice@demo.test")
    for number in range(5):
        await deliver(session, "alice@demo.test", subject=f"No. {number}")
    return session


def path(text: str):
    return parse_imid(text)


async def index(session: Session, text: str, **more) -> list[IndexRow]:
    _, octets = await answers(session, MboxIndex(path=path(text), json=True, **more))
    return [msgspec.json.decode(line[5:], type=IndexRow) for line in octets.splitlines()]


async def subjects(session: Session, text: str, **more) -> list[str]:
    return [row.subject for row in await index(session, text, **more)]


async def counts(session: Session, text: str) -> tuple[int, int]:
    (row,) = (await session.call(MboxCheck(path=path(text)))).rows
    return row.u, row.t


async def refusal(session: Session, request) -> str:
    with pytest.raises(Refused) as error:
        await answers(session, request)
    return error.value.word


async def test_index_is_newest_first_and_pages_without_gaps(alice):
    assert await subjects(alice, "/inbox") == [f"No. {n}" for n in (4, 3, 2, 1, 0)]
    assert await subjects(alice, "/INBOX", reverse=True, limit=2) == ["No. 0", "No. 1"]
    first = await index(alice, "/inbox", limit=2)
    await alice.call(MboxDelete(path=path(f"/inbox#{first[-1].id}"), purge=True))
    from uuid import UUID

    assert await subjects(alice, "/inbox", after=UUID(first[-1].id)) == ["No. 2", "No. 1", "No. 0"]


async def test_index_since_a_state_shows_what_is_new_or_changed(alice):
    reply, _ = await answers(alice, MboxIndex(path=path("/inbox"), json=True))
    oldest = (await index(alice, "/inbox"))[-1]
    await alice.call(MboxFlag(path=path(f"/inbox#{oldest.id}"), flags=(("FLAGGED", True),)))
    await deliver(alice, "alice@demo.test", subject="New")
    assert await subjects(alice, "/inbox", since=reply.s) == ["New", "No. 0"]


@pytest.mark.parametrize("state", ["x", "deadbeef.1", "", "1.-1"])
async def test_an_impossible_state_is_refused(alice, state):
    assert await refusal(alice, MboxIndex(path=path("/inbox"), since=state)) in ("BAD-STATE", "STATE-GONE")


async def test_flags_change_counts_and_filters(alice):
    rows = await index(alice, "/inbox")
    await alice.call(MboxFlag(path=path(f"/inbox#{rows[0].id},{rows[1].id}"), flags=(("read", True), ("todo", True))))
    assert await counts(alice, "/inbox") == (3, 5)
    assert await subjects(alice, "/inbox::unread") == ["No. 2", "No. 1", "No. 0"]
    assert await subjects(alice, "/inbox::read") == ["No. 4", "No. 3"]
    assert await subjects(alice, "/inbox::keyword:todo,!flagged") == ["No. 4", "No. 3"]
    changed = await alice.call(MboxFlag(path=path("/inbox::read"), flags=(("READ", False),)))
    assert changed.n == 2
    assert await counts(alice, "/inbox") == (5, 5)


async def test_one_message_in_two_folders_is_read_in_both(alice):
    await alice.call(MboxCreate(path=path("/writing/new")))
    row = (await index(alice, "/inbox"))[0]
    copied = await alice.call(MboxCopy(path=path(f"/inbox#{row.id}"), to=path("/writing/new")))
    assert copied.rows[0].old == copied.rows[0].new == row.id
    await alice.call(MboxFlag(path=path(f"/writing/new#{row.id}"), flags=(("READ", True),)))
    assert await counts(alice, "/inbox") == (4, 5)
    assert await counts(alice, "/writing/new") == (0, 1)
    await alice.call(MboxDelete(path=path(f"/inbox#{row.id}"), purge=True))
    assert await subjects(alice, "/writing/new") == ["No. 4"]


async def test_a_filter_deletes_everything_it_names(alice):
    assert (await alice.call(MboxDelete(path=path("/inbox::*")))).n == 5
    assert await counts(alice, "/inbox") == (0, 0)
    assert await counts(alice, "/trash") == (5, 5)
    await alice.call(MboxDelete(path=path("/trash::*"), purge=True))
    assert await counts(alice, "/trash") == (0, 0)


async def test_moving_back_and_forth_keeps_the_id(alice):
    row = (await index(alice, "/inbox"))[2]
    await alice.call(MboxMove(path=path(f"/inbox#{row.id}"), to=path("/archive")))
    assert [one.id for one in await index(alice, "/archive")] == [row.id]
    await alice.call(MboxMove(path=path("/archive::*"), to=path("/inbox")))
    assert (await subjects(alice, "/inbox"))[0] == "No. 2"


async def test_folders_are_made_with_their_parents_renamed_and_removed(alice):
    await alice.call(MboxCreate(path=path("/a/b/c")))
    await alice.call(MboxRename(path=path("/A/b"), to=path("/x/y")))
    names = [row.path for row in (await alice.call(MboxList())).rows]
    assert names == ["/INBOX", "/DRAFTS", "/SENT", "/JUNK", "/TRASH", "/ARCHIVE", "/a", "/x", "/x/y", "/x/y/c"]
    await alice.call(MboxMove(path=path("/inbox::*"), to=path("/x/y/c")))
    assert await refusal(alice, MboxRemove(path=path("/x"))) == "NOT-EMPTY"
    await alice.call(MboxRemove(path=path("/x"), recursive=True))
    assert await counts(alice, "/trash") == (5, 5)


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        (MboxCheck(path=path("/nowhere")), "NO-FOLDER"),
        (MboxCheck(path=path("eve@demo.test/INBOX")), "NO-RIGHT"),
        (MboxIndex(path=path("/inbox#0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60")), "BAD-PATH"),
        (MboxFetch(path=path("/inbox")), "NO-MESSAGE-NAMED"),
        (MboxFetch(path=path("/inbox#0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60")), "NO-MESSAGE"),
        (MboxFetch(path=path("/inbox::*"), json=True, raw=True), "BAD-SWITCH"),
        (MboxFlag(path=path("/inbox::*")), "NO-FLAG"),
        (MboxFlag(path=path("/inbox"), flags=(("READ", True),)), "NO-MESSAGE-NAMED"),
        (MboxFlag(path=path("/inbox::*"), flags=(("READ", True), ("read", False))), "BAD-FLAG"),
        (MboxMove(path=path("/inbox::*"), to=path("/inbox")), "SAME-FOLDER"),
        (MboxMove(path=path("/inbox::*"), to=path("/nowhere")), "NO-FOLDER"),
        (MboxCreate(path=path("/inbox")), "EXISTS"),
        (MboxRename(path=path("/inbox"), to=path("/other")), "SPECIAL-FOLDER"),
        (MboxRemove(path=path("/trash")), "SPECIAL-FOLDER"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(alice, request_, word):
    assert await refusal(alice, request_) == word


async def test_fetch_marks_read_unless_told_otherwise(alice):
    await answers(alice, MboxFetch(path=path("/inbox::*"), read=False, raw=True))
    await answers(alice, MboxFetch(path=path("/inbox::*"), part=1))
    assert await counts(alice, "/inbox") == (5, 5)
    row = (await index(alice, "/inbox"))[0]
    await answers(alice, MboxFetch(path=path(f"/inbox#{row.id}")))
    assert await counts(alice, "/inbox") == (4, 5)
    await answers(alice, MboxFetch(path=path("/inbox::unread"), json=True))
    assert await counts(alice, "/inbox") == (0, 5)


async def test_a_range_is_the_octets_asked_for(alice):
    _, octets = await answers(alice, MboxFetch(path=path("/inbox::*"), limit=1, range=Span(first=1, last=3)))
    head, body, _ = octets.split(b"\n")
    assert head.split()[2:] == [b"1", b"3"]
    assert body == b"ell"


async def test_fetch_for_people_shows_who_and_what(alice):
    _, octets = await answers(alice, MboxFetch(path=path("/inbox::*"), limit=1))
    text = octets.decode()
    assert "250- From: alice@demo.test\n" in text
    assert "250- Subject: No. 4\n" in text
    assert "250- hello\n" in text


@pytest.mark.parametrize(
    ("form", "word"),
    [({"part": 3}, "NO-PART"), ({"range": Span(first=9)}, "BAD-RANGE"), ({"mime": True}, "TOO-LARGE")],
)
async def test_what_cannot_be_shown_is_refused_by_id_and_left_out_by_filter(services, form, word):
    """Two messages, of which one has what is asked for."""
    alice = await account(services, "alice@demo.test")
    small = [("a", b"12345", True), ("b", b"x", False)]
    large = [("a", b"1234567890", True), ("b", bytes(MAX_RENDERED), False), ("c", b"x", False)]
    for parts in (large, small):
        await deliver(alice, "alice@demo.test", parts=parts)
    fits, fails = (1, 0) if word != "TOO-LARGE" else (0, 1)
    ids = [row.id for row in await index(alice, "/inbox")]
    reply, octets = await answers(alice, MboxFetch(path=path("/inbox::*"), **form))
    assert (reply.n, reply.skipped, reply.more) == (1, 1, None)
    assert octets.count(ids[fits].encode()) >= 1
    assert ids[fails].encode() not in octets
    reply, _ = await answers(alice, MboxFetch(path=path("/inbox"), limit=1, **form))
    assert (reply.n + (reply.skipped or 0), reply.more) == (1, "yes")
    reply, _ = await answers(alice, MboxFetch(path=path(f"/inbox#{ids[fits]}"), **form))
    assert (reply.n, reply.skipped) == (1, None)
    assert await refusal(alice, MboxFetch(path=path(f"/inbox#{ids[fails]}"), **form)) == word


async def test_lists_of_folders_are_pages_of_which_nobody_keeps_the_first(alice):
    for number in range(105):
        await alice.call(MboxCreate(path=path(f"/many/n{number}")))
    for request, first, count, last in (
        (MboxList(), 106, 112, b"241 112 folders\n"),
        (MboxCheck(path=path("/many"), recursive=True), 100, 106, b"240 /many/n99 u=0 t=0"),
    ):
        step = alice.begin(request)
        while isinstance(step, Step):
            step = step.then(await alice.services.store.read(step.unit))
        assert isinstance(step, Rows)
        assert len(step.rows) == first
        reply, octets = await follow(alice, step)
        assert reply.encode().startswith(last)
        assert len(reply.rows) == count - octets.count(b"\n")
        assert len((await alice.call(request)).rows) == count
