"""Flags, move, copy, delete, undelete, purge, on every backend."""

import asyncio

import pytest
from tests.store.hearing import Heard
from tests.store.making import NOW, Box, fill, make_box, new_id, put

from immpd.model.flags import MAX_KEYWORDS, Flag
from immpd.store.contract import Store
from immpd.store.errors import NoFolder, NoMessage, StateConflict, TooManyKeywords, TooMuch
from immpd.store.mail.filing import (
    CopyMessages,
    DeleteMessages,
    ExpireTrash,
    FlagMessages,
    MoveMessages,
    PurgeMessages,
    UndeleteMessages,
    copy,
    delete,
    expire_trash,
    flag,
    move,
    purge,
    undelete,
)
from immpd.store.mail.mailboxes import CreateFolder, RemoveFolder, create_folder, remove_folder
from immpd.store.mail.messages import FetchIds, FetchPage, IdsPage, Stored, fetch_ids, fetch_page, ids_page
from immpd.store.units import Tx, read_unit

DAY = 86_400_000


@read_unit
def contents(tx: Tx, args: None) -> int:
    row = tx.one("SELECT count(*) FROM content")
    assert row is not None
    return int(row[0])


async def ids_in(store: Store, folder: int) -> list[bytes]:
    return (await store.read(ids_page(IdsPage(folder, reverse=True)))).ids


async def one_of(store: Store, box: Box, folder: int, id: bytes) -> Stored:
    return (await store.read(fetch_ids(FetchIds(box.id, folder, (id,), with_folders=True))))[0]


async def make_folder(store: Store, box: Box, path: str) -> int:
    uuids = tuple(new_id() for _ in range(path.count("/")))
    return (await store.write(create_folder(CreateFolder(box.id, path, uuids)))).id


async def trash_of(store: Store, box: Box) -> int:
    from immpd.store.mail.mailboxes import FolderAt, folder_at

    folder = await store.read(folder_at(FolderAt(box.id, "/TRASH")))
    assert folder is not None
    return folder.id


