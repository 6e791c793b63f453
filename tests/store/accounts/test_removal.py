"""Removing an account, on every backend."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from tests.store.conftest import Kept
from tests.store.feeds.test_nodes import FIRST, an_item, fan_out, make_node
from tests.store.making import NOW, Box, a_delivery, make_box, new_account, new_id, put, target
from tests.store.notifying import a_token, at, by, pushed

from immpd.model.flags import Flag
from immpd.model.notification import Level
from immpd.store.accounts.directory import (
    ByAddress,
    FindRecipient,
    ListAccounts,
    LogIn,
    SetDisabled,
    SetVerifier,
    account_by_address,
    account_for_login,
    add_account,
    list_accounts,
    recipient,
    set_disabled,
    set_verifier,
)
from immpd.store.accounts.removal import RemovalStep, RemoveAccount, RemoveSome, remove_account, remove_some
from immpd.store.contract import Store
from immpd.store.errors import AddressConfusable, AddressRetired, NoAccount, OwnsNodes
from immpd.store.feeds.fanout import next_outstanding
from immpd.store.feeds.items import publish
from immpd.store.feeds.members import SetMember, add_member
from immpd.store.feeds.nodes import DAY, ByNode, RemoveNode, node_by_imid, remove_node
from immpd.store.feeds.subscriptions import Subscribe, subscribe
from immpd.store.integrity.verify import verify
from immpd.store.mail.bodies import BodyFiles, unlink_doomed
from immpd.store.mail.changes import SetPositions, set_positions
from immpd.store.mail.deliver import BodyFile, deliver
from immpd.store.mail.filing import CopyMessages, DeleteMessages, PurgeMessages, copy, delete, purge
from immpd.store.mail.mailboxes import CreateFolder, create_folder
from immpd.store.push.consent import Allow, NewGrant, SetSetting, add_grant, allow, set_setting
from immpd.store.units import Tx, read_unit

SMALL = RemoveSome(messages=2, rows=3, authored=2)


class Left(msgspec.Struct, frozen=True):
    """Arguments of ``left``."""

    account: int
    mailbox: int
    address: str


_OF_MAILBOX = (
    *(
        "folder",
        "folder_count",
        "message_place",
        "change",
        "gone",
        "trashed",
        "notification",
        "push_allow",
        "push_request",
    ),
    *("push_token", "push_grant", "setting", "push_answer", "subscription", "position", "removal"),
)


@read_unit
def left(tx: Tx, args: Left) -> dict[str, int]:
    """How many rows each table has of an account, its row and the mailbox's aside; only where there are any."""
    ask = {table: f"SELECT count(*) FROM {table} WHERE mailbox = :mailbox" for table in _OF_MAILBOX}
    ask["author"] = "SELECT count(*) FROM notification WHERE author = :mailbox"
    ask["member"] = "SELECT count(*) FROM node_member WHERE address = :address"
    ask["placement"] = "SELECT count(*) FROM placement WHERE folder NOT IN (SELECT id FROM folder)"
    given = msgspec.structs.asdict(args)
    found = {what: tx.rows(sql, given)[0][0] for what, sql in ask.items()}
    return {what: count for what, count in found.items() if count}


async def left_of(store: Store, box: Box) -> dict[str, int]:
    return await store.read(left(Left(box.account.id, box.id, box.account.address)))


async def finish(store: Store) -> list[str]:
    """Go on until nothing is left; the accounts that were finished."""
    steps = [RemovalStep(more=True)]
    while steps[-1].more:
        steps.append(await store.write(remove_some(SMALL)))
    return [step.finished for step in steps if step.finished]


async def test_a_removed_account_is_closed_at_once_and_its_address_never_given_again(store: Store) -> None:
    await make_box(store, "alice@a.example")
    await store.write(remove_account(RemoveAccount("alice@a.example", NOW)))
    for when in ("before", "after"):
        assert await store.read(account_by_address(ByAddress("alice@a.example"))) is None, when
        assert await store.read(recipient(FindRecipient("alice@a.example"))) is None
        assert await store.read(list_accounts(ListAccounts())) == []
        found = await store.read(account_for_login(LogIn("alice@a.example", b"")))
        assert (found.account.disabled, found.account.stored_key, found.account.sealed) == (True, b"", None)
        with pytest.raises(AddressRetired):
            await store.write(add_account(new_account("alice@a.example")))
        with pytest.raises(AddressConfusable):
            await store.write(add_account(new_account("a1ice@a.example", skeleton="alice")))
        for unit in (
            set_disabled(SetDisabled("alice@a.example", False)),
            set_verifier(SetVerifier("alice@a.example", b"s", 600_000, b"k", b"v")),
            remove_account(RemoveAccount("alice@a.example", NOW)),
        ):
            with pytest.raises(NoAccount):
                await store.write(unit)
        await finish(store)


async def test_what_is_on_its_way_does_not_reach_a_removed_account(store: Store) -> None:
    alice, bob = await make_box(store, "alice@a.example"), await make_box(store, "bob@a.example")
    await store.write(remove_account(RemoveAccount("alice@a.example", NOW)))
    both = await store.write(deliver(a_delivery(target(alice), target(bob))))
    assert both == ("closed", "delivered")
    with pytest.raises(NoAccount):
        await make_node(store, alice, "alice/late@a.example")
    await finish(store)
    both = await store.write(deliver(a_delivery(target(alice), target(bob))))
    assert both == ("closed", "delivered")


