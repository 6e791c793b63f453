"""``make demo`` shows the main job through the installed commands, and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(180)
def test_the_demo_ticks_every_step(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "KEEP"}
    done = subprocess.run(
        [sys.executable, ROOT / "demo" / "demo.py"],
        capture_output=True,
        text=True,
        env={**environment, "TMPDIR": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") >= 11
    for step in ("the site knows", "a device reports", "left for good"):
        assert step in done.stdout
    assert "✗" not in done.stdout
    assert list(tmp_path.iterdir()) == []
