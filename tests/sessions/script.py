"""Written conversations: the text of a ``*.immp`` file, or of a fenced ``immp`` block of a page, as steps.

    C: text            a line that the client sends; lines that follow each other leave in one write
    C| octets          octets without a line feed, as they follow a command's line (\\n \\r \\t \\\\ \\xHH)
    S: text            the next line that the server sends in the pipeline that the text names
    S| octets          the octets of the 255 block above it
    alice C: text      the same on the connection alice; without a name: the connection that was named last
    --- step ---       something that happens; ``player.py`` lists them
    # text             a note, as is every empty line

``{70000 octets}`` stands for so many octets, ``{9 spaces}`` for spaces. ``<uuid:m>`` stands for a UUID that is
then called m, ``<uuid>`` for one nobody calls; ``<m>`` is it again, in what either side says. The kinds are those of
``KINDS``: nonces, ids, times, fingerprints and states, and nothing else, are left open.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

KINDS: dict[str, str] = {
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "time": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z",
    "mail-time": r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} \+0000",
    "seconds": r"[0-9]{10}",
    "state": r"[0-9a-f]{8}\.[0-9]+",
    "token": r"[A-Za-z0-9_-]{12}\.[A-Za-z0-9_-]{43}",
    "grant": r"[a-z2-7]{26}",
    "cursor": r"[0-9a-f]{8}\.[0-9]+\.[0-9A-Za-z_-]{22}",
    "base64": r'"?[A-Za-z0-9+/]+={0,2}"?',  # in quotes where it begins with a plus
    "hex": r"[0-9a-f]+",
    "server-first": r"[A-Za-z0-9+/]+={0,2}",
    "server-final": r"[A-Za-z0-9+/]+={0,2}",
}
"""What may be left open, and how it looks."""

_LINE = re.compile(r"(?:(?P<who>[a-z][a-z0-9]*) )?(?P<side>[CS])(?P<raw>[:|])(?: (?P<text>.*))?")
_STEP = re.compile(r"--- (.*?)(?: ---)?")
PLACE = re.compile(r"<([a-z][a-z0-9-]*)(?::([a-z][a-z0-9-]*))?>")
_MANY = re.compile(r"\{([0-9]+) (octets|spaces)\}")
_ESCAPE = re.compile(r"\\(n|r|t|\\|x[0-9a-fA-F]{2})")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}


class Step(NamedTuple):
    """One line of a conversation."""

    number: int
    """Its line in the file."""
    side: str
    """C, S, or - for a step."""
    who: str
    """The connection, empty where none was named."""
    raw: bool
    """Octets, not a line."""
    text: str


class Script(NamedTuple):
    """One conversation, from where it was read."""

    path: Path
    number: int
    """The line before its first."""
    steps: tuple[Step, ...]
    continued: bool = False
    """It goes on where the one before it on the page ended."""

    @property
    def name(self) -> str:
        """For the test's id."""
        return f"{self.path.stem}:{self.number}" if self.number else self.path.stem


def read_script(path: Path, lines: list[str], number: int = 0, continued: bool = False) -> Script:
    """The conversation that these lines are; ``number`` is the line before the first. Raises ValueError."""
    steps: list[Step] = []
    for at, line in enumerate(lines, number + 1):
        if not line.strip() or line.startswith("#"):
            continue
        spoken = _LINE.fullmatch(line)
        step = _STEP.fullmatch(line)
        if spoken is not None:
            raw = spoken["raw"] == "|"
            text = spoken["text"] or ""
            if raw:
                # A character is its UTF-8, an escape its one octet: both as letters of Latin-1 from here on.
                text = _ESCAPE.sub(_unescape, text.encode().decode("latin-1"))
            text = _MANY.sub(lambda found: ("x" if found[2] == "octets" else " ") * int(found[1]), text)
            steps.append(Step(at, spoken["side"], spoken["who"] or "", raw, text))
        elif step is not None:
            steps.append(Step(at, "-", "", False, step[1].strip()))
        else:
            raise ValueError(f"{path}:{at}: this is neither a line of a client or server nor a step: {line}")
    return Script(path, number, tuple(steps), continued)


def _unescape(found: re.Match[str]) -> str:
    what = found[1]
    return chr(int(what[1:], 16)) if what[0] == "x" else _ESCAPES[what]


def read_file(path: Path) -> Script:
    """A ``*.immp`` file."""
    return read_script(path, path.read_text().splitlines())


def read_page(path: Path) -> Iterator[Script]:
    """The fenced ``immp`` blocks of a page; ```` ```immp continued ```` goes on with the block before it."""
    lines = path.read_text().splitlines()
    start: int | None = None
    continued = False
    for at, line in enumerate(lines):
        if start is None and line.startswith("```immp"):
            start = at + 1
            continued = line.split()[1:] == ["continued"]
        elif start is not None and line == "```":
            yield read_script(path, lines[start:at], start, continued)
            start = None
