"""What every reply is: rows and one final line, each printed and read by its fields (lines.py).

Rules (docs/protocol.md, "Replies"): the server calls ``encode``, the client ``decode``; readers ignore fields
they do not know.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import msgspec

from immpd.protocol.codes import Code
from immpd.protocol.lines import Line, Words
from immpd.protocol.text import escape_json


class Reply(Words, frozen=True, kw_only=True):
    """A whole reply with one line; replies with rows override ``encode`` and ``decode``."""

    def encode(self, prefix: str = "") -> bytes:
        """The reply as octets, each line with the pipeline's prefix."""
        return f"{prefix}{self.CODE:d} {self.to_text()}".rstrip(" ").encode() + b"\n"

    def preceded(self, rows: Sequence[Words]) -> Self:
        """The whole reply: this one, and the rows that were read before it."""
        own: Any = self
        return msgspec.structs.replace(self, rows=(*rows, *own.rows)) if rows else self

    @classmethod
    def decode(cls, lines: Sequence[Line]) -> Self:
        """The reply from its lines, the final one last."""
        return cls.from_text(lines[-1].text)


def rows_of(code: Code, texts: Sequence[str], prefix: str) -> list[str]:
    """The dashed lines of rows."""
    return [f"{prefix}{code:d}- {text}\n" for text in texts]


class Listed(Reply, frozen=True, kw_only=True):
    """A list of ``ROW`` lines, ended by a line that is no row."""

    ROW: ClassVar[type[Words]]
    rows: tuple[Any, ...] = ()
    before: int = 0
    """Rows that were written before these, while the rest was still being read."""

    @property
    def count(self) -> int:
        """All rows there are."""
        return self.before + len(self.rows)

    def encode(self, prefix: str = "") -> bytes:
        """Dashed rows, then the end line."""
        rows = rows_of(self.ROW.CODE, [row.to_text() for row in self.rows], prefix)
        return f"{''.join(rows)}{prefix}{self.CODE:d} {self.end()}\n".encode()

    def preceded(self, rows: Sequence[Words]) -> Self:
        """The whole reply: this one, and the rows that were read before it."""
        return msgspec.structs.replace(self, rows=(*rows, *self.rows), before=0)

    def end(self) -> str:
        """The text of the end line."""
        return f"{self.count} rows"

    @classmethod
    def decode(cls, lines: Sequence[Line]) -> Self:
        """Rows, then the fields of the end line."""
        return msgspec.structs.replace(
            cls.from_text(lines[-1].text), rows=tuple(cls.ROW.from_text(line.text) for line in lines[:-1])
        )


class JsonListed(Reply, frozen=True, kw_only=True):
    """A list of ``ROW`` objects, a line of JSON each, then the end line with its fields."""

    ROW: ClassVar[type[msgspec.Struct]]
    rows: tuple[Any, ...] = ()

    def encode(self, prefix: str = "") -> bytes:
        """JSON rows, then the end line."""
        rows = rows_of(self.CODE, [escape_json(msgspec.json.encode(row)).decode() for row in self.rows], prefix)
        return "".join(rows).encode() + super().encode(prefix)

    @classmethod
    def decode(cls, lines: Sequence[Line]) -> Self:
        """JSON rows, then the end line."""
        rows = tuple(msgspec.json.decode(line.text, type=cls.ROW) for line in lines[:-1])
        return msgspec.structs.replace(cls.from_text(lines[-1].text), rows=rows)
