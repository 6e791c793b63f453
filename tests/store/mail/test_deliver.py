"""The delivery unit on every backend."""

import asyncio

import msgspec
import pytest
from tests.store.hearing import Heard
from tests.store.making import a_delivery, make_box, target

from immpd.store.accounts.directory import SetDisabled, set_disabled
from immpd.store.contract import Store
from immpd.store.errors import NoFolder, NoMailbox
from immpd.store.mail.deliver import Delivered, Delivery, deliver, retry_key
from immpd.store.mail.mailboxes import FolderAt, folder_at
from immpd.store.mail.messages import FetchIds, FetchPage, IndexPage, fetch_ids, fetch_page, index_page

KEY = retry_key("b.example", "bob@b.example", "alice@a.example", "0190b4c0-0000-7000-8000-000000000000")


def outcomes(results: tuple[Delivered, ...]) -> list[str]:
    return list(results)


async def test_a_message_lies_in_the_folder_with_all_it_came_with(store: Store, heard: Heard) -> None:
    box = await make_box(store, "alice@a.example")
    one = target(box, flags=2, private=b'["carol@c.example"]', keywords=("Work", "later"))
    delivery = a_delivery(one, body=b"Hi Alice")
    assert await store.write(deliver(delivery)) == ("delivered",)
    (change,) = heard.changes()
    assert (change.kind, change.state, change.folder, change.id) == ("new", 1, box.inbox, one.id)
    (message,) = await store.read(fetch_ids(FetchIds(box.id, box.inbox, (one.id,), with_folders=True)))
    assert (message.octets, message.envelope, message.parts) == (b"Hi Alice", delivery.envelope, delivery.parts)
    assert (message.flags, message.keywords, message.private) == (2, ("Work", "later"), b'["carol@c.example"]')
    assert message.folders == ("/INBOX",)
    inbox = await store.read(folder_at(FolderAt(box.id, "/Inbox")))
    assert inbox is not None
    assert (inbox.total, inbox.unread, inbox.state) == (1, 1, 1)


async def test_one_content_serves_all_targets(store: Store) -> None:
    alice, carol = await make_box(store, "alice@a.example"), await make_box(store, "carol@a.example")
    sent = target(alice, alice.to.sent, flags=1)
    to = (target(alice, key=b"1" * 20), target(carol, key=b"2" * 20), sent)
    assert outcomes(await store.write(deliver(a_delivery(*to)))) == ["delivered"] * 3
    contents = set()
    for box, folder in ((alice, alice.inbox), (alice, alice.to.sent), (carol, carol.inbox)):
        page = await store.read(fetch_page(FetchPage(box.id, folder)))
        contents |= {message.content for message in page.messages}
    assert len(contents) == 1
    folder = await store.read(folder_at(FolderAt(alice.id, "/SENT")))
    assert folder is not None
    assert (folder.total, folder.unread) == (1, 0)


async def test_the_same_id_is_delivered_once_and_makes_no_second_copy_in_sent(store: Store, heard: Heard) -> None:
    box = await make_box(store, "alice@a.example")
    for expected in (["delivered", "delivered"], ["duplicate", "skipped"]):
        to = (target(box, key=KEY), target(box, box.to.sent, flags=1))
        assert outcomes(await store.write(deliver(a_delivery(*to)))) == expected
    results = await store.write(deliver(a_delivery(target(box, key=KEY), body=b"other")))
    assert outcomes(results) == ["reused"]
    assert [change.folder for change in heard.changes()] == [box.inbox, box.to.sent]


async def test_a_recipient_that_is_new_still_gets_it(store: Store) -> None:
    alice, carol = await make_box(store, "alice@a.example"), await make_box(store, "carol@a.example")
    await store.write(deliver(a_delivery(target(alice, key=KEY))))
    to = (target(alice, key=KEY), target(carol, key=b"c" * 20), target(alice, alice.to.sent, flags=1))
    assert outcomes(await store.write(deliver(a_delivery(*to)))) == ["duplicate", "delivered", "delivered"]


