"""Sending: parts in order, large ones side by side, and nothing half."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from immpd.client import Attachment, Client, Refused, at, composing, link, new_id
from immpd.client.composing import compose_parts, imids_of
from immpd.model.message import FetchedMessage
from immpd.protocol.codes import Code
from immpd.protocol.commands import Watch
from immpd.service.settings import Limits

pytestmark = pytest.mark.asyncio(loop_scope="module")
Login = Callable[..., Awaitable[Client]]


async def _newest(me: Client) -> FetchedMessage:
    page = await me.index_page("/inbox", limit=1)
    (message,) = [one async for one in me.fetch(at("/inbox", page.rows[0].id))]
    return message


async def test_a_short_message(account, login: Login) -> None:
    alice, bob = await account(), await account("bob")
    me, other = await login(alice), await login(bob)
    delivered = await me.send([bob.address, alice.address], "Lunch?", "At twelve; really.", important=True)
    assert [(row.imid, row.outcome) for row in delivered.rows] == [
        (bob.address, "delivered"),
        (alice.address, "delivered"),
    ]
    message = await _newest(other)
    assert message.envelope.id == delivered.id
    assert (message.envelope.from_, message.envelope.importance) == (alice.address, "high")
    assert message.parts[0].data == "At twelve; really."


async def test_copies_and_blind_copies(account, login: Login) -> None:
    alice, bob, carol = await account(), await account("bob"), await account("carol")
    me = await login(alice)
    await me.send(bob.address, "Hi", "x", cc=[carol.address], bcc=alice.address)
    envelope = (await _newest(await login(carol))).envelope
    assert (envelope.to, envelope.cc, envelope.bcc) == ((bob.address,), (carol.address,), ())


async def test_parts_keep_their_order_whatever_their_size(account, login: Login, tmp_path: Path) -> None:
    alice = await account()
    me = await login(alice)
    sizes = [300_000, 10, 2_000_000, 65_536, 65_537, 0, 700_000, 1, 200_000, 200_000, 200_000, 200_000, 200_000]
    files = []
    for number, size in enumerate(sizes):
        files.append(tmp_path / f"{number:02}.bin")
        files[-1].write_bytes(bytes([number]) * size)
    await me.send(alice.address, "Files", "see there", attachments=files)
    message = await _newest(me)
    assert [part.name for part in message.parts] == ["", *(file.name for file in files)]
    assert [part.length for part in message.parts[1:]] == sizes
    assert [part.part_class for part in message.parts] == ["content"] + ["attachment"] * len(sizes)
    for number, size in enumerate(sizes):
        octets = b"".join([piece async for piece in me.fetch_part(at("/inbox", message.id), number + 2)])
        assert octets == bytes([number]) * size


async def test_small_calls_overtake_an_upload(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    sending = asyncio.ensure_future(me.send(alice.address, attachments=[bytes(32 << 20)]))
    calls = 0
    while not sending.done():
        await me.noop()
        calls += 1
    assert (await sending).rows[0].outcome == "delivered"
    assert calls > 10


async def test_without_a_free_pipeline_parts_go_one_after_the_other(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    watches = [me.stream(Watch()) for _ in range(link.PIPELINES - 1)]
    for watch in watches:
        await anext(watch)
    await me.send(alice.address, attachments=[bytes(200_000), bytes(100_000)])
    assert [part.length for part in (await _newest(me)).parts] == [0, 200_000, 100_000]


async def test_many_messages_at_once(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    sends = (me.send(alice.address, str(n), attachments=[bytes(70_000), bytes(70_000)]) for n in range(100))
    await asyncio.wait_for(asyncio.gather(*sends), 30)
    assert (await me.check("/inbox"))[0].t == 100


async def test_sending_again_with_the_same_id_delivers_once(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    message = new_id()
    first = await me.send(alice.address, "Hi", "x", id=message)
    again = await me.send(alice.address, "Hi", "x", id=str(message))
    assert first.id == again.id == str(message)
    assert again.rows[0].text == "Delivered before"
    assert (await me.check("/inbox"))[0].t == 1
    with pytest.raises(Refused) as caught:
        await me.send(alice.address, "Hi", "something else", id=message)
    assert caught.value.word == "ID-REUSED"


async def test_an_internet_mail_arrives_octet_for_octet(account, login: Login, tmp_path: Path) -> None:
    alice = await account()
    me = await login(alice)
    mail = f"From: {alice}\r\nSubject: From the old world\r\n\r\n".encode() + b"Line\r\n" * 50_000
    (tmp_path / "old.eml").write_bytes(mail)
    for source in (mail, tmp_path / "old.eml"):
        await me.send(alice.address, eml=source)
        page = await me.index_page("/inbox", limit=1)
        assert page.rows[0].subject == "From the old world"
        assert b"".join([block.octets async for block in me.raw(at("/inbox", page.rows[0].id))]) == mail


# --- what goes wrong


async def test_some_recipients_may_be_refused(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    delivered = await me.send([alice.address, "nobody@a.test", "x@elsewhere.test"], text="x")
    assert [(row.outcome, row.code) for row in delivered.rows] == [
        ("delivered", 273),
        ("refused", 404),
        ("refused", 451),
    ]


async def test_a_refused_message_says_why_and_leaves_nothing_open(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    for attachments in ([], [b"x"], [bytes(5 << 20)]):
        with pytest.raises(Refused) as caught:
            await me.send("nobody@a.test", text="x", attachments=attachments)
        assert (caught.value.code, caught.value.word) == (Code.NOT_FOUND, "NO-RECIPIENT")
    assert (await me.send(alice.address, text="x")).rows[0].outcome == "delivered"
    assert len(me.link._unused) == link.PIPELINES


async def test_too_large_is_known_before_anything_is_sent(serve, login: Login) -> None:
    other = await serve(domains=("b.test",), limits=Limits(max_message=100_000, max_parts=3))
    bob = await other.add_account("bob")
    host, port = other.listen
    me = await login(bob, server=f"{host}:{port}")
    with pytest.raises(Refused) as caught:
        await me.send(bob.address, attachments=[bytes(100_001)])
    assert caught.value.word == "TOO-LARGE"
    with pytest.raises(Refused) as caught:
        await me.send(bob.address, attachments=[b"1", b"2", b"3"])
    assert caught.value.word == "TOO-MANY-PARTS"
    await me.send(bob.address, attachments=[bytes(99_000)])


async def test_a_file_that_goes_on_the_way_delivers_nothing(account, login: Login, tmp_path: Path) -> None:
    alice = await account()
    me = await login(alice)
    files = [tmp_path / f"{number}.bin" for number in range(composing.SIDE_BY_SIDE + 1)]
    for file in files:
        with file.open("wb") as opened:
            opened.truncate(4 << 20)
    sending = asyncio.ensure_future(me.send(alice.address, attachments=files))
    await me.noop()  # the first are on their way, the last is opened when one of them has arrived
    files[-1].unlink()
    with pytest.raises(FileNotFoundError):
        await sending
    assert (await me.check("/inbox"))[0].t == 0
    assert (await me.send(alice.address, text="x", attachments=files[:-1])).rows[0].outcome == "delivered"
    assert (await me.check("/inbox"))[0].t == 1
    assert len(me.link._unused) == link.PIPELINES


async def test_giving_up_in_the_middle_delivers_nothing(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    sending = asyncio.ensure_future(me.send(alice.address, attachments=[bytes(64 << 20)]))
    for _ in range(10):
        await me.noop()
    assert not sending.done()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert (await me.check("/inbox"))[0].t == 0
    assert (await me.send(alice.address, text="x")).rows[0].outcome == "delivered"


async def test_a_file_that_is_not_there_is_found_out_first(account, login: Login, tmp_path: Path) -> None:
    me = await login(await account())
    with pytest.raises(FileNotFoundError):
        await me.send("nobody@a.test", attachments=[tmp_path / "no such file"])


# --- parts and recipients as values


async def test_types_are_guessed_from_names() -> None:
    parts = compose_parts(
        "x",
        [
            Attachment(source=b"1", name="a.pdf"),
            Attachment(source=b"2", name="a"),
            Attachment(source=b"3", name="a.html", type="text/html; charset=utf-8", content=True),
            b"4",
        ],
        None,
    )
    assert [(part.name, part.type, part.content) for part in parts] == [
        ("", "text/plain", True),
        ("a.pdf", "application/pdf", False),
        ("a", "application/octet-stream", False),
        ("a.html", "text/html; charset=utf-8", True),
        ("attachment-4", "application/octet-stream", False),
    ]


async def test_what_excludes_another() -> None:
    with pytest.raises(ValueError, match="whole"):
        compose_parts("x", [], b"From: x")
    with pytest.raises(ValueError, match="media type"):
        compose_parts("x", [Attachment(source=b"", type="pdf")], None)


async def test_one_recipient_or_several() -> None:
    assert imids_of("Bob@a.test") == imids_of(["bob@A.test"]) == imids_of(imids_of("bob@a.test"))


async def test_ids_sort_by_time() -> None:
    ids = [new_id() for _ in range(100)]
    assert {one.version for one in ids} == {7}
    assert len(set(ids)) == 100
