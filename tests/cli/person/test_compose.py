"""The text of a message from the person's editor."""

from pathlib import Path

import pytest

from immpd.cli.person.common import UsageError
from immpd.cli.person.compose import body, edited


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``editor("echo more >> $1")``: on a terminal, with an editor that does this."""

    def make(does: str) -> None:
        script = tmp_path / "editor"
        script.write_text(f"#!/bin/sh\n{does}\n")
        script.chmod(0o700)
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setenv("VISUAL", f"{script} 'an option'")
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    return make


def kept(folder: Path) -> list[Path]:
    return list(folder.glob("immp-*.txt"))


def test_it_is_asked_where_nothing_is_given(editor, tmp_path: Path) -> None:
    editor('echo Yes. >> "$2"')
    with body(None, above="> At noon?\n") as text:
        assert text == "> At noon?\n\nYes.\n"
    with body("given", above="> At noon?\n") as text:
        assert text == "> At noon?\n\ngiven"
    assert not kept(tmp_path)


def test_what_was_written_is_kept_where_sending_fails(
    editor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    editor('echo Dear all > "$2"')
    with pytest.raises(OSError, match="no"), body(None):
        raise OSError("no")
    (path,) = kept(tmp_path)
    assert path.read_text() == "Dear all\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("true", "wrote nothing"),
        ('echo " " > "$2"', "wrote nothing"),
        ('echo x > "$2"; exit 3', "ended with 3"),
        ("printf '\\377' > \"$2\"", "not UTF-8"),
    ],
)
def test_otherwise_nothing_is_done(editor, tmp_path: Path, does: str, why: str) -> None:
    editor(does)
    with pytest.raises(UsageError, match=why), body(None):
        pass
    assert not kept(tmp_path)


def test_a_draft_is_opened_with_the_text_it_has(editor) -> None:
    editor('echo more >> "$2"')
    with edited(None, "old\n", ask=False) as text:
        assert text == "old\nmore\n"
