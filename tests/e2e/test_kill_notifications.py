"""kill -9 while notifications come due, repeat, end and are answered: nothing is lost, and nothing happens twice."""

import random
from pathlib import Path

import pytest
from tests.killing_notifications import hurried_server, kill_often

KILLS = 6


@pytest.mark.timeout(120)
async def test_no_notification_is_lost_none_is_shown_twice_and_each_answer_arrives_once(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    server, now = hurried_server(tmp_path)
    try:
        _, ledger = await kill_often(server, now, range(1, KILLS + 1), seed)
    except Exception as error:
        error.add_note(f"python -m fuzz kill-notifications --count {KILLS} --seed {seed}")
        raise
    finally:
        if server.running:
            await server.kill()
    assert ledger.answers, "nothing was answered between start and kill"
    assert ledger.silences, "no promise was broken"
