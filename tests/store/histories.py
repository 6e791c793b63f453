"""Random histories of a mailbox, beside a simple model: for the tests of every store, and for fuzz/store.py.

The model is a mailbox as lists in memory. After every step the store must show the same folders, counts and
messages in the same order; what the step reported must be what catching up tells; and a watcher that only
reads changes must come to the same mailbox.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.store.hearing import Heard
from tests.store.making import NOW, Box, a_delivery, make_box, new_id, target

from immpd.model.change import Change
from immpd.store.contract import Store
from immpd.store.errors import FolderExists, FolderNotEmpty, FolderSpecial
from immpd.store.mail.changes import ChangesSince, changes_since
from immpd.store.mail.deliver import deliver
from immpd.store.mail.filing import (
    CopyMessages,
    DeleteMessages,
    FlagMessages,
    MoveMessages,
    PurgeMessages,
    UndeleteMessages,
    copy,
    delete,
    flag,
    move,
    purge,
    undelete,
)
from immpd.store.mail.mailboxes import (
    CreateFolder,
    FolderAt,
    ListFolders,
    RemoveFolder,
    RenameFolder,
    create_folder,
    folder_at,
    folders,
    remove_folder,
    rename_folder,
)
from immpd.store.mail.messages import FetchPage, fetch_page

R = TypeVar("R")
SPECIAL = ("/INBOX", "/DRAFTS", "/SENT", "/JUNK", "/TRASH", "/ARCHIVE")
PATHS = ("/a", "/a/b", "/a/b/c", "/d", "/d/b")
FLAGS = st.integers(0, 31)
_addresses = itertools.count()

places = st.sampled_from((*SPECIAL, *PATHS))
picks = st.integers(0, 1000)


class Histories(RuleBasedStateMachine):
    """One mailbox a run, all in one store."""

    store: Store
    heard: Heard
    run: Callable[[Coroutine[Any, Any, Any]], Any]

    @initialize()
    def begin(self) -> None:
        self.box: Box = self.run(make_box(self.store, f"u{next(_addresses)}@a.example"))
        self.other: Box = self.run(make_box(self.store, f"u{next(_addresses)}@a.example"))
        self.numbers: dict[str, int] = {folder.path: folder.id for folder in self.listed()}
        self.folders: dict[str, list[bytes]] = {path: [] for path in SPECIAL}
        self.flags: dict[bytes, int] = {}
        self.words: dict[bytes, tuple[str, ...]] = {}
        self.origins: dict[bytes, list[str]] = {}
        self.elsewhere = 0
        self.state = 0
        self.watched: dict[int, dict[bytes, tuple[int, tuple[str, ...]]]] = {n: {} for n in self.numbers.values()}

    # ---------------------------------------------------------------- what the rules use

    def listed(self) -> Any:
        return self.run(self.store.read(folders(ListFolders(self.box.id))))

    def real(self, path: str) -> str:
        """A folder that exists: ``path``, or INBOX."""
        return path if path in self.folders else "/INBOX"

    def some(self, path: str, pick: int, count: int) -> tuple[bytes, ...]:
        """Some messages of a folder, in its order."""
        there = self.folders[path]
        if not there:
            return ()
        first = pick % len(there)
        return tuple(there[first : first + count])

    def told(self) -> list[Change]:
        """What a step told is what catching up tells."""
        page = self.run(self.store.read(changes_since(ChangesSince(self.box.id, self.state))))
        assert not page.more
        assert page.changes == self.heard.changes(self.box.id)
        self.state = page.cursor
        changes: list[Change] = page.changes
        return changes

    def drop_if_gone(self, ids: tuple[bytes, ...]) -> None:
        for one in ids:
            if not any(one in there for there in self.folders.values()):
                self.flags.pop(one)
                self.words.pop(one)
                self.origins.pop(one, None)

    # ---------------------------------------------------------------- the rules

    @rule(path=places, flags=FLAGS, count=st.integers(1, 3))
    def a_message_comes(self, path: str, flags: int, count: int) -> None:
        path = self.real(path)
        made = [target(self.box, self.numbers[path], flags=flags, keywords=("k",)) for _ in range(count)]

        async def all_at_once() -> None:
            await asyncio.gather(*[self.store.write(deliver(a_delivery(one))) for one in made])

        self.run(all_at_once())
        self.told()
        for one in made:
            self.folders[path].append(one.id)
            self.flags[one.id] = flags
            self.words[one.id] = ("k",)

    @rule(path=places, pick=picks, count=st.integers(1, 4), on=FLAGS, off=FLAGS, word=st.sampled_from(("", "w", "K")))
    def flags_change(self, path: str, pick: int, count: int, on: int, off: int, word: str) -> None:
        path = self.real(path)
        ids = self.some(path, pick, count)
        add, drop = ((word,), ()) if word == "w" else ((), (word,) if word else ())
        args = FlagMessages(self.box.id, self.numbers[path], ids, on, off, add, drop)
        self.run(self.store.write(flag(args)))
        self.told()
        for one in ids:
            self.flags[one] = self.flags[one] & ~off | on
            words = [name for name in self.words[one] if name.lower() not in {name.lower() for name in drop}]
            self.words[one] = tuple(dict.fromkeys([*words, *add]))

    @rule(path=places, into=places, pick=picks, count=st.integers(1, 4))
    def messages_move(self, path: str, into: str, pick: int, count: int) -> None:
        path, into = self.real(path), self.real(into)
        ids = self.some(path, pick, count)
        args = MoveMessages(self.box.id, self.numbers[path], self.numbers[into], ids, NOW)
        self.run(self.store.write(move(args)))
        self.told()
        self.model_move(path, into, ids)

    def model_move(self, path: str, target: str, ids: tuple[bytes, ...]) -> None:
        if path == target:
            return
        for one in ids:
            self.folders[path].remove(one)
            if one not in self.folders[target]:
                self.folders[target].append(one)
            if path == "/TRASH":
                self.origins.pop(one, None)
            if target == "/TRASH":
                self.origins.setdefault(one, []).append(path)

    @rule(path=places, into=places, pick=picks, count=st.integers(1, 4))
    def messages_are_copied(self, path: str, into: str, pick: int, count: int) -> None:
        path, into = self.real(path), self.real(into)
        ids = self.some(path, pick, count)
        args = CopyMessages(self.box.id, self.numbers[path], self.box.id, self.numbers[into], ids, now=NOW)
        copied = self.run(self.store.write(copy(args)))
        assert copied.ids == ids
        self.told()
        self.folders[into] += [one for one in ids if one not in self.folders[into]]

    @rule(path=places, pick=picks, count=st.integers(1, 4))
    def messages_are_copied_elsewhere(self, path: str, pick: int, count: int) -> None:
        path = self.real(path)
        ids = self.some(path, pick, count)
        new = tuple(new_id() for _ in ids)
        args = CopyMessages(self.box.id, self.numbers[path], self.other.id, self.other.inbox, ids, new, now=NOW)
        assert self.run(self.store.write(copy(args))).ids == new
        self.elsewhere += len(ids)
        self.told()

    @rule(path=places, pick=picks, count=st.integers(1, 4))
    def messages_are_deleted(self, path: str, pick: int, count: int) -> None:
        path = self.real(path)
        ids = self.some(path, pick, count)
        self.run(self.store.write(delete(DeleteMessages(self.box.id, self.numbers[path], ids, NOW))))
        self.told()
        self.model_move(path, "/TRASH", ids)

    @rule(pick=picks, count=st.integers(1, 4))
    def messages_are_taken_back(self, pick: int, count: int) -> None:
        ids = self.some("/TRASH", pick, count)
        self.run(self.store.write(undelete(UndeleteMessages(self.box.id, ids, NOW))))
        self.told()
        for one in ids:
            self.folders["/TRASH"].remove(one)
            back = {path for path in self.origins.pop(one, []) if path in self.folders}
            for path in sorted(back, key=lambda path: self.numbers[path]) or ["/INBOX"]:
                if one not in self.folders[path]:
                    self.folders[path].append(one)

    @rule(path=places, pick=picks, count=st.integers(1, 4))
    def messages_are_purged(self, path: str, pick: int, count: int) -> None:
        path = self.real(path)
        ids = self.some(path, pick, count)
        self.run(self.store.write(purge(PurgeMessages(self.box.id, self.numbers[path], ids))))
        self.told()
        for one in ids:
            self.folders[path].remove(one)
            if path == "/TRASH":
                self.origins.pop(one, None)
        self.drop_if_gone(ids)

    @rule(path=st.sampled_from(PATHS))
    def a_folder_is_made(self, path: str) -> None:
        args = CreateFolder(self.box.id, path, tuple(new_id() for _ in range(path.count("/"))))
        if path in self.folders:
            with pytest.raises(FolderExists):
                self.run(self.store.write(create_folder(args)))
            return
        self.run(self.store.write(create_folder(args)))
        for change in self.told():
            self.folders[change.path] = []
            self.numbers[change.path] = change.folder
        assert {path[:end] for end in range(2, len(path) + 1) if path[end : end + 1] in ("", "/")} <= set(self.folders)

    @precondition(lambda self: len(self.folders) > len(SPECIAL))
    @rule(pick=picks, new=st.sampled_from(PATHS))
    def a_folder_is_renamed(self, pick: int, new: str) -> None:
        own = [path for path in self.folders if path not in SPECIAL]
        old = own[pick % len(own)]
        args = RenameFolder(self.box.id, old, new, tuple(new_id() for _ in range(new.count("/"))))
        if new.startswith(f"{old}/") or (new != old and new in self.folders):
            with pytest.raises(FolderExists):
                self.run(self.store.write(rename_folder(args)))
            return
        self.run(self.store.write(rename_folder(args)))
        changes = self.told()
        moved = {path: new + path[len(old) :] for path in own if path == old or path.startswith(f"{old}/")}
        for change in changes:
            if change.kind == "created":
                self.folders[change.path] = []
                self.numbers[change.path] = change.folder
        self.folders = {moved.get(path, path): there for path, there in self.folders.items()}
        self.numbers = {moved.get(path, path): number for path, number in self.numbers.items()}
        self.origins = {one: [moved.get(path, path) for path in paths] for one, paths in self.origins.items()}

    @rule(path=places, force=st.booleans())
    def a_folder_is_removed(self, path: str, force: bool) -> None:
        path = self.real(path)
        args = RemoveFolder(self.box.id, path, NOW, force)
        below = sorted(one for one in self.folders if one.startswith(f"{path}/"))
        refused = (
            FolderSpecial
            if path in SPECIAL
            else FolderNotEmpty
            if not force and (below or self.folders[path])
            else None
        )
        if refused is not None:
            with pytest.raises(refused):
                self.run(self.store.write(remove_folder(args)))
            return
        while not self.run(self.store.write(remove_folder(args))):
            pass
        self.told()
        for one in (*below[::-1], path):
            self.model_move(one, "/TRASH", tuple(self.folders[one]))
        for one in (*below, path):
            del self.folders[one], self.numbers[one]
            # A folder made again under this path is another folder.
            self.origins = {id: [old for old in paths if old != one] for id, paths in self.origins.items()}

    # ---------------------------------------------------------------- what must hold

    @invariant()
    def the_store_shows_the_model(self) -> None:
        listed = self.listed()
        shown = {folder.path: (folder.id, folder.total, folder.unread) for folder in listed}
        expected = {
            path: (self.numbers[path], len(there), sum(1 for one in there if not self.flags[one] & 1))
            for path, there in self.folders.items()
        }
        assert shown == expected
        for path, there in self.folders.items():
            page = self.run(self.store.read(fetch_page(FetchPage(self.box.id, self.numbers[path], limit=1000))))
            assert [message.id for message in page.messages] == there[::-1]
            for message in page.messages:
                assert (message.flags, message.keywords) == (self.flags[message.id], self.words[message.id])
        found = self.run(self.store.read(folder_at(FolderAt(self.other.id, "/inbox"))))
        assert found.total == self.elsewhere

    def teardown(self) -> None:
        """A watcher that was away the whole time comes to the same mailbox."""
        if not hasattr(self, "box"):
            return
        watched = self.watched
        since, more = 0, True
        while more:
            page = self.run(self.store.read(changes_since(ChangesSince(self.box.id, since, span=7))))
            for change in page.changes:
                self.watch(watched, change)
            since, more = page.cursor, page.more
        real = {
            self.numbers[path]: {one: (self.flags[one], self.words[one]) for one in there}
            for path, there in self.folders.items()
        }
        assert watched == real

    @staticmethod
    def watch(watched: dict[int, dict[bytes, tuple[int, tuple[str, ...]]]], change: Change) -> None:
        """What a client does with a change."""
        state = (change.flags, change.keywords)
        if change.kind == "created":
            # A folder that is there all along is told of before anything in it.
            watched[change.folder] = {}
        elif change.kind == "removed":
            del watched[change.folder]
        elif change.kind in ("new", "copied", "moved"):
            if change.kind == "moved":
                watched[change.origin].pop(change.id, None)
            watched.setdefault(change.folder, {})[change.id] = state
        elif change.kind == "gone":
            watched[change.folder].pop(change.id, None)
        elif change.kind == "flags":
            for folder in change.folders:
                if change.id in watched[folder]:
                    watched[folder][change.id] = state


def run_histories(
    kind: type[RuleBasedStateMachine], store: Store, heard: Heard, runner: asyncio.Runner, *, examples: int, steps: int
) -> None:
    """So many histories of so many steps in one store that tells ``heard``; raises what does not agree."""

    class InThisStore(kind):  # type: ignore[misc, valid-type]
        pass

    InThisStore.store = store
    InThisStore.heard = heard
    InThisStore.run = staticmethod(runner.run)
    run_state_machine_as_test(
        InThisStore,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
