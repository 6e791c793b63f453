"""The errors of the protocol, each one reply line that begins with a stable word in brackets.

    Refused                  what a 4xx or 7xx line says: code, word, text, retry
    ├── SyntaxFault          700, 701: the line was not understood; the connection goes on
    ├── OutOfStep            720: the sides may be out of step; the connection closes
    └── StateFault           704, 710: not in this state

Rules: ``word`` never changes its meaning and tests compare it; ``text`` says in plain English what
was wrong and what to do (docs/protocol.md, "Errors").
"""

from typing import Self

from immpd.model.errors import ImmpError

from .codes import Code

MAX_TEXT = 1000
"""Characters of an error's text on a line: what was wrong may be as long as a line, and be said more than once."""


class Refused(ImmpError):
    """A command was refused.

    ``retry`` is in seconds and set only where trying again later can help.
    """

    def __init__(self, code: Code, word: str, text: str, retry: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.word = word
        self.text = text
        self.retry = retry

    def __str__(self) -> str:
        return f"{int(self.code)} {self.line_text()}"

    def bare(self) -> Self:
        """The same without the way it came, for whoever keeps it as a value.

        A traceback, also that of the error before it, holds every frame up to the loop, and what lies in them.
        """
        self.__traceback__ = self.__context__ = self.__cause__ = None
        return self

    def line_text(self) -> str:
        """What stands after the code on the reply line."""
        hint = f"retry={self.retry} " if self.retry is not None else ""
        text = self.text if len(self.text) <= MAX_TEXT else f"{self.text[:MAX_TEXT]}…"
        return f"[{self.word}] {hint}{text}"


class SyntaxFault(Refused):
    """The line, or a value in it, is malformed or unknown."""

    def __init__(self, word: str, text: str, code: Code = Code.SYNTAX) -> None:
        super().__init__(code, word, text)


class OutOfStep(Refused):
    """The two sides may be out of step about where the next command begins: answer and close."""

    def __init__(self, word: str, text: str) -> None:
        super().__init__(Code.OUT_OF_STEP, word, text)


class StateFault(Refused):
    """The command is not available in the connection's state."""

    def __init__(self, text: str, code: Code = Code.STATE, word: str = "STATE") -> None:
        super().__init__(code, word, text)
