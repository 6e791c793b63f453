"""What a sender relies on: who gets what, whose name stands on it, and that it comes once."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from tests.service.driving import account, answers, data, deliver, services_in

from immpd.model.imid import parse_imid
from immpd.model.message import FetchedMessage, IndexRow
from immpd.model.references import Reference
from immpd.protocol.codes import Code
from immpd.protocol.commands import Data, Deliver, Done, MboxCheck, MboxCreate, MboxFetch, MboxIndex, MboxPut, Watch
from immpd.protocol.errors import Refused
from immpd.protocol.text import UNSAFE
from immpd.service.session import Services
from immpd.store.units import Tx, write_unit

ID = UUID("0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60")


class RawRow(msgspec.Struct, frozen=True):
    """Arguments of ``keep_raw_row``."""


@write_unit
def keep_raw_row(tx: Tx, _: RawRow) -> None:
    """The row of a store that was written before rows were escaped."""
    ((row,),) = tx.rows("SELECT row FROM content")
    raw = row.replace(b"\\u202e", "\u202e".encode())
    assert raw != row
    tx.execute("UPDATE content SET row = ?", (raw,))


class RecordedLog:
    """A log that remembers what it was told."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def debug(self, event: str, **fields: object) -> None:
        self.events.append(event)

    info = warning = error = debug


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    async with services_in(tmp_path, max_message=1 << 20) as opened:
        yield opened


async def rows(session, path: str) -> list[IndexRow]:
    _, octets = await answers(session, MboxIndex(path=parse_imid(path), json=True))
    return [msgspec.json.decode(line[5:], type=IndexRow) for line in octets.splitlines()]


async def messages(session, path: str) -> list[FetchedMessage]:
    _, octets = await answers(session, MboxFetch(path=parse_imid(path), json=True, read=False))
    return [msgspec.json.decode(line[5:], type=FetchedMessage) for line in octets.splitlines()]


async def test_a_message_reaches_every_recipient_and_the_senders_sent(services):
    bob, alice, carol = [await account(services, f"{name}@demo.test") for name in ("bob", "alice", "carol")]
    reply = await deliver(bob, "alice@demo.test", cc=(parse_imid("carol@demo.test"),), subject="Hi")
    assert [(row.imid, row.outcome) for row in reply.rows] == [
        ("alice@demo.test", "delivered"),
        ("carol@demo.test", "delivered"),
    ]
    for session in (alice, carol):
        (row,) = await rows(session, "/inbox")
        assert (row.from_, row.subject, row.flags, row.verified) == ("bob@demo.test", "Hi", (), True)
    (copy,) = await rows(bob, "/sent")
    assert copy.flags == ("READ",)


async def test_a_bcc_recipient_stands_only_in_the_senders_copy(services):
    bob, alice, carol = [await account(services, f"{name}@demo.test") for name in ("bob", "alice", "carol")]
    await deliver(bob, "alice@demo.test", bcc=(parse_imid("carol@demo.test"),))
    for session in (alice, carol):
        (message,) = await messages(session, "/inbox::*")
        assert b"carol" not in msgspec.json.encode(message.envelope)
    (copy,) = await messages(bob, "/sent::*")
    assert copy.envelope.bcc == ("carol@demo.test",)


async def test_the_same_id_is_delivered_once_and_other_content_is_refused(services):
    bob, alice = [await account(services, f"{name}@demo.test") for name in ("bob", "alice")]
    for _ in range(3):
        reply = await deliver(bob, "alice@demo.test", id=ID)
        assert reply.id == str(ID)
        assert reply.rows[0].outcome == "delivered"
    assert len(await rows(alice, "/inbox")) == len(await rows(bob, "/sent")) == 1
    with pytest.raises(Refused, match="used for another message") as error:
        await deliver(bob, "alice@demo.test", id=ID, parts=[("body", b"other", True)])
    assert error.value.word == "ID-REUSED"


async def test_a_new_recipient_of_a_known_id_still_gets_it(services):
    bob, _, carol = [await account(services, f"{name}@demo.test") for name in ("bob", "alice", "carol")]
    await deliver(bob, "alice@demo.test", id=ID)
    reply = await deliver(bob, "alice@demo.test", "carol@demo.test", id=ID)
    assert [row.text for row in reply.rows] == ["Delivered before", "Delivered"]
    assert len(await rows(carol, "/inbox")) == 1


