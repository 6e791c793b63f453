"""What reaches a terminal."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from immpd.cli.person import output


def test_lines_stay_and_the_rest_is_harmless() -> None:
    assert output.harmless("a\tb\r\nc\x1b[31m\x9b\u202e\x00d\r") == "a\tb\nc\ufffd[31m\ufffd\ufffd\ufffdd\ufffd"


def test_json_keeps_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"a": "\x9b\u202e\x1bö"})
    assert capsys.readouterr().out == '{"a":"\\u009b\\u202e\\u001bö"}\n'


@pytest.mark.parametrize(
    ("octets", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (10 << 20, "10.0 MiB"), (5 << 30, "5.0 GiB")],
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
    output.print_table([["x", "", "[bold]not markup[/bold] " * 5]], heads=("ID", "NONE", "SAYS"), share=(2,), bold=[0])
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert shown.splitlines()[0] == "ID  SAYS"
    assert max(map(len, shown.splitlines())) == 40
    output.print_table([], heads=("ID",), empty="Nothing is there")
    assert capsys.readouterr().out == "Nothing is there\n"
    assert "[bold]not" in shown
    assert "…" in shown
    output.write_octets(b"\x1b[31mred\n")
    assert capsys.readouterr().out == "\ufffd[31mred\n"


@pytest.mark.parametrize(
    ("natural", "room", "widths"),
    [
        ([1, 8, 30, 20], 80, [1, 8, 30, 20]),
        ([1, 8, 30, 60], 59, [1, 8, 20, 30]),
        ([1, 8, 12, 60], 59, [1, 8, 12, 38]),
        ([1, 8, 90, 90], 20, [1, 8, 8, 8]),
    ],
)
def test_columns_share_the_width_that_is_there(natural: list[int], room: int, widths: list[int]) -> None:
    assert output._widths(natural, room, [2, 3]) == widths


def test_one_is_one() -> None:
    assert [output.plural(n, "message") for n in (0, 1, 2)] == ["0 messages", "1 message", "2 messages"]
