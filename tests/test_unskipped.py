"""What CI does with a skip."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("ci", "code"), [("1", 1), ("", 0)])
def test_a_skip_fails_in_ci_and_says_what_is_missing(tmp_path: Path, ci: str, code: int) -> None:
    one = tmp_path / "test_one.py"
    one.write_text("import pytest\n\ndef test_it():\n    pytest.skip('no such program here')\n")
    command = (
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        os.devnull,
        "-p",
        "tests.unskipped",
        "-p",
        "no:cacheprovider",
    )
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, one],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("In CI nothing is skipped. Skipped: no such program here" in done.stdout) == bool(ci)