async def test_plus_addresses_reach_existing_folders_and_never_the_special_ones(services):
    bob, alice = [await account(services, f"{name}@demo.test") for name in ("bob", "alice")]
    await alice.call(MboxCreate(path=parse_imid("/INBOX/lists")))
    await deliver(bob, "alice+Lists@demo.test")
    await deliver(bob, "alice+nothere@demo.test")
    await deliver(bob, "alice+trash@demo.test")
    assert len(await rows(alice, "/inbox/lists")) == 1
    assert len(await rows(alice, "/inbox")) == 2
    assert not await rows(alice, "/trash")


async def test_one_bad_recipient_of_two_is_refused_alone(services):
    bob, alice = [await account(services, f"{name}@demo.test") for name in ("bob", "alice")]
    reply = await deliver(bob, "nobody@demo.test", "alice@demo.test", "eve@elsewhere.test")
    assert [(row.outcome, row.code) for row in reply.rows] == [("refused", 404), ("delivered", 273), ("refused", 451)]
    assert len(await rows(alice, "/inbox")) == 1


@pytest.mark.parametrize(
    ("to", "fields", "word"),
    [
        ("nobody@demo.test", {}, "NO-RECIPIENT"),
        ("eve@elsewhere.test", {}, "NO-ROUTE"),
        ("alice@demo.test/INBOX", {}, "BAD-RECIPIENT"),
        ("alice@demo.test", {"from_": parse_imid("eve@demo.test")}, "NOT-YOURS"),
        ("alice@demo.test", {"subject": "x" * 2001}, "SUBJECT-TOO-LONG"),
    ],
)
async def test_deliver_is_refused_at_once(services, to, fields, word):
    bob = await account(services, "bob@demo.test")
    await account(services, "alice@demo.test")
    with pytest.raises(Refused) as error:
        await bob.call(Deliver(to=(parse_imid(to),), **fields))
    assert error.value.word == word
    with pytest.raises(Refused) as late:
        await data(bob, Data(name="body", content=True), b"hello")
    assert late.value.word == "NO-MESSAGE"


async def test_a_refused_part_means_that_nothing_is_delivered(services):
    bob, alice = [await account(services, f"{name}@demo.test") for name in ("bob", "alice")]
    await bob.call(Deliver(to=(parse_imid("alice@demo.test"),)))
    await data(bob, Data(name="body", content=True), b"hello")
    with pytest.raises(Refused) as error:
        await data(bob, Data(name="big"), b"x" * ((1 << 20) + 1))
    assert error.value.word == "TOO-LARGE"
    with pytest.raises(Refused) as done:
        await bob.call(Done())
    assert done.value.word == "TOO-LARGE"
    assert not await rows(alice, "/inbox")


def blocks_in(said: bytes) -> list[bytes]:
    """The octets of the 255 blocks of a reply."""
    pieces = []
    while said:
        head, _, rest = said.partition(b"\n")
        length = int(head.split()[3])
        pieces.append(rest[:length])
        said = rest[length + 1 :]
    return pieces


async def test_large_parts_go_through_files_octet_for_octet(services):
    bob, alice = [await account(services, f"{name}@demo.test") for name in ("bob", "alice")]
    large = bytes(range(256)) * 2400
    await deliver(bob, "alice@demo.test", parts=[("body", b"see there", True), ("a.bin", large, False)])
    _, octets = await answers(alice, MboxFetch(path=parse_imid("/inbox::*"), part=2))
    pieces = blocks_in(octets)
    assert b"".join(pieces) == large
    assert max(map(len, pieces)) <= 64 * 1024


MAIL = (
    b"From: Eve <eve@elsewhere.test>\r\nTo: x@y.test\r\nSubject: From outside\r\n"
    b"Date: Tue, 3 Nov 2026 10:00:00 +0100\r\n\r\nHello\r\n"
)


async def test_internet_mail_keeps_its_octets_and_clears_verified_where_somebody_else_wrote_it(services):
    bob, alice = [await account(services, f"{name}@demo.test") for name in ("bob", "alice")]
    mail = Data(name="mail.eml", type="message/rfc822", content=True)
    await deliver(bob, "alice@demo.test", parts=[(mail, MAIL)])
    (row,) = await rows(alice, "/inbox")
    assert (row.subject, row.from_, row.author, row.verified) == (
        "From outside",
        "bob@demo.test",
        "Eve <eve@elsewhere.test>",
        False,
    )
    _, octets = await answers(alice, MboxFetch(path=parse_imid("/inbox::*"), raw=True))
    assert octets.partition(b"\n")[2] == MAIL + b"\n"
    own = MAIL.replace(b"eve@elsewhere.test", b"bob@demo.test")
    await deliver(bob, "alice@demo.test", parts=[(mail, own)])
    assert (await rows(alice, "/inbox"))[0].verified


