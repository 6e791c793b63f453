"""kill -9 at any instant: what was acknowledged is there afterwards, once, and nothing is there half."""

import random
from pathlib import Path

import pytest
from tests.killing import kill_often
from tests.process import ServerProcess

KILLS = 10


@pytest.mark.timeout(120)
async def test_no_acknowledged_message_is_lost_and_none_is_half(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    server = ServerProcess(tmp_path)
    try:
        _, acknowledged = await kill_often(server, range(1, KILLS + 1), seed, check_every=KILLS + 1)
    except Exception as error:
        error.add_note(f"python -m fuzz kills --count {KILLS} --seed {seed}")
        raise
    finally:
        if server.running:
            await server.kill()
    assert acknowledged, "nothing was acknowledged between start and kill"
