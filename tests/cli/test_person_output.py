"""What reaches a terminal."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from immpd.cli import person_output as output


def test_lines_stay_and_the_rest_is_harmless() -> None:
    assert output.harmless("a\tb\r\nc\x1b[31m\x9b\u202e\x00d\r") == "a\tb\nc\ufffd[31m\ufffd\ufffd\ufffdd\ufffd"


def test_json_keeps_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"a": "\x9b\u202e\x1bö"})
    assert capsys.readouterr().out == '{"a":"\\u009b\\u202e\\u001bö"}\n'


@pytest.mark.parametrize(
    ("octets", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (9_960, "10 KB"), (999_600, "1.0 MB"), (5 << 30, "5.4 GB")],
)
def test_sizes(octets: int, text: str) -> None:
    assert output.size_text(octets) == text


def test_dates_are_shown_in_the_persons_time() -> None:
    now = datetime(2026, 1, 2, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert output.date_text("2026-01-01T23:15:00Z", now) == "00:15"
    assert output.date_text("2026-01-01T22:15:00Z", now) == "2026-01-01"
    assert output.date_text("no date at all", now.astimezone(UTC)) == "no date at all"


def test_short_ids_are_as_long_as_they_must_be() -> None:
    one, two = "0" * 28 + "abcdef12", "0" * 27 + "1abcdef12"
    assert output.short_ids([one]) == {one: "abcdef12"}
    assert output.short_ids([one, two, one]) == {one: "0abcdef12", two: "1abcdef12"}


def test_a_table_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    output.print_table([["a", "b"]])
    assert capsys.readouterr().out == "a\tb\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    output.print_table([["x", "[bold]not markup[/bold] " * 5]], stretch=1, bold=[0])
    shown = capsys.readouterr().out
    assert "[bold]not" in shown
    assert "…" in shown
    output.write_octets(b"\x1b[31mred\n")
    assert capsys.readouterr().out == "\ufffd[31mred\n"
