"""Folders and counts, on every backend."""

import pytest
from tests.store.hearing import Heard
from tests.store.making import NOW, Box, fill, make_box, new_id, put

from immpd.model.names import folder_key
from immpd.store.contract import Store
from immpd.store.errors import FolderExists, FolderNotEmpty, FolderSpecial, NoFolder, NoMailbox, StateConflict
from immpd.store.mail.mailboxes import (
    ByMailbox,
    CountFolders,
    CreateFolder,
    Folder,
    FolderAt,
    FolderPage,
    ListFolders,
    RemoveFolder,
    RenameFolder,
    count_folders,
    create_folder,
    folder_at,
    folder_page,
    folders,
    mailbox_row,
    remove_folder,
    rename_folder,
)


def uuids(path: str) -> tuple[bytes, ...]:
    return tuple(new_id() for _ in range(path.count("/")))


async def make(store: Store, box: Box, path: str) -> Folder:
    return await store.write(create_folder(CreateFolder(box.id, path, uuids(path))))


async def paths(store: Store, box: Box) -> list[str]:
    return [folder.path for folder in await store.read(folders(ListFolders(box.id)))][6:]


async def test_a_folder_is_made_with_its_parents(store: Store, heard: Heard) -> None:
    box = await make_box(store, "alice@a.example")
    await make(store, box, "/Lists/python/dev")
    assert [(change.kind, change.path, change.state) for change in heard.changes()] == [
        ("created", "/Lists", 1),
        ("created", "/Lists/python", 2),
        ("created", "/Lists/python/dev", 3),
    ]
    again = await make(store, box, "/lists/rust")
    assert again.path == "/Lists/rust"
    assert await paths(store, box) == ["/Lists", "/Lists/python", "/Lists/python/dev", "/Lists/rust"]
    with pytest.raises(FolderExists):
        await make(store, box, "/LISTS/Python")
    with pytest.raises(FolderExists):
        await make(store, box, "/inbox")


def test_paths_are_compared_without_case_and_composition() -> None:
    assert folder_key("/Straße/CAFÉ") == folder_key("/STRASSE/cafe\u0301")


async def test_a_rename_takes_subfolders_along(store: Store, heard: Heard) -> None:
    box = await make_box(store, "alice@a.example")
    for path in ("/a/b/c", "/a/d", "/ab", "/a0"):
        await make(store, box, path)
    heard.changes()
    await store.write(rename_folder(RenameFolder(box.id, "/A", "/x/Y", uuids("/x/Y"))))
    assert [(change.kind, change.old_path, change.path) for change in heard.changes()] == [
        ("created", "", "/x"),
        ("renamed", "/a", "/x/Y"),
        ("renamed", "/a/b", "/x/Y/b"),
        ("renamed", "/a/b/c", "/x/Y/b/c"),
        ("renamed", "/a/d", "/x/Y/d"),
    ]
    assert await paths(store, box) == ["/a0", "/ab", "/x", "/x/Y", "/x/Y/b", "/x/Y/b/c", "/x/Y/d"]


async def test_a_rename_may_change_the_case_only(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    await make(store, box, "/lists")
    await store.write(rename_folder(RenameFolder(box.id, "/lists", "/Lists", uuids("/Lists"))))
    assert await paths(store, box) == ["/Lists"]


async def test_renames_that_are_refused(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    for path in ("/a", "/b"):
        await make(store, box, path)
    for path, new_path, error in (
        ("/a", "/B", FolderExists),
        ("/a", "/a/b", FolderExists),
        ("/none", "/c", NoFolder),
        ("/inbox", "/c", FolderSpecial),
    ):
        with pytest.raises(error):
            await store.write(rename_folder(RenameFolder(box.id, path, new_path, uuids(new_path))))
    with pytest.raises(StateConflict):
        await store.write(rename_folder(RenameFolder(box.id, "/b", "/c", uuids("/c"), if_state=1)))
    assert await paths(store, box) == ["/a", "/b"]


async def test_folders_come_by_pages_the_six_first_then_by_path_or_those_below_one(store: Store) -> None:
    box = await make_box(store, "alice@a.example")
    made = await make(store, box, "/a/B")
    await put(store, box, made.id)
    await put(store, box, made.id, flags=1)
    for path in ("/a/c/d", "/a0", "/inbox/below", "/Z"):
        await make(store, box, path)
    every = await store.read(folders(ListFolders(box.id)))
    for limit in (1, 2, 3, 100):
        found: list[Folder] = []
        after: str | None = ""
        while after is not None:
            page, after = await store.read(folder_page(FolderPage(box.id, after, limit=limit)))
            found += page
        assert found == every
        below: list[Folder] = []
        after = ""
        while after is not None:
            page, after = await store.read(folder_page(FolderPage(box.id, after, "/A", limit)))
            below += page
        assert [folder.path for folder in below] == ["/a/B", "/a/c", "/a/c/d"]
    assert (below[0].total, below[0].unread, below[0].state) == (2, 1, 4)
    assert await store.read(count_folders(CountFolders(box.id))) == len(every) == 13


async def test_removing_a_folder_moves_its_messages_to_trash_by_steps(store: Store, heard: Heard) -> None:
    box = await make_box(store, "alice@a.example")
    for path in ("/a/b", "/a/c"):
        made = await make(store, box, path)
    for _ in range(3):
        await put(store, box, made.id)
    with pytest.raises(FolderNotEmpty):
        await store.write(remove_folder(RemoveFolder(box.id, "/a", NOW)))
    with pytest.raises(FolderNotEmpty):
        await store.write(remove_folder(RemoveFolder(box.id, "/a/c", NOW)))
    heard.changes()
    assert not await store.write(remove_folder(RemoveFolder(box.id, "/a", NOW, force=True)))
    assert [change.kind for change in heard.changes()] == ["moved"] * 3
    assert await store.write(remove_folder(RemoveFolder(box.id, "/a", NOW, force=True)))
    assert [change.path for change in heard.changes()] == ["/a/c", "/a/b", "/a"]
    trash = await store.read(folder_at(FolderAt(box.id, "/trash")))
    assert trash is not None
    assert trash.total == 3
    with pytest.raises(FolderSpecial):
        await store.write(remove_folder(RemoveFolder(box.id, "/TRASH", NOW, force=True)))
    with pytest.raises(NoFolder):
        await store.write(remove_folder(RemoveFolder(box.id, "/a", NOW, force=True)))


async def test_a_large_folder_is_emptied_in_bounded_steps(store: Store, heard: Heard) -> None:
    box = await make_box(store, "alice@a.example")
    made = await make(store, box, "/large")
    moved = await fill(store, box, 1)
    assert moved
    for _ in range(250):
        await put(store, box, made.id)
    heard.changes()
    steps = []
    is_gone = False
    while not is_gone:
        is_gone = await store.write(remove_folder(RemoveFolder(box.id, "/large", NOW, force=True)))
        steps.append(len(heard.changes()))
    assert steps == [200, 50, 1]


async def test_no_mailbox(store: Store) -> None:
    with pytest.raises(NoMailbox):
        await store.read(mailbox_row(ByMailbox(999_999)))
    with pytest.raises(NoMailbox):
        await store.write(create_folder(CreateFolder(999_999, "/a", uuids("/a"))))