async def test_duplicates_inside_one_batch_and_one_delivery(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    results = await asyncio.gather(*[store.write(deliver(a_delivery(target(box, key=KEY)))) for _ in range(5)])
    assert [outcomes(result) for result in results] == [["delivered"], *[["duplicate"]] * 4]
    other = (target(box, key=b"k" * 20), target(box, key=b"k" * 20))
    assert outcomes(await store.write(deliver(a_delivery(*other)))) == ["delivered", "duplicate"]


async def test_a_folder_that_went_away_means_inbox(store: Store, heard: Heard) -> None:
    box = await make_box(store, "alice@a.example")
    batch = [a_delivery(target(box)), a_delivery(target(box, 999_999)), a_delivery(target(box))]
    await asyncio.gather(*[store.write(deliver(one)) for one in batch])
    assert [(change.folder, change.state) for change in heard.changes()] == [(box.inbox, state) for state in (1, 2, 3)]


async def test_a_folder_of_somebody_else_is_no_folder(store: Store, heard: Heard) -> None:
    alice, carol = await make_box(store, "alice@a.example"), await make_box(store, "carol@a.example")
    await store.write(deliver(a_delivery(target(alice, carol.inbox))))
    assert [(change.mailbox, change.folder) for change in heard.changes()] == [(alice.id, alice.inbox)]


async def test_no_mailbox_and_no_inbox(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    missing = msgspec.structs.replace(target(box), mailbox=999_999)
    lost = msgspec.structs.replace(target(box), folder=999_999, fallback=999_999)
    batch: list[Delivery] = [a_delivery(missing), a_delivery(target(box)), a_delivery(lost)]
    results = await asyncio.gather(*[store.write(deliver(one)) for one in batch], return_exceptions=True)
    assert isinstance(results[0], NoMailbox)
    assert not isinstance(results[1], BaseException)
    assert isinstance(results[2], NoFolder)


@pytest.mark.parametrize("count", [1, 7, 1500])
async def test_many_at_once_arrive_in_order(store: Store, heard: Heard, count: int) -> None:
    box = await make_box(store, "alice@a.example")
    made = [target(box, key=n.to_bytes(20, "big")) for n in range(count)]
    await asyncio.gather(*[store.write(deliver(a_delivery(one))) for one in made])
    assert [(change.state, change.id) for change in heard.changes()] == list(enumerate([one.id for one in made], 1))
    page = await store.read(index_page(IndexPage(box.id, box.inbox, "/INBOX", store.epoch, limit=5)))
    assert [msgspec.json.decode(row)["state"] for row in page.rows] == [
        f"{store.epoch}.{count - n}" for n in range(min(5, count))
    ]


# --- disabled meanwhile


async def test_an_account_that_was_disabled_gets_nothing(store: Store) -> None:
    alice, bob = await make_box(store, "alice@a.example"), await make_box(store, "bob@a.example")
    await store.write(set_disabled(SetDisabled("alice@a.example", True)))
    copy = target(bob, bob.to.sent, flags=1, is_copy=True)
    to_alice = target(alice, key=KEY)
    assert outcomes(await store.write(deliver(a_delivery(to_alice, copy)))) == ["closed", "skipped"]
    assert outcomes(await store.write(deliver(a_delivery(target(alice), copy)))) == ["closed", "skipped"]
    to_bob = target(bob, key=b"2" * 20)
    assert outcomes(await store.write(deliver(a_delivery(to_alice, to_bob, copy)))) == [
        "closed",
        "delivered",
        "delivered",
    ]
    for box, folder, total in ((alice, "/INBOX", 0), (bob, "/INBOX", 1), (bob, "/SENT", 1)):
        found = await store.read(folder_at(FolderAt(box.id, folder)))
        assert found is not None
        assert found.total == total, folder
    # What was refused may be sent again once it is enabled.
    await store.write(set_disabled(SetDisabled("alice@a.example", False)))
    assert outcomes(await store.write(deliver(a_delivery(to_alice)))) == ["delivered"]


async def test_in_a_batch_only_who_was_disabled_gets_nothing(store: Store) -> None:
    alice, bob = await make_box(store, "alice@a.example"), await make_box(store, "bob@a.example")
    await store.write(set_disabled(SetDisabled("alice@a.example", True)))
    results = await asyncio.gather(
        *[store.write(deliver(a_delivery(target(box), body=b"%d" % n))) for n in range(10) for box in (alice, bob)]
    )
    assert [outcomes(one) for one in results] == [["closed"], ["delivered"]] * 10


async def test_what_a_mailbox_has_already_becomes_a_message_all_the_same(store: Store) -> None:
    alice = await make_box(store, "alice@a.example")
    await store.write(set_disabled(SetDisabled("alice@a.example", True)))
    inside = msgspec.structs.replace(a_delivery(target(alice)), is_inside=True)
    assert outcomes(await store.write(deliver(inside))) == ["delivered"]
