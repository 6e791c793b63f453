"""immpd.service: systemd understands it, and it shuts the server in.

Rule: where systemd-analyze is not installed, the unit is the very one that it has understood before.
"""

import configparser
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "docs" / "examples" / "immpd.service"
IMMPD = Path(sys.executable).parent / "immpd"
MOST = 2.0
"""The exposure that systemd-analyze may see, of 10, as docs/how-to/systemd.md says."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with the program of this environment."""
    made = tmp_path / UNIT.name
    made.write_text(UNIT.read_text().replace("/usr/local/bin/immpd", str(IMMPD)))
    return made


UNDERSTOOD = "6b837b18e622443e2b33d21ca26ac2f910179c3c013a087c04d382d43bed4b34"
"""SHA-256 of the unit that systemd-analyze has understood."""


def analyze(*words: object) -> subprocess.CompletedProcess[str] | None:
    """What systemd-analyze says; None where it is not here and has nothing new to say."""
    said = "The unit has changed: with systemd-analyze (apt-get install systemd) try it, then write its SHA-256 here"
    assert hashlib.sha256(UNIT.read_bytes()).hexdigest() == UNDERSTOOD, said
    program = shutil.which("systemd-analyze")
    if program is None:
        return None
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False)


def test_systemd_understands_it(unit: Path) -> None:
    done = analyze("verify", "--man=no", unit)
    if done is not None:
        assert (done.returncode, str(unit.parent) in done.stderr) == (0, False), done.stderr


def test_it_is_shut_in(unit: Path) -> None:
    done = analyze("security", "--offline=yes", "--no-pager", unit)
    if done is None:
        return
    found = re.search(r"Overall exposure level for immpd.service: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= MOST


def test_it_says_what_the_server_says() -> None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names as they are written
    parser.read(UNIT)
    service = parser["Service"]
    assert service["Type"] == "notify"
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    program, command, option, folder = service["ExecStart"].split()
    assert (Path(program).name, command, option) == ("immpd", "serve", "--data")
    assert folder == f"/var/lib/{service['StateDirectory']}"
    assert service["StateDirectoryMode"] == "0700"
