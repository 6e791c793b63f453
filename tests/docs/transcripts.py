"""Written conversations as what each side says: places that are left open are filled with samples of their kind.

Rule: nothing is played. What a server really says is compared with the same lines elsewhere; here their form is
looked at, all of it at once.
"""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.sessions.script import KINDS, PLACE, Script, read_file, read_page

ROOT = Path(__file__).parents[2]
PROTOCOL = ROOT / "docs" / "protocol.md"
_SENT = re.compile(r".* sends .* as <([a-z0-9-]+)>")
_LETTERS = base64.b64encode(bytes(32)).decode()
SAMPLES = {
    "time": "2026-01-31T08:00:00Z",
    "mail-time": "Sat, 31 Jan 2026 08:00:00 +0000",
    "seconds": "1769846400",
    "state": "0a1b2c3d.17",
    "cursor": "0a1b2c3d.17.pGb3nNnZ1yVv0cWwq2mXkA",
    "token": f"{'a' * 12}.{'b' * 43}",
    "grant": "abcdefghijklmnopqrstuvwxyz",
    "base64": base64.b64encode(bytes(16)).decode(),
    "hex": "0123456789abcdef",
    "server-first": _LETTERS,
    "server-final": _LETTERS,
    # What clients compute.
    "client-first": _LETTERS,
    "client-first-able": _LETTERS,
    "client-final": _LETTERS,
    "stored-key": _LETTERS,
    "server-key": _LETTERS,
    "h": _LETTERS,
    "secret-answer": "0123456789abcdef" * 2 + "01234567",
}


class Piece(NamedTuple):
    """What one side says: a line, octets that are no line, or a step (side ``-``)."""

    place: str
    """File and line, for the message of a test."""
    side: str
    who: str
    raw: bool
    text: str
    """Octets are letters of Latin-1."""


class Transcript(NamedTuple):
    """One conversation."""

    name: str
    pieces: tuple[Piece, ...]


def transcripts() -> Iterator[Transcript]:
    """Those of all pages and all session files."""
    for page in sorted((ROOT / "docs").rglob("*.md")):
        names: dict[str, str] = {}
        for script in read_page(page):
            names = names if script.continued else {}
            yield transcript(script, names)
    for path in sorted((ROOT / "tests" / "sessions").rglob("*.immp")):
        yield transcript(read_file(path), {})


def transcript(script: Script, names: dict[str, str]) -> Transcript:
    """A script with everything filled in; ``names`` are those of the scripts that it goes on with."""
    pieces = []
    for step in script.steps:
        place = f"{script.path.relative_to(ROOT)}:{step.number}"
        if step.side == "-":
            sent = _SENT.fullmatch(step.text)
            if sent is not None:
                names[sent[1]] = _uuid(sent[1])
        pieces.append(Piece(place, step.side, step.who, step.raw, filled(step.text, step.side, names)))
    return Transcript(script.name, tuple(pieces))


def filled(text: str, side: str, names: dict[str, str]) -> str:
    """The text with samples; what they are called is kept in ``names``."""

    def value(place: re.Match[str]) -> str:
        kind, name = place.groups()
        if name is None and kind in names and (side == "C" or kind not in KINDS):
            return names[kind]
        sample = _uuid(name or "") if kind == "uuid" else SAMPLES.get(kind)
        if sample is None:
            return place[0]
        if name is not None and side == "S":
            return names.setdefault(name, sample)
        return sample

    return PLACE.sub(value, text)


def _uuid(name: str) -> str:
    return f"0197a2b4-7c3e-7d4a-8f00-{sum(name.encode()):012x}"
