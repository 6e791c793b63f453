"""Whatever happens in whatever order: what a mailbox shows and what watchers are told agree with a simple model."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis.stateful import RuleBasedStateMachine
from tests.store.hearing import Heard
from tests.store.histories import Histories, run_histories
from tests.store.notification_histories import NotificationHistories

from immpd.store.integrity.verify import verify
from immpd.store.mail.bodies import BodyFiles
from immpd.store.sqlite.engine import open_sqlite


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize("kind", [Histories, NotificationHistories])
@pytest.mark.timeout(120)
def test_random_histories(backend: str, kind: type[RuleBasedStateMachine]) -> None:
    assert backend == "sqlite"
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder:
        heard = Heard()
        store = runner.run(open_sqlite(Path(folder), audience=heard))
        files = BodyFiles(Path(folder) / "bodies")
        try:
            run_histories(kind, store, heard, runner, examples=40, steps=30)
            assert runner.run(verify(store, files)) == []
        finally:
            files.close()
            runner.run(store.close())
