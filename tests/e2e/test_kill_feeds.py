"""kill -9 while feeds publish: an item that was answered reaches everybody who subscribed, once, and none is half."""

import random
from pathlib import Path

import pytest
from tests.killing_feeds import kill_while_publishing
from tests.process import ServerProcess

KILLS = 7
"""One feed, and the beginning of another."""


@pytest.mark.timeout(120)
async def test_no_item_is_lost_or_comes_twice(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    server = ServerProcess(tmp_path)
    try:
        _, acknowledged = await kill_while_publishing(server, range(1, KILLS + 1), seed)
    except Exception as error:
        error.add_note(f"python -m fuzz kill-feeds --count {KILLS} --seed {seed}")
        raise
    finally:
        if server.running:
            await server.kill()
    assert acknowledged, "nothing was acknowledged between start and kill"
