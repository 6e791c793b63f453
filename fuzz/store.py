"""Long random histories of the store, while power fails: tests/store has the histories, the model and the disk."""

import asyncio
import itertools
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import rule
from tests.store.hearing import Heard
from tests.store.histories import Histories, run_histories
from tests.store.notification_histories import NotificationHistories
from tests.store.unsynced_vfs import Disk, UnsyncedVFS, develop

from immpd.store.contract import Store
from immpd.store.integrity.verify import verify
from immpd.store.mail.bodies import BodyFiles
from immpd.store.mail.changes import ChangesSince, changes_since
from immpd.store.sqlite.engine import Limits, open_sqlite

from .finding import Found, Run

SMALL = Limits(wal=256 << 10, checkpoint=64 << 10)
"""So small that the WAL is copied and reset many times under way."""
EXAMPLES, STEPS = 8, 40
_folders = itertools.count()


class PowerFails:
    """Of histories: power fails after any step."""

    disk: Disk
    folder: Path
    store: Store
    run: Callable[..., Any]
    the_store_shows_the_model: Callable[[], None]

    def recovered(self, files: dict[str, bytes], look: Any) -> None:
        """Open a store on what the platter had; it must be sound, and ``look`` at it."""
        folder = self.folder / f"after{next(_folders)}"
        develop(files, folder)
        own, bodies = self.store, BodyFiles(folder / "bodies")
        self.store = self.run(open_sqlite(folder))
        try:
            assert self.run(verify(self.store, bodies)) == []
            look()
        finally:
            bodies.close()
            self.run(self.store.close())
            self.store = own

    @rule(torn=st.booleans(), chance=st.integers(0, 1 << 30))
    def power_fails_after_a_step(self, torn: bool, chance: int) -> None:
        """Everything was answered: the store must show the model."""
        files = self.disk.photograph(random.Random(chance) if torn else None)
        self.recovered(files, self.the_store_shows_the_model)


class FailingNotifications(PowerFails, NotificationHistories):
    """Of notifications, after any step."""


class Failing(PowerFails, Histories):
    """Of mail, also between any two writes to the disk."""

    @rule(data=st.data(), nth=st.integers(1, 12), torn=st.booleans(), chance=st.integers(0, 1 << 30))
    def power_fails_during_a_delivery(self, data: Any, nth: int, torn: bool, chance: int) -> None:
        """What was answered before is there; the delivery may be, as a whole."""
        taken: list[dict[str, bytes]] = []
        calls = itertools.count(1)

        def each() -> None:
            if next(calls) == nth:
                taken.append(self.disk.photograph(random.Random(chance) if torn else None))

        self.disk.each = each
        before = self.state
        try:
            self.a_message_comes("/INBOX", 0, 3)
        finally:
            self.disk.each = lambda: None

        def look() -> None:
            page = self.run(self.store.read(changes_since(ChangesSince(self.box.id, before))))
            assert page.cursor - before in range(4), f"from {before} to {page.cursor}"

        for files in taken:
            self.recovered(files, look)


async def store(run: Run) -> str:
    """The store agrees with its model, and after a power failure too."""
    return await asyncio.to_thread(_run, run)  # the histories have a loop of their own


def _run(run: Run) -> str:
    number = 0
    for _ in run.rounds():
        number += 1
        with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder, UnsyncedVFS() as vfs:
            (Path(folder) / "disk").mkdir()
            heard = Heard()
            made = runner.run(open_sqlite(Path(folder) / "disk", vfs=vfs.name, limits=SMALL, audience=heard))
            bodies = BodyFiles(Path(folder) / "bodies")

            kind: type[Any] = FailingNotifications if number % 2 == 0 else Failing

            class OnThisDisk(kind):  # type: ignore[misc, valid-type]
                pass

            OnThisDisk.disk, OnThisDisk.folder = vfs.disk, Path(folder)
            try:
                seeded(run.chosen.getrandbits(32))(OnThisDisk)
                run_histories(OnThisDisk, made, heard, runner, examples=EXAMPLES, steps=STEPS)
                assert runner.run(verify(made, bodies)) == []
            except Exception as error:
                steps = getattr(error, "__notes__", [])  # hypothesis writes the shortest history there
                raise Found("\n".join([f"{type(error).__name__}: {error}", *steps])) from error
            finally:
                bodies.close()
                runner.run(made.close())
    return f"{number * EXAMPLES} histories of up to {STEPS} steps"