async def test_nothing_hides_who_wrote_an_internet_mail(services):
    """Neither how its type is written, nor header fields before it, nor its size."""
    bob, alice = [await account(services, f"{name}@demo.test") for name in ("bob", "alice")]
    fields = (Data(name="h", headers=True), b"X-Ticket: 42\n")
    for kind in ("message/rfc822", "Message/RFC822", "message/rfc822; charset=utf-8"):
        mail = Data(name="mail.eml", type=kind, content=True)
        for octets in (MAIL, MAIL + b"line\r\n" * 60_000):
            await deliver(bob, "alice@demo.test", parts=[fields, (mail, octets)])
            (row, *_) = await rows(alice, "/inbox")
            assert (row.from_, row.author, row.verified) == ("bob@demo.test", "Eve <eve@elsewhere.test>", False)
            _, said = await answers(alice, MboxFetch(path=parse_imid(f"/inbox#{row.id}"), mime=True))
            assert b"".join(blocks_in(said)) == b"Sender: bob@demo.test\r\n" + octets


async def test_header_fields_given_with_the_message_fill_the_envelope(services):
    bob, alice = [await account(services, f"{name}@demo.test") for name in ("bob", "alice")]
    fields = b"Subject: Said in headers\nIn-Reply-To: a1\nX-Ticket: 42\n"
    parts = [(Data(name="h", headers=True), fields), ("body", b"hello", True)]
    await deliver(bob, "alice@demo.test", parts=parts)
    (message,) = await messages(alice, "/inbox::*")
    assert message.envelope.subject == "Said in headers"
    assert message.envelope.headers == {"x-ticket": "42"}
    assert [part.name for part in message.parts] == ["body"]


@pytest.mark.parametrize("fields", [b"From: eve@x.test\n", b"Verified: yes\n", b"no colon\n"])
async def test_header_fields_cannot_say_what_only_the_server_says(services, fields):
    bob = await account(services, "bob@demo.test")
    with pytest.raises(Refused) as error:
        await deliver(bob, "bob@demo.test", parts=[(Data(name="h", headers=True), fields), ("body", b"x", True)])
    assert error.value.word == "BAD-HEADERS"


async def test_what_the_command_says_of_the_thread_is_the_whole_of_it(services):
    bob, alice = [await account(services, f"{name}@demo.test") for name in ("bob", "alice")]
    fields = b"In-Reply-To: a1\nReferences: a0 a1\n"
    parts = [(Data(name="h", headers=True), fields), ("body", b"hello", True)]
    await deliver(bob, "alice@demo.test", parts=parts, in_reply_to=Reference("b1"))
    await deliver(bob, "alice@demo.test", parts=parts)
    headers, command = await messages(alice, "/inbox::*")
    assert (command.envelope.in_reply_to, command.envelope.references) == ("b1", ())
    assert (headers.envelope.in_reply_to, headers.envelope.references) == ("a1", ("a0", "a1"))
    assert [row.thread for row in await rows(alice, "/inbox")] == ["a0", "b1"]
    mail = Data(name="mail", type="message/rfc822", content=True)
    octets = b"From: bob@demo.test\r\nReferences: <a0> <a1>\r\n\r\nhi"
    await deliver(bob, "alice@demo.test", parts=[(mail, octets)], references=(Reference("c0"), Reference("c1")))
    assert (await messages(alice, "/inbox::*"))[0].envelope.references == ("c0", "c1")


async def test_ids_in_header_fields_are_bounded_as_those_of_the_command(services):
    """An id of 20,000 octets named the thread, and made an INDEX row that is longer than a line."""
    bob = await account(services, "bob@demo.test")
    for name in (b"References", b"In-Reply-To"):
        parts = [(Data(name="h", headers=True), name + b": " + b"x" * 20_000), ("body", b"x", True)]
        with pytest.raises(Refused) as error:
            await deliver(bob, "bob@demo.test", parts=parts)
        assert error.value.word == "BAD-HEADERS"
    many = b"References: " + b" ".join([b"r%d" % number for number in range(300)])
    await deliver(bob, "bob@demo.test", parts=[(Data(name="h", headers=True), many), ("body", b"x", True)])
    kept = (await messages(bob, "/inbox::*"))[0].envelope.references
    assert (len(kept), kept[0], kept[-1]) == (100, "r0", "r299")


