"""``immpd`` without a server: exit codes, one clear line an error, and the store opened here."""

import io
import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from immpd.app.compose import open_certificates
from immpd.app.configuration import read_configuration
from immpd.app.folder import Lock
from immpd.commands.operator.main import main
from immpd.net.certificates import CertificateFiles, ensure_self_signed
from immpd.protocol.scram_keys import MAX_PASSWORD

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def data(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder made by init, and named in the environment."""
    folder = tmp_path / "data"
    assert main(["init", "--data", str(folder), "--domain", "a.test"]) == 0
    capsys.readouterr()
    monkeypatch.setenv("IMMPD_DATA", str(folder))
    return folder


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]):
    """Runs a command that must fail with one line; returns (exit code, line)."""

    def run(*words: str) -> tuple[int, str]:
        code = main(words)
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("immpd: ")
        assert said.err.count("\n") == 1
        return code, said.err

    return run


def typed(monkeypatch: pytest.MonkeyPatch, *passwords: str) -> None:
    """A person at a terminal types these."""
    left = iter(passwords)
    keyboard = io.StringIO()
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)
    monkeypatch.setattr("os.isatty", lambda _: True)
    monkeypatch.setattr("getpass.getpass", lambda _: next(left))


def given(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Standard input is no terminal and has this text."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_init_makes_a_private_folder(tmp_path, capsys):
    folder = tmp_path / "new" / "data"
    assert main(["init", "--data", str(folder), "--domain", "A.test", "--domain", "b.test"]) == 0
    text = (folder / "immpd.toml").read_text()
    assert 'domains = ["a.test", "b.test"]' in text
    assert "on this machine only" in capsys.readouterr().out
    assert main(["init", "--data", str(tmp_path / "open"), "--domain", "a.test", "--listen", ":1025"]) == 0
    assert "this machine" not in capsys.readouterr().out
    assert 'listen = [":1025"]\nlisten_tls = []\n' in (tmp_path / "open" / "immpd.toml").read_text()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_init_overwrites_nothing(data, fails):
    before = (data / "immpd.toml").read_text()
    code, line = fails("init", "--domain", "b.test")
    assert code != 0
    assert "nothing was changed" in line
    assert (data / "immpd.toml").read_text() == before


@pytest.mark.parametrize(
    "words",
    [
        ("serve-me",),
        ("account", "add"),
        ("account", "list", "--jsn"),
        ("init",),
        ("init", "--domain", "not a domain"),
        ("serve", "--listen", "nowhere"),
        ("init", "--data", "elsewhere", "--domain", "a.test", "--listen-tls", "nowhere"),
        ("account", "disable", "alice"),
        ("account", "remove", "alice", "--yes"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_2(data, fails, words):
    assert fails(*words)[0] == 2


@pytest.mark.parametrize("group", ["account", "sessions"])
def test_a_group_alone_lists(data, capsys, group):
    assert main([group]) == main([group, "--json"]) == main([group, "list"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main([group, "--help"]) == 0
    assert "Usage: immpd" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [("account", "add"), ("account", "disable"), ("sessions", "list"), ("backup",), ("restore",)]
)
def test_help_describes_every_argument_and_no_default_that_is_none(capsys, words):
    assert main([*words, "--help"]) == 0
    said = capsys.readouterr().out
    assert "default:" not in said
    assert any(one in said for one in ("name@domain", "A folder", "The folder"))


def test_no_data_folder_says_what_makes_one(tmp_path, fails):
    code, line = fails("account", "list", "--data", str(tmp_path / "no"))
    assert code == 2
    assert "immpd init makes it" in line


def test_an_account_from_its_making_to_its_end(data, capsys, monkeypatch, fails):
    given(monkeypatch, "wonderland\n")
    assert main(["account", "add", "alice@a.test", "--password-stdin"]) == 0
    assert main(["account", "disable", "alice@a.test"]) == 0
    capsys.readouterr()
    assert main(["account", "list", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["address"], row["disabled"], row["password"]) == ("alice@a.test", True, True)
    assert main(["account", "enable", "alice@a.test"]) == 0
    assert main(["check"]) == 0
    capsys.readouterr()
    assert main(["account", "list"]) == 0
    assert "disabled" not in capsys.readouterr().out
    assert b"wonderland" not in (data / "immpd.sqlite3").read_bytes()
    given(monkeypatch, "wonderland\n")
    assert fails("account", "add", "alice@a.test", "--password-stdin")[0] == 1


def confirmed(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """A person at a terminal types this line."""
    keyboard = io.StringIO(line)
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)
    monkeypatch.setattr("os.isatty", lambda _: True)


def test_an_account_is_removed_after_its_address_was_typed(data, capsys, monkeypatch, fails):
    for name in ("alice", "bob"):
        given(monkeypatch, "wonderland\n")
        assert main(["account", "add", f"{name}@a.test", "--password-stdin"]) == 0
    capsys.readouterr()
    given(monkeypatch, "alice@a.test\n")
    code, line = fails("account", "remove", "alice@a.test")
    assert (code, "--yes" in line) == (2, True)
    confirmed(monkeypatch, "y\n")
    assert main(["account", "remove", "alice@a.test"]) == 2
    said = capsys.readouterr()
    assert "Type the address" in said.err
    assert "nothing was removed" in said.err
    confirmed(monkeypatch, "alice@a.test\n")
    assert main(["account", "remove", "Alice@A.test"]) == 0
    assert capsys.readouterr().out.startswith("alice@a.test is removed")
    given(monkeypatch, "")
    assert main(["account", "remove", "bob@a.test", "--yes"]) == 0
    capsys.readouterr()
    assert main(["account", "list"]) == 0
    assert capsys.readouterr().out == ""
    assert fails("account", "remove", "bob@a.test", "--yes")[0] == 1
    assert main(["check"]) == 0
    capsys.readouterr()
    given(monkeypatch, "wonderland\n")
    code, line = fails("account", "add", "bob@a.test", "--password-stdin")
    assert (code, "was removed" in line) == (1, True)


def test_refusals_of_the_service_are_1(data, fails):
    assert fails("account", "disable", "nobody@a.test")[0] == 1
    assert fails("account", "enable", "alice@elsewhere.test")[0] == 1


@pytest.mark.parametrize(
    "passwords", [("one", "two"), ("", ""), ("a\tb\x07", "a\tb\x07"), ("x" * (MAX_PASSWORD + 1),) * 2]
)
def test_a_password_that_cannot_be_is_refused_before_anything_happens(data, fails, monkeypatch, passwords):
    typed(monkeypatch, *passwords)
    assert fails("account", "add", "alice@a.test")[0] == 2


def test_a_short_password_is_taken_from_who_insists(data, capsys, fails, monkeypatch):
    for command in ("add", "passwd"):
        given(monkeypatch, "short\n")
        code, line = fails("account", command, "alice@a.test", "--password-stdin")
        assert (code, "at least 10 characters; --weak" in line) == (2, True)
        given(monkeypatch, "short\n")
        assert main(["account", command, "alice@a.test", "--password-stdin", "--weak"]) == 0
        capsys.readouterr()


def test_without_a_terminal_nothing_is_asked(data, fails, monkeypatch):
    given(monkeypatch, "x\n")
    code, line = fails("account", "add", "alice@a.test")
    assert code == 2
    assert "--password-stdin" in line


def test_a_folder_in_use_is_temporary(data, fails):
    lock = Lock(data)
    code, line = fails("account", "list")
    lock.release()
    assert code == 75
    assert "in use" in line


def test_a_store_that_is_none_is_one_line(data, fails):
    (data / "immpd.sqlite3").write_bytes(b"no database at all" * 1000)
    assert fails("account", "list")[0] == 1


def test_check_finds_a_wrong_count_and_ends_with_1(data, capsys, monkeypatch):
    given(monkeypatch, "wonderland\n")
    assert main(["account", "add", "alice@a.test", "--password-stdin"]) == 0
    database = apsw.Connection(str(data / "immpd.sqlite3"))
    database.execute("UPDATE folder_count SET total = 7 WHERE folder = 1")
    database.close()
    capsys.readouterr()
    assert main(["check"]) == 1
    assert "1 findings" in capsys.readouterr().out


def test_config_show_and_check(data, capsys, monkeypatch):
    monkeypatch.setenv("IMMPD_LIMITS__MAX_PARTS", "9")
    assert main(["config", "show", "--json"]) == 0
    rows = {row["name"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows["limits.max_parts"] == {"name": "limits.max_parts", "value": 9, "source": "environment"}
    assert rows["domains"]["source"] == "file"
    assert main(["config", "show"]) == 0
    assert "bounds.idle = 1800" in capsys.readouterr().out
    assert main(["config", "check"]) == 0


def test_config_check_opens_the_certificates(data, capsys, fails):
    file = data / "immpd.toml"
    file.write_text(file.read_text() + '[[certificates]]\ncertificate = "tls/cert.pem"\nkey = "tls/key.pem"\n')
    code, line = fails("config", "check")
    assert (code, "immpd.toml: certificates: " in line, "tls/cert.pem" in line) == (2, True, True)
    ensure_self_signed(CertificateFiles(data / "tls" / "cert.pem", data / "tls" / "key.pem"), ["b.test"], NOW)
    assert main(["config", "check"]) == 0
    said = capsys.readouterr()
    assert "can be used" in said.out
    assert "no certificate names a.test" in said.err
    (data / "tls" / "key.pem").write_text("no key")
    assert fails("config", "check")[0] == 2


def test_fingerprint_tells_what_clients_are_shown(data, capsys):
    assert main(["fingerprint"]) == 0
    said = capsys.readouterr().out
    shown = open_certificates(data, read_configuration(data)).leaf_for("a.test").fingerprint
    assert said == f"a.test  SHA-256 {shown}\n"
    assert main(["fingerprint", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"domain": "a.test", "fingerprint": shown}


def test_what_was_done_is_one_object_for_scripts(data, tmp_path, capsys, monkeypatch):
    def said(*words: object) -> list[dict]:
        capsys.readouterr()
        code = main([*map(str, words), "--json"])
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert code == (1 if "finding" in str(rows) else 0)
        return rows

    alice = "alice@a.test"
    given(monkeypatch, "wonderland\n")
    assert said("account", "add", "Alice@a.test", "--password-stdin") == [{"account": alice}]
    given(monkeypatch, "looking glass\n")
    changed = [{"account": alice, "ended": 0, "tokens": []}]
    assert said("account", "passwd", alice, "--password-stdin") == changed
    assert said("account", "disable", alice) == [{"account": alice, "disabled": True}]
    assert said("account", "enable", alice) == [{"account": alice, "disabled": False}]
    assert said("sessions", "list") == []
    assert said("sessions", "end", alice) == [{"ended": 0}]
    assert said("check") == []
    assert said("config", "check") == [{"file": str(data / "immpd.toml"), "domains": ["a.test"]}]
    assert said("backup", tmp_path / "copy") == [{"backup": str(tmp_path / "copy"), "files": 0}]
    database = apsw.Connection(str(data / "immpd.sqlite3"))
    database.execute("UPDATE folder_count SET total = 7 WHERE folder = 1")
    database.close()
    assert [list(row) for row in said("check")] == [["finding"]]
    monkeypatch.setenv("IMMPD_DATA", str(tmp_path / "new"))
    assert said("restore", tmp_path / "copy") == [{"data": str(tmp_path / "new")}]
    monkeypatch.setenv("IMMPD_DATA", str(data))
    assert said("account", "remove", alice, "--yes") == [{"account": alice}]
