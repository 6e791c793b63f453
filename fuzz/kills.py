"""kill -9 by the hundred: the machinery of tests/e2e/test_kill*.py, for longer."""

import shutil
import tempfile
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests import killing_notifications
from tests.killing import kill_often
from tests.killing_feeds import kill_while_publishing
from tests.process import ServerProcess

from immpd.app.folder import SOCKET

from .finding import FOUND, Found, Run

CHECK_EVERY = 10


async def kills(run: Run) -> str:
    """Kill a server under load and while it starts; every acknowledged message must be there, once and whole."""

    async def work(server: ServerProcess) -> tuple[int, int]:
        return await kill_often(server, run.rounds(), run.seed, check_every=CHECK_EVERY, report=run.say)

    with tempfile.TemporaryDirectory() as folder:
        return await _killed(run, ServerProcess(Path(folder)), work)


async def kill_feeds(run: Run) -> str:
    """Kill a server while a feed is published; every acknowledged item must reach every reader, once and whole."""
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder))
        return await _killed(run, server, lambda server: kill_while_publishing(server, run.rounds(), run.seed))


async def kill_notifications(run: Run) -> str:
    """Kill a server while timers run and notifications are answered; none may be lost, and nothing happens twice."""

    with tempfile.TemporaryDirectory() as folder:
        server, now = killing_notifications.hurried_server(Path(folder))

        async def work(server: ServerProcess) -> tuple[int, int]:
            count, ledger = await killing_notifications.kill_often(server, now, run.rounds(), run.seed, report=run.say)
            run.say(f"{len(ledger.shown)} shown, {len(ledger.answers)} answers heard")
            return count, ledger.acknowledged

        return await _killed(run, server, work)


async def _killed(run: Run, server: ServerProcess, work: Callable[[ServerProcess], Awaitable[tuple[int, int]]]) -> str:
    try:
        count, acknowledged = await work(server)
    except Exception:
        kept = FOUND / f"{run.name}-{run.seed}" / "server"
        shutil.copytree(server.folder, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns(SOCKET))
        raise Found(f"the data folder and the log are kept in {kept}\n{traceback.format_exc()}") from None
    finally:
        if server.running:
            await server.kill()
    return f"{count} kills, {acknowledged} commands acknowledged, none lost, none twice"
