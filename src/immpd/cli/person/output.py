"""What ``immp`` prints.

Rule: whatever stands in a mail, nothing of it reaches a terminal as a control character; octets that
go into a file or a pipe are exactly those of the message.
"""

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from immpd.model.characters import UNSAFE_IN_TEXT
from immpd.model.message import IndexRow, sender_text
from immpd.protocol.text import clean, escape_json

if TYPE_CHECKING:
    from .common import Common

MARKS = (("READ", " ", "●"), ("FLAGGED", "★", " "), ("ANSWERED", "↩", " "), ("IMPORTANT", "!", " "))
"""(flag, shown where it is set, shown where it is not)."""
SHORTEST = 8
_TAGS = {"READ": "", "FLAGGED": "flagged", "ANSWERED": "answered", "IMPORTANT": "important", "DRAFT": "draft"}


def harmless(text: str) -> str:
    """Text of several lines without characters that a terminal obeys."""
    return UNSAFE_IN_TEXT.sub("\ufffd", text.replace("\r\n", "\n"))


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
    say(escape_json(octets).decode())


def write_octets(octets: bytes) -> None:
    """Octets of a message to standard output: as they are, but harmless where a person looks."""
    if sys.stdout.isatty():
        sys.stdout.write(harmless(octets.decode(errors="replace")))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(octets)


def size_text(octets: int) -> str:
    """A size for people, in the units of the server: 900 B, 12.3 KiB, 3.4 MiB."""
    from immpd.mime.text import size_text

    return size_text(octets)


def now_of(common: "Common | None") -> datetime:
    """Now, in the zone that times are shown in."""
    return datetime.now(UTC) if common is not None and common.utc else datetime.now().astimezone()


def date_text(text: str, now: datetime) -> str:
    """A date for people: the time for today's, else the day; as it came where it is none."""
    try:
        when = datetime.fromisoformat(text).astimezone(now.tzinfo)
    except (ValueError, OverflowError):
        return text[:16]
    return f"{when:%H:%M}" if when.date() == now.date() else f"{when:%Y-%m-%d}"


def time_text(text: str, now: datetime) -> str:
    """Day, time and zone for people; as it came where it is none."""
    try:
        when = datetime.fromisoformat(text).astimezone(now.tzinfo)
    except (ValueError, OverflowError):
        return text
    return f"{when:%Y-%m-%d %H:%M:%S} {when.tzname()}"


def short_ids(ids: Iterable[str]) -> dict[str, str]:
    """For each id its last characters, as few as tell them apart (at least 8)."""
    every = list(ids)
    length = SHORTEST
    while length < 36 and len({one[-length:] for one in every}) < len(set(every)):
        length += 1
    return {one: one[-length:] for one in every}


def print_index(
    rows: Sequence[IndexRow],
    *,
    sent: bool = False,
    folders: bool = False,
    common: "Common | None" = None,
    empty: str = "",
    more: str = "",
) -> None:
    """Rows like a mail list: a table on a terminal, lines with tabs elsewhere.

    ``sent`` shows whom they went to, ``folders`` where they lie; ``more`` stands below where some are left out.
    """
    now = now_of(common)
    shown = short_ids(row.id for row in rows)
    cells = []
    marked = (
        MARKS
        if not sys.stdout.isatty()
        else [mark for mark in MARKS if any((mark[1] if mark[0] in row.flags else mark[2]) != " " for row in rows)]
    )
    for row in rows:
        marks = "".join(yes if name in row.flags else no for name, yes, no in marked)
        who = ", ".join(row.to) if sent else sender_text(row.from_, row.author)
        keywords = [f"[{flag}]" for flag in row.flags if flag not in _TAGS]
        subject = " ".join([clean(row.subject) or "(no subject)", *map(clean, keywords)])
        where = [clean(row.folder)] if folders else []
        cells.append([marks, shown[row.id], date_text(row.date, now), *where, clean(who), subject, size_text(row.size)])
    heads = ("", "ID", "DATE", *(("FOLDER",) if folders else ()), "TO" if sent else "FROM", "SUBJECT", "SIZE")
    print_table(
        cells,
        heads=heads,
        bold=[row for row, one in enumerate(rows) if "READ" not in one.flags],
        share=(len(heads) - 3, len(heads) - 2),
        right=(len(heads) - 1,),
        empty=empty,
    )
    if more and sys.stdout.isatty():
        say(more)


def print_table(
    cells: Sequence[Sequence[str]],
    *,
    heads: Sequence[str] = (),
    bold: Iterable[int] = (),
    share: Sequence[int] = (),
    right: Sequence[int] = (),
    empty: str = "",
) -> None:
    """Cells in columns; on a terminal with ``heads`` above, or ``empty`` where there is none, elsewhere with tabs.

    ``bold`` are rows, ``right`` go to the right; where the terminal is too narrow for all, the columns of ``share``
    (by default all) give way, the widest first.
    """
    if not sys.stdout.isatty():
        for row in cells:
            say("\t".join(cell.strip() for cell in row))
        return
    if not cells:
        if empty:
            say(empty)
        return
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    # A column that is empty in every row takes no room.
    columns_shown = [n for n in range(len(cells[0])) if any(row[n].strip() for row in cells)]
    texts = [[row[n] for n in columns_shown] for row in ((tuple(heads),) if heads else ()) + tuple(map(tuple, cells))]
    natural = [max(cell_len(row[at]) for row in texts) for at in range(len(columns_shown))]
    may_give = [at for at, n in enumerate(columns_shown) if not share or n in share]
    widths = _widths(natural, console.width - GAP * (len(natural) - 1), may_give)
    strong = frozenset(bold)
    for number, row in enumerate(texts, -1 if heads else 0):
        pieces = [
            _fitted(cell, width, right=n in right, last=n == columns_shown[-1])
            for cell, width, n in zip(row, widths, columns_shown, strict=True)
        ]
        style = "dim" if number < 0 else "bold" if number in strong else ""
        console.print(Text((" " * GAP).join(pieces).rstrip(), style=style, no_wrap=True))


GAP = 2
NARROWEST = 8
"""Cells that a column keeps where others need room too."""


def _widths(natural: Sequence[int], room: int, may_give: Sequence[int]) -> list[int]:
    """Column widths that fit: the widest of ``may_give`` gives first, the last of them, what is said, less readily."""
    widths = list(natural)
    while sum(widths) > room:
        givers = [at for at in may_give if widths[at] > NARROWEST]
        if not givers:
            break
        widths[max(givers, key=lambda at: widths[at] * (2 if at == may_give[-1] else 3))] -= 1
    return widths


def _fitted(text: str, width: int, *, right: bool, last: bool) -> str:
    """The text in so many cells, cut with an ellipsis."""
    from rich.cells import cell_len, set_cell_size

    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1).rstrip() + "…"
    if right:
        return " " * (width - length) + text
    return text if last else text + " " * (width - length)


def plural(count: int, what: str) -> str:
    """``1 message``, ``2 messages``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