async def test_more_references_than_a_message_keeps_are_refused(services):
    bob = await account(services, "bob@demo.test")
    with pytest.raises(Refused) as error:
        await deliver(bob, "bob@demo.test", references=tuple(Reference(f"r{number}") for number in range(101)))
    assert (error.value.code, error.value.word) == (Code.LIMIT, "TOO-MANY-REFERENCES")


async def test_a_message_without_content_is_refused(services):
    bob = await account(services, "bob@demo.test")
    with pytest.raises(Refused) as error:
        await deliver(bob, "bob@demo.test", parts=[("a.bin", b"123", False)])
    assert error.value.word == "NO-CONTENT"


async def test_put_places_a_message_with_flags_in_a_folder(services):
    bob = await account(services, "bob@demo.test")
    await bob.call(MboxPut(path=parse_imid("/drafts"), subject="Later", flags=(("DRAFT", True), ("READ", True))))
    await data(bob, Data(name="body", content=True), b"dear")
    reply = await bob.call(Done())
    (row,) = await rows(bob, "/drafts")
    assert reply.place == f"/drafts#{row.id}"
    assert row.flags == ("READ", "DRAFT")
    counts = await bob.call(MboxCheck(path=parse_imid("/drafts")))
    assert (counts.rows[0].u, counts.rows[0].t) == (0, 1)


async def test_put_with_a_keyword_keeps_it(services):
    bob = await account(services, "bob@demo.test")
    await bob.call(MboxPut(path=parse_imid("/archive"), flags=(("todo", True),)))
    await data(bob, Data(name="body", content=True), b"dear")
    await bob.call(Done())
    (row,) = await rows(bob, "/archive")
    assert row.flags == ("todo",)


async def test_an_open_message_that_nothing_is_added_to_expires(services):
    bob = await account(services, "bob@demo.test")
    await bob.call(Deliver(to=(parse_imid("bob@demo.test"),)))
    services.clock.seconds += services.limits.message_idle + 1
    bob.drafts.expire(services.clock.monotonic())
    with pytest.raises(Refused) as error:
        await bob.call(Done())
    assert error.value.word == "EXPIRED"


async def test_only_what_was_accepted_is_logged_so(tmp_path):
    log = RecordedLog()
    async with services_in(tmp_path, log=log) as services:
        bob = await account(services, "bob@demo.test")
        await deliver(bob, "bob@demo.test", id=ID)
        for _ in range(3):
            with pytest.raises(Refused):
                await deliver(bob, "bob@demo.test", id=ID, parts=[("body", b"other", True)])
    assert log.events == ["message accepted"]


async def test_a_cancelled_message_leaves_nothing_behind_in_what_is_shared(services):
    bob = await account(services, "bob@demo.test")
    errors = []
    for _ in range(3):
        request = Deliver(to=(parse_imid("bob@demo.test"),))
        draft = bob.arrive(None, request)
        part = bob.arrive(None, Data(name="body", content=True, length=5))
        draft.cancelled()
        part.whole(b"hello")
        with pytest.raises(Refused) as error:
            await answers(bob, part.request, part)
        errors.append(error.value)
    assert {error.word for error in errors} == {"CANCELLED"}
    assert len({id(error) for error in errors}) == 3


async def test_signs_that_could_forge_a_line_are_escapes_in_json_and_nothing_is_lost(services):
    alice, bob = await account(services, "alice@demo.test"), await account(services, "bob@demo.test")
    started = (await alice.call(MboxCheck(path=parse_imid("/inbox")))).rows[0].s
    subject = "a\u202egnp.exe \u2028 z\u061c"
    await deliver(bob, "alice@demo.test", parts=[("body", "\u2029".encode(), True)], subject=subject)

    async def shown() -> list[bytes]:
        path = parse_imid("/inbox::*")
        asked = (Watch(since=started), MboxIndex(path=path, json=True), MboxFetch(path=path, json=True, read=False))
        return [(await answers(alice, request))[1].splitlines()[-1].partition(b" ")[2] for request in asked]

    at_first = await shown()
    for octets in at_first:
        assert b"\\u202egnp" in octets
        assert not UNSAFE.search(octets.decode())
    assert msgspec.json.decode(at_first[1], type=IndexRow).subject == subject
    message = msgspec.json.decode(at_first[2], type=FetchedMessage)
    assert (message.envelope.subject, message.parts[0].data) == (subject, "\u2029")
    await services.store.write(keep_raw_row(RawRow()))
    assert await shown() == at_first