async def test_an_account_that_owns_nodes_is_not_removed(store: Store) -> None:
    alice = await make_box(store, "alice@a.example")
    names = [f"alice/n{number:02}@a.example" for number in range(11)]
    for name in names:
        await make_node(store, alice, name, most=20)
    with pytest.raises(OwnsNodes) as caught:
        await store.write(remove_account(RemoveAccount("alice@a.example", NOW)))
    assert (caught.value.names, caught.value.more) == (tuple(names[:10]), True)
    assert await store.read(account_by_address(ByAddress("alice@a.example"))) is not None
    for name in names:
        await store.write(remove_node(RemoveNode(name, alice.account.id, NOW)))
    await store.write(remove_account(RemoveAccount("alice@a.example", NOW)))


async def furnish(store: Store, files: BodyFiles) -> tuple[Box, Box]:
    """Alice has something of everything, and shares messages with bob."""
    alice, bob = await make_box(store, "alice@a.example"), await make_box(store, "bob@a.example")
    for number, boxes in enumerate(((alice,), (alice, bob))):
        writer = await files.create(f"file-{number}")
        await writer.write(b"x" * 10)
        await writer.finish()
        file = BodyFile(f"file-{number}", 2, 10)
        await store.write(deliver(a_delivery(*[target(box) for box in boxes], files=(file,))))
    ids = [await put(store, alice, flags=int(Flag.READ) * (number % 2)) for number in range(7)]
    await store.write(create_folder(CreateFolder(alice.id, "/lists/python", (new_id(), new_id()))))
    sent, inbox = alice.to.sent, alice.inbox
    await store.write(copy(CopyMessages(alice.id, inbox, alice.id, sent, tuple(ids[:3]))))
    await store.write(delete(DeleteMessages(alice.id, inbox, tuple(ids[2:4]), NOW)))
    await store.write(purge(PurgeMessages(alice.id, inbox, (ids[4],))))
    for sender, to in ((by(bob), alice), (by(alice), bob), (by(alice), bob)):
        await pushed(store, sender, to)
    await a_token(store, alice)
    await store.write(allow(Allow(alice.id, "site.example", True, int(Level.NORMAL), NOW)))
    await store.write(set_setting(SetSetting(alice.id, "push.floor", "low")))
    await store.write(add_grant(NewGrant(alice.id, "code", "", 1, None, NOW)))
    await make_node(store, bob, "bob/news@a.example")
    await store.write(add_member(SetMember("bob/news@a.example", bob.account.id, "alice@a.example", True, NOW, 9)))
    for box in (alice, bob):
        name = box.account.address
        await store.write(subscribe(Subscribe("bob/news@a.example", box.id, name, new_id(), "message", 0, NOW, 9)))
    await store.write(publish(an_item(bob, "bob/news@a.example")))
    await store.write(set_positions(SetPositions(alice.account.id, "phone", "w", ((alice.id, 1, 0),))))
    return alice, bob


async def test_all_goes_in_steps_and_the_store_is_sound_after_each(kept: Kept, tmp_path: Path) -> None:
    files = BodyFiles(tmp_path / "bodies")
    store = kept.store
    alice, bob = await furnish(store, files)
    before = await left_of(store, bob)
    had = await left_of(store, alice)
    assert set(had) == {
        *(
            "folder",
            "folder_count",
            "message_place",
            "change",
            "gone",
            "trashed",
            "notification",
            "author",
            "push_allow",
        ),
        *("push_token", "push_grant", "setting", "subscription", "member", "position"),
    }
    await store.write(remove_account(RemoveAccount("alice@a.example", NOW)))
    assert "push_token" not in await left_of(store, alice)
    steps, step = 0, RemovalStep(more=True)
    while step.more:
        step = await store.write(remove_some(SMALL))
        steps += 1
        assert await verify(store, files) == []
        if steps % 10 == 0:
            store = await kept.reopen()  # another process goes on where this one stopped
    assert steps > 15
    assert await left_of(store, alice) == {}
    del before["author"]  # alice has his notification no longer
    assert await left_of(store, bob) == before
    assert {path.name for path in files.folder.iterdir()} == {"file-0", "file-1"}
    assert await unlink_doomed(store, files) == 1
    assert {path.name for path in files.folder.iterdir()} == {"file-1"}
    node = await store.read(node_by_imid(ByNode("bob/news@a.example")))
    assert node is not None
    assert (node.subscribers, node.by_mail) == (1, 1)
    # What is on its way to subscribers, and what was to be done at a time, meets nobody.
    while await store.read(next_outstanding(FIRST)) is not None:
        await fan_out(store)
    await at(store, NOW + 60 * DAY)
    assert await left_of(store, alice) == {}
    assert await verify(store, files) == []
    files.close()


async def test_a_step_may_run_twice_and_accounts_go_one_after_the_other(store: Store) -> None:
    boxes = [await make_box(store, f"{name}@a.example") for name in "abc"]
    for box in boxes:
        await put(store, box)
        await store.write(remove_account(RemoveAccount(box.account.address, NOW)))
    await asyncio.gather(*[store.write(remove_some(SMALL)) for _ in range(4)])
    assert sorted(await finish(store)) == ["a@a.example", "b@a.example", "c@a.example"]
    assert await store.write(remove_some(SMALL)) == RemovalStep(more=False)
    for box in boxes:
        assert await left_of(store, box) == {}
