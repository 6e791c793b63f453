"""A message in one command is the message that DELIVER, DATA and DONE make."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from tests.service.driving import account, answers, deliver, follow, services_in

from immpd.model.imid import parse_imid
from immpd.protocol.commands import Abort, Data, Deliver, MboxFetch, MboxIndex, MboxPut
from immpd.protocol.errors import Refused
from immpd.service.session import Services, Session

ID = UUID("0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60")
MAIL = b"From: Carol <carol@else.test>\r\nSubject: Minutes\r\nMessage-ID: <1@else.test>\r\n\r\nAll agreed.\r\n"
CONTENTS = [
    pytest.param(None, b"", id="empty"),
    pytest.param(None, b"hello", id="text"),
    pytest.param("text/html", "<p>Grüße</p>".encode(), id="html"),
    pytest.param("message/rfc822", MAIL, id="mail"),
    pytest.param("application/octet-stream", bytes(range(256)) * 1200, id="in a file"),
]


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    async with services_in(tmp_path, max_message=1 << 20) as opened:
        yield opened


async def at_once(session: Session, request: Deliver | MboxPut, octets: bytes, cut: int) -> Any:
    draft = session.arrive(None, msgspec.structs.replace(request, length=len(octets)))
    if cut >= len(octets):
        draft.whole(octets)
        return (await answers(session, draft.request, draft))[0]
    outcome = session.begin(draft.request, draft)
    for at in range(0, len(octets), cut):
        draft.take(octets[at : at + cut], at + cut >= len(octets))
    return (await follow(session, outcome))[0]


async def seen(session: Session) -> list[dict[str, Any]]:
    """Rows and messages of INBOX without what is each message's own."""
    inbox = parse_imid("/inbox::*")
    _, rows = await answers(session, MboxIndex(path=parse_imid("/inbox"), json=True))
    _, messages = await answers(session, MboxFetch(path=inbox, json=True, read=False))
    found = [msgspec.json.decode(line[5:]) for line in (rows + messages).splitlines()]
    for one in found:
        for own in ("id", "state", "thread"):
            one.pop(own, None)
        one.get("envelope", {}).pop("id", None)
    return found


@pytest.mark.parametrize("cut", [1, 7, 1 << 20])
@pytest.mark.parametrize(("kind", "content"), CONTENTS)
async def test_both_ways_make_the_same_message(services, kind, content, cut):
    if cut * 10_000 < len(content):
        cut = 65_536
    bob, alice, carol = [await account(services, f"{name}@demo.test") for name in ("bob", "alice", "carol")]
    part = (Data(type=kind, content=True), content)
    in_parts = await deliver(bob, "alice@demo.test", parts=(part,), subject="Hi")
    request = Deliver(to=(parse_imid("carol@demo.test"),), subject="Hi", type=kind)
    whole = await at_once(bob, request, content, cut)
    assert [(row.outcome, row.code, row.text) for row in whole.rows] == [
        (row.outcome, row.code, row.text) for row in in_parts.rows
    ]
    of_alice, of_carol = await seen(alice), await seen(carol)
    for one in of_carol:
        if "to" in one:
            one["to"] = ["alice@demo.test"]
        if "envelope" in one:
            one["envelope"]["to"] = ["alice@demo.test"]
    assert of_carol == of_alice


@pytest.mark.parametrize(("kind", "content"), CONTENTS)
async def test_the_same_id_is_delivered_once_whichever_way_it_comes(services, kind, content):
    bob, alice = await account(services, "bob@demo.test"), await account(services, "alice@demo.test")
    to = parse_imid("alice@demo.test")
    await deliver(bob, to.text, parts=((Data(type=kind, content=True), content),), subject="Hi", id=ID)
    again = await at_once(bob, Deliver(to=(to,), subject="Hi", id=ID, type=kind), content, 1 << 20)
    assert [row.text for row in again.rows] == ["Delivered before"]
    with pytest.raises(Refused, match="another message"):
        await at_once(bob, Deliver(to=(to,), subject="Hi", id=ID, type=kind), content + b".", 1 << 20)
    assert len([one for one in await seen(alice) if "folder" in one]) == 1


async def test_what_is_too_large_is_refused_before_its_octets_are_there(services):
    bob = await account(services, "bob@demo.test")
    for request in (
        Deliver(to=(parse_imid("bob@demo.test"),), length=2 << 20),
        MboxPut(path=parse_imid("/drafts"), length=2 << 20),
    ):
        draft = bob.arrive(None, request)
        with pytest.raises(Refused, match="at most 1048576 octets"):
            bob.begin(request, draft)
        draft.take(bytes(1 << 20), False)
        draft.take(bytes(1 << 20), True)
        assert bob.drafts.memory == 0


async def test_nothing_is_left_of_what_was_given_up(services):
    bob = await account(services, "bob@demo.test")
    request = Deliver(to=(parse_imid("bob@demo.test"),), chunked=True)
    draft = bob.arrive("c", request)
    draft.take(bytes(600_000), False)
    assert bob.arrive("c", Abort()) is draft
    draft.cancelled()
    assert (bob.drafts.opened, bob.drafts.memory) == ({}, 0)
    other = bob.arrive("c", request)
    other.take(b"hello", True)
    assert bob.drafts.opened == {}
