"""The player notices what is not as it was written."""

from pathlib import Path

import pytest
from tests.sessions.player import play
from tests.sessions.script import Script, read_page, read_script


def script(text: str) -> Script:
    return read_script(Path("written.immp"), text.strip().splitlines())


CHECK = "C: MBOX CHECK /inbox\nS: 240 /INBOX u=0 t=0 s="


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("C: NOOP\nS: 200 Undone", "expected '200 Undone'"),
        ("C: NOOP\nS: 200 Done\nS: 200 Done", "TimeoutError"),
        ("C: NOOP; NOOP\nS: 200 Done", "nobody expects"),
        ("C: NOOP\nS: a: 200 Done", "TimeoutError"),
        ("C: QUIT\nS: 203 Good-bye", "the server hung up"),
        ("C: NOOP\nS: 200 Done\n--- the server hangs up ---", "TimeoutError"),
        ("C: NOOP\n--- the server hangs up ---", "did not hang up"),
        ("--- the sun shines ---", "no such step"),
        (CHECK + "<uuid>", "expected '240"),
        (CHECK + "<state:a>\nC: MBOX CREATE /a; MBOX CHECK /a\nS: 200 Created /a\nS: 240 /a u=0 t=0 s=<a>", "/a u=0"),
    ],
)
async def test_a_difference_fails(text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sessions.stage.PATIENCE", 0.1)
    with pytest.raises(AssertionError, match=why):
        await play(script(text), tmp_path)


async def test_a_code_that_the_command_does_not_declare_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sessions.stage.COMMON_CODES", frozenset())
    with pytest.raises(AssertionError, match="no command that waits"):
        await play(script("C: NOOP please\nS: 701 …"), tmp_path)


async def test_a_word_that_is_in_no_table_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sessions.stage.WORDS", {})
    with pytest.raises(AssertionError, match="not in the table"):
        await play(script("C: NOOP please\nS: 701 …"), tmp_path)


async def test_lines_of_other_pipelines_may_come_in_any_order(tmp_path: Path) -> None:
    await play(script("C: AS a NOOP\nC: AS b NOOP\nS: b: 200 Done\nS: a: 200 Done"), tmp_path)


async def test_it_says_which_command_was_answered_with_which_code(tmp_path: Path) -> None:
    help_ = "C: HELP X\nS: 404 [NO-HELP] There is no command X; HELP lists them"
    seen = await play(script(f"C: NOOP\nS: 200 Done\n{help_}"), tmp_path)
    assert {("NOOP", 200), ("HELP", 404)} <= seen


def test_octets_are_written_with_escapes() -> None:
    one, two = script("C| \\x00\\n\\\\é\\xe9\nC: {3 octets}{2 spaces}").steps
    assert one.text.encode("latin-1") == b"\x00\n\\" + "é".encode() + b"\xe9"
    assert two.text == "xxx  "


def test_what_is_no_line_is_refused() -> None:
    with pytest.raises(ValueError, match=r"written.immp:1: this is neither"):
        script("X: NOOP")


def test_a_page_has_its_fenced_blocks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```immp\nC: NOOP\n```\n\n```sh\nls\n```\n\n```immp continued\nC: WHO\n```\n")
    first, second = read_page(page)
    assert [step.text for step in first.steps] == ["NOOP"]
    assert (second.continued, second.steps[0].number) == (True, 12)
