"""Accounts on every backend."""

import pytest
from tests.store.making import new_account

from immpd.store.accounts.directory import (
    ROLES,
    ByAddress,
    FindRecipient,
    ListAccounts,
    SetDisabled,
    SetVerifier,
    account_by_address,
    add_account,
    list_accounts,
    recipient,
    set_disabled,
    set_verifier,
)
from immpd.store.contract import Store
from immpd.store.errors import AccountExists, AddressConfusable, NoAccount
from immpd.store.mail.mailboxes import ByMailbox, ListFolders, folders, mailbox_row


async def test_an_account_comes_with_its_mailbox_and_six_folders(store: Store) -> None:
    account = await store.write(add_account(new_account("alice@a.example")))
    assert await store.read(account_by_address(ByAddress("alice@a.example"))) == account
    made = await store.read(folders(ListFolders(account.mailbox)))
    assert [folder.role for folder in made] == list(ROLES)
    assert [folder.path for folder in made] == ["/INBOX", "/DRAFTS", "/SENT", "/JUNK", "/TRASH", "/ARCHIVE"]
    assert all((folder.total, folder.unread, folder.state) == (0, 0, 0) for folder in made)
    mailbox = await store.read(mailbox_row(ByMailbox(account.mailbox)))
    assert (mailbox.kind, mailbox.address, mailbox.state) == ("account", "alice@a.example", 0)


async def test_an_address_is_taken_once_and_so_is_its_look(store: Store) -> None:
    await store.write(add_account(new_account("alice@a.example")))
    with pytest.raises(AccountExists):
        await store.write(add_account(new_account("alice@a.example")))
    with pytest.raises(AddressConfusable) as caught:
        await store.write(add_account(new_account("a1ice@a.example", skeleton="alice")))
    assert caught.value.address == "alice@a.example"
    await store.write(add_account(new_account("alice@b.example")))


async def test_unknown_accounts(store: Store) -> None:
    assert await store.read(account_by_address(ByAddress("nobody@a.example"))) is None
    assert await store.read(recipient(FindRecipient("nobody@a.example"))) is None
    with pytest.raises(NoAccount):
        await store.write(set_disabled(SetDisabled("nobody@a.example", True)))
    with pytest.raises(NoAccount):
        await store.write(set_verifier(SetVerifier("nobody@a.example", b"s", 600_000, b"k", b"v")))


async def test_a_verifier_can_be_replaced_and_an_account_disabled(store: Store) -> None:
    await store.write(add_account(new_account("alice@a.example")))
    set_ = await store.write(set_verifier(SetVerifier("alice@a.example", b"t" * 16, 700_000, b"1", b"2", b"3")))
    changed = set_.account
    assert (changed.salt, changed.iterations, changed.stored_key, changed.server_key, changed.sealed) == (
        b"t" * 16,
        700_000,
        b"1",
        b"2",
        b"3",
    )
    assert (await store.write(set_disabled(SetDisabled("alice@a.example", True)))).disabled is True
    found = await store.read(recipient(FindRecipient("alice@a.example")))
    assert found is not None
    assert found.disabled
    assert (await store.write(set_disabled(SetDisabled("alice@a.example", False)))).disabled is False


async def test_accounts_are_listed_by_pages(store: Store) -> None:
    for name in ("c@a.example", "a@a.example", "b@a.example", "a@b.example"):
        await store.write(add_account(new_account(name)))
    page = await store.read(list_accounts(ListAccounts("a.example", limit=2)))
    assert [account.address for account in page] == ["a@a.example", "b@a.example"]
    page = await store.read(list_accounts(ListAccounts("a.example", after="b@a.example")))
    assert [account.address for account in page] == ["c@a.example"]
    assert len(await store.read(list_accounts(ListAccounts()))) == 4


async def test_a_recipient_knows_its_folders(store: Store) -> None:
    account = await store.write(add_account(new_account("alice@a.example")))
    by_role = {folder.role: folder.id for folder in await store.read(folders(ListFolders(account.mailbox)))}
    found = await store.read(recipient(FindRecipient("alice@a.example", "/junk")))
    assert found is not None
    assert (found.mailbox, found.inbox, found.sent) == (account.mailbox, by_role["inbox"], by_role["sent"])
    assert (found.folder, found.folder_role) == (by_role["junk"], "junk")
    found = await store.read(recipient(FindRecipient("alice@a.example", "/inbox/nowhere")))
    assert found is not None
    assert (found.folder, found.folder_role) == (0, None)
