"""Every conversation of this folder, played."""

from pathlib import Path

import pytest
from tests.sessions.player import play
from tests.sessions.script import read_file

FILES = sorted(Path(__file__).parent.glob("**/*.immp"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_conversation(path: Path, tmp_path: Path) -> None:
    await play(read_file(path), tmp_path)
