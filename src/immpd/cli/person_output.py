"""What ``immp`` prints.

Rule: whatever stands in a mail, nothing of it reaches a terminal as a control character; octets that
go into a file or a pipe are exactly those of the message.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from immpd.model.message import IndexRow, sender_text
from immpd.protocol.text import UNSAFE, clean

_UNSAFE_IN_LINES = re.compile(UNSAFE.pattern.replace(r"\x00-\x1f", r"\x00-\x08\x0b-\x1f"))
MARKS = (("READ", " ", "●"), ("FLAGGED", "★", " "), ("ANSWERED", "↩", " "), ("IMPORTANT", "!", " "))
"""(flag, shown where it is set, shown where it is not)."""
SHORTEST = 8
_TAGS = {"READ": "", "FLAGGED": "flagged", "ANSWERED": "answered", "IMPORTANT": "important", "DRAFT": "draft"}


def harmless(text: str) -> str:
    """Text of several lines without characters that a terminal obeys."""
    return _UNSAFE_IN_LINES.sub("\ufffd", text.replace("\r\n", "\n"))


def say(line: str) -> None:
    """One line to standard output."""
    sys.stdout.write(line + "\n")


def print_text(text: str) -> None:
    """Lines for people."""
    say(harmless(text))


def print_json(value: object) -> None:
    """One object on one line."""
    print_json_octets(msgspec.json.encode(value))


def print_json_octets(octets: bytes) -> None:
    """An object that is JSON already; characters that a terminal obeys are escaped."""
    say(UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", octets.decode()))


def write_octets(octets: bytes) -> None:
    """Octets of a message to standard output: as they are, but harmless where a person looks."""
    if sys.stdout.isatty():
        sys.stdout.write(harmless(octets.decode(errors="replace")))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(octets)


def size_text(octets: int) -> str:
    """A size for people: 900 B, 12 KB, 3.4 MB."""
    if octets < 1000:
        return f"{octets} B"
    for unit in ("KB", "MB", "GB"):
        octets_in_unit = octets / {"KB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
        if octets_in_unit < 999.5 or unit == "GB":
            return f"{octets_in_unit:.1f} {unit}" if octets_in_unit < 9.95 else f"{octets_in_unit:.0f} {unit}"
    raise AssertionError


def date_text(text: str, now: datetime) -> str:
    """A date for people: the time for today's, else the day; as it came where it is none."""
    try:
        when = datetime.fromisoformat(text).astimezone(now.tzinfo)
    except (ValueError, OverflowError):
        return text[:16]
    return f"{when:%H:%M}" if when.date() == now.date() else f"{when:%Y-%m-%d}"


def short_ids(ids: Iterable[str]) -> dict[str, str]:
    """For each id its last characters, as few as tell them apart (at least 8)."""
    every = list(ids)
    length = SHORTEST
    while length < 36 and len({one[-length:] for one in every}) < len(set(every)):
        length += 1
    return {one: one[-length:] for one in every}


def print_index(rows: Sequence[IndexRow], *, sent: bool = False) -> None:
    """Rows like a mail list: a table on a terminal, lines with tabs elsewhere."""
    now = datetime.now().astimezone()
    shown = short_ids(row.id for row in rows)
    cells = []
    for row in rows:
        marks = "".join(yes if name in row.flags else no for name, yes, no in MARKS)
        who = ", ".join(row.to) if sent else sender_text(row.from_, row.author)
        keywords = [f"[{flag}]" for flag in row.flags if flag not in _TAGS]
        subject = " ".join([clean(row.subject) or "(no subject)", *map(clean, keywords)])
        cells.append([marks, shown[row.id], date_text(row.date, now), clean(who), subject, size_text(row.size)])
    print_table(cells, bold=[row for row, one in enumerate(rows) if "READ" not in one.flags], stretch=4, right=(5,))


def print_table(
    cells: Sequence[Sequence[str]], *, bold: Iterable[int] = (), stretch: int = -1, right: Sequence[int] = ()
) -> None:
    """Cells in columns; ``bold`` are rows, ``stretch`` is the column that takes the room, ``right`` go to the right."""
    if not cells:
        return
    if not sys.stdout.isatty():
        for row in cells:
            say("\t".join(cell.strip() for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, expand=stretch >= 0)
    for number in range(len(cells[0])):
        table.add_column(
            no_wrap=True,
            overflow="ellipsis",
            ratio={stretch: 3, stretch - 1: 2}.get(number) if stretch >= 0 else None,
            justify="right" if number in right else "left",
        )
    strong = frozenset(bold)
    for number, row in enumerate(cells):
        table.add_row(*(Text(cell, style="bold" if number in strong else "") for cell in row))
    Console(highlight=False).print(table)