async def test_flags_reach_every_folder_the_message_lies_in(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    lists = await make_folder(store, box, "/lists")
    one = await put(store, box)
    await store.write(copy(CopyMessages(box.id, box.inbox, box.id, lists, (one,))))
    (change,) = await store.write(flag(FlagMessages(box.id, lists, (one,), on=int(Flag.READ), add=("Todo",))))
    assert (change.kind, change.flags, change.keywords) == ("flags", int(Flag.READ), ("Todo",))
    assert set(change.folders) == {box.inbox, lists}
    for folder in (box.inbox, lists):
        message = await one_of(store, box, folder, one)
        assert (message.flags, message.keywords, message.state) == (int(Flag.READ), ("Todo",), change.state)
        assert message.folders == ("/INBOX", "/lists")


async def test_what_does_not_change_is_not_told(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    first, second = await fill(store, box, 2)
    assert len(await store.write(flag(FlagMessages(box.id, box.inbox, (first,), on=int(Flag.READ))))) == 1
    changes = await store.write(flag(FlagMessages(box.id, box.inbox, (first, second), on=int(Flag.READ))))
    assert [change.id for change in changes] == [second]
    assert await store.write(flag(FlagMessages(box.id, box.inbox, (first, second), on=int(Flag.READ)))) == ()
    add = FlagMessages(box.id, box.inbox, (first,), add=("Work",))
    assert len(await store.write(flag(add))) == 1
    assert await store.write(flag(FlagMessages(box.id, box.inbox, (first,), add=("WORK",)))) == ()
    (change,) = await store.write(flag(FlagMessages(box.id, box.inbox, (first,), off=1, drop=("work",))))
    assert (change.flags, change.keywords) == (0, ())


async def test_many_callers_flag_in_one_batch(store: Store) -> None:
    boxes = [await make_box(store, f"u{n}@a.example") for n in range(3)]
    made = [(box, one) for box in boxes for one in await fill(store, box, 4)]
    units = [flag(FlagMessages(box.id, box.inbox, (one,), on=int(Flag.READ))) for box, one in made]
    missing = flag(FlagMessages(boxes[0].id, boxes[0].inbox, (b"?" * 16,), on=1))
    results = await asyncio.gather(*map(store.write, [*units, *units, missing]), return_exceptions=True)
    changes = [result for result in results[:-1] if not isinstance(result, BaseException)]
    assert [len(some) for some in changes] == [1] * 12 + [0] * 12
    assert isinstance(results[-1], NoMessage)
    assert [change.state for some in changes[:12] for change in some] == [5, 6, 7, 8] * 3


async def test_a_move_takes_the_message_with_all_it_has(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    lists = await make_folder(store, box, "/lists")
    one = await put(store, box, flags=int(Flag.READ), keywords=("a",))
    (change,) = await store.write(move(MoveMessages(box.id, box.inbox, lists, (one,), NOW)))
    assert (change.kind, change.folder, change.origin) == ("moved", lists, box.inbox)
    assert await ids_in(store, box.inbox) == []
    message = await one_of(store, box, lists, one)
    assert (message.flags, message.keywords, message.folders) == (int(Flag.READ), ("a",), ("/lists",))
    assert await store.write(move(MoveMessages(box.id, lists, lists, (one,), NOW))) == ()
    with pytest.raises(NoFolder):
        await store.write(move(MoveMessages(box.id, lists, 999_999, (one,), NOW)))


async def test_a_move_to_where_it_lies_already_only_leaves(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    lists = await make_folder(store, box, "/lists")
    one = await put(store, box)
    await store.write(copy(CopyMessages(box.id, box.inbox, box.id, lists, (one,))))
    (change,) = await store.write(move(MoveMessages(box.id, box.inbox, lists, (one,), NOW)))
    assert (change.kind, change.folder) == ("gone", box.inbox)
    assert await ids_in(store, lists) == [one]


async def test_missing_ids_and_newer_states_stop_the_whole_unit(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    first, second = await fill(store, box, 2)
    with pytest.raises(NoMessage) as caught:
        await store.write(delete(DeleteMessages(box.id, box.inbox, (first, b"?" * 16), NOW)))
    assert caught.value.ids == (b"?" * 16,)
    await store.write(flag(FlagMessages(box.id, box.inbox, (second,), on=1)))
    with pytest.raises(StateConflict) as conflict:
        await store.write(delete(DeleteMessages(box.id, box.inbox, (first, second), NOW, if_state=2)))
    assert conflict.value.ids == (second,)
    assert await ids_in(store, box.inbox) == [first, second]
    assert len(await store.write(delete(DeleteMessages(box.id, box.inbox, (first, second), NOW, if_state=3)))) == 2
    with pytest.raises(TooMuch):
        await store.write(flag(FlagMessages(box.id, box.inbox, tuple(new_id() for _ in range(201)))))


async def test_a_copy_in_the_mailbox_is_the_same_message(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    lists = await make_folder(store, box, "/lists")
    one = await put(store, box)
    copied = await store.write(copy(CopyMessages(box.id, box.inbox, box.id, lists, (one,))))
    assert copied.ids == (one,)
    assert [change.kind for change in copied.changes] == ["copied"]
    assert (await store.write(copy(CopyMessages(box.id, box.inbox, box.id, lists, (one,))))).changes == ()
    await store.write(purge(PurgeMessages(box.id, box.inbox, (one,))))
    assert await store.read(contents(None)) == 1
    await store.write(purge(PurgeMessages(box.id, lists, (one,))))
    assert await store.read(contents(None)) == 0


async def test_a_copy_to_another_mailbox_has_new_ids_and_no_secrets(store: Store) -> None:
    alice, team = await make_box(store, "alice@a.example"), await make_box(store, "team@a.example")
    first, second = await fill(store, alice, 2)
    new = (new_id(), new_id())
    copied = await store.write(
        copy(CopyMessages(alice.id, alice.inbox, team.id, team.inbox, (first, second), new, now=NOW + 5))
    )
    assert copied.ids == new
    assert [(change.kind, change.mailbox, change.state) for change in copied.changes] == [
        ("new", team.id, 1),
        ("new", team.id, 2),
    ]
    page = await store.read(fetch_page(FetchPage(team.id, team.inbox)))
    assert [message.id for message in page.messages] == [new[1], new[0]]
    assert all(message.private is None for message in page.messages)
    await store.write(purge(PurgeMessages(alice.id, alice.inbox, (first, second))))
    assert await store.read(contents(None)) == 2


async def test_deleted_messages_go_back_where_they_were(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    trash = await trash_of(store, box)
    lists, gone = await make_folder(store, box, "/lists"), await make_folder(store, box, "/gone")
    one, other = await put(store, box), await put(store, box, gone)
    await store.write(copy(CopyMessages(box.id, box.inbox, box.id, lists, (one,))))
    await store.write(delete(DeleteMessages(box.id, box.inbox, (one,), NOW)))
    (change,) = await store.write(delete(DeleteMessages(box.id, lists, (one,), NOW)))
    assert (change.kind, change.folder) == ("gone", lists)
    await store.write(move(MoveMessages(box.id, gone, trash, (other,), NOW)))
    assert await store.write(remove_folder(RemoveFolder(box.id, "/gone", NOW)))
    assert await ids_in(store, trash) == [one, other]
    assert await store.write(delete(DeleteMessages(box.id, trash, (one,), NOW))) == ()
    changes = await store.write(undelete(UndeleteMessages(box.id, (one, other), NOW)))
    assert [(change.kind, change.folder) for change in changes] == [
        ("moved", box.inbox),
        ("copied", lists),
        ("moved", box.inbox),
    ]
    assert await ids_in(store, trash) == []
    assert await ids_in(store, box.inbox) == [one, other]
    assert await ids_in(store, lists) == [one]


async def test_trash_is_emptied_after_its_time(store: Store, heard: Heard) -> None:
    box = await make_box(store, "alice@a.example")
    trash = await trash_of(store, box)
    made = await fill(store, box, 5)
    await store.write(delete(DeleteMessages(box.id, box.inbox, tuple(made[:3]), NOW)))
    await store.write(delete(DeleteMessages(box.id, box.inbox, (made[3],), NOW + 2 * DAY)))
    await store.write(undelete(UndeleteMessages(box.id, (made[0],), NOW)))
    heard.changes()
    assert await store.write(expire_trash(ExpireTrash(NOW + DAY, limit=1)))
    assert [change.kind for change in heard.changes()] == ["gone"]
    assert not await store.write(expire_trash(ExpireTrash(NOW + DAY, limit=5)))
    assert [change.id for change in heard.changes()] == [made[2]]
    assert await ids_in(store, trash) == [made[3]]
    assert await ids_in(store, box.inbox) == [made[4], made[0]]
    assert await store.read(contents(None)) == 3


async def test_a_second_deletion_counts_from_its_own_time(store: Store, heard: Heard) -> None:
    box = await make_box(store, "alice@a.example")
    lists = await make_folder(store, box, "/lists")
    one = await put(store, box)
    await store.write(copy(CopyMessages(box.id, box.inbox, box.id, lists, (one,))))
    await store.write(delete(DeleteMessages(box.id, box.inbox, (one,), NOW)))
    await store.write(delete(DeleteMessages(box.id, lists, (one,), NOW + 20 * DAY)))
    heard.changes()
    await store.write(expire_trash(ExpireTrash(NOW + DAY)))
    assert heard.changes() == []


async def test_what_was_in_a_removed_folder_comes_back_to_inbox_and_not_to_the_next_folder(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    one = await put(store, box, await make_folder(store, box, "/a"))
    while not await store.write(remove_folder(RemoveFolder(box.id, "/a", NOW, True))):
        pass
    other = await make_folder(store, box, "/b")
    await store.write(undelete(UndeleteMessages(box.id, (one,), NOW)))
    assert (await ids_in(store, box.inbox), await ids_in(store, other)) == ([one], [])


async def test_a_message_has_a_bounded_number_of_keywords(store):
    box = await make_box(store, "a@a.test")
    one, other = await fill(store, box, 2)
    many = tuple(f"k{n}" for n in range(MAX_KEYWORDS))
    await store.write(flag(FlagMessages(box.id, box.inbox, (one,), add=many)))
    units = [flag(FlagMessages(box.id, box.inbox, (id,), add=("more", "K1"))) for id in (one, other)]
    results = await asyncio.gather(*[store.write(unit) for unit in units], return_exceptions=True)
    assert isinstance(results[0], TooManyKeywords)
    assert len((await one_of(store, box, box.inbox, one)).keywords) == MAX_KEYWORDS
    assert (await one_of(store, box, box.inbox, other)).keywords == ("more", "K1")
    await store.write(flag(FlagMessages(box.id, box.inbox, (one,), add=("more", "K1"), drop=("k0",))))
