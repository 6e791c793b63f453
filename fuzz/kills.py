"""kill -9 by the hundred: the machinery of tests/e2e/test_kill.py, for longer."""

import shutil
import tempfile
import traceback
from pathlib import Path

from tests.killing import kill_often
from tests.process import ServerProcess

from immpd.app.folder import SOCKET

from .finding import FOUND, Found, Run

CHECK_EVERY = 10


async def kills(run: Run) -> str:
    """Kill a server under load and while it starts; every acknowledged message must be there, once and whole."""
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder))
        try:
            count, acknowledged = await kill_often(
                server, run.rounds(), run.seed, check_every=CHECK_EVERY, report=run.say
            )
        except Exception:
            kept = FOUND / f"{run.name}-{run.seed}" / "server"
            shutil.copytree(folder, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns(SOCKET))
            raise Found(f"the data folder and the log are kept in {kept}\n{traceback.format_exc()}") from None
        finally:
            if server.running:
                await server.kill()
    return f"{count} kills, {acknowledged} commands acknowledged, none lost"
