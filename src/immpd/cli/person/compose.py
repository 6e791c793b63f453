"""The text of a message: from the option, from standard input, or from the person's editor.

Rules: what is piped is taken as it is; an editor is asked only where standard input and output are a terminal; a text
that was written in it is not lost where sending fails; an empty one is not sent.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .common import UsageError, tell


@contextmanager
def body(message: str | None, *, above: str = "") -> Iterator[str]:
    """The text to send, ``above`` what stands over it; raises UsageError.

    Left by an exception, it says where the text is kept that was written in the editor.
    """
    if message is not None:
        yield _joined(above, message)
        return
    editor = _editor()
    if editor is None:
        yield _joined(above, _read())
        return
    with _written(editor, f"{above}\n" if above else "") as text:
        if text.strip() == above.strip():
            raise UsageError("You wrote nothing, so nothing is done")
        yield text


@contextmanager
def edited(message: str | None, old: str, *, ask: bool) -> Iterator[str]:
    """Another text for ``old``; where not asked, and nothing is given in an option or a pipe, it stays. As ``body``."""
    editor = _editor()
    if message is not None:
        yield message
    elif editor is not None:
        with _written(editor, old) as text:
            yield text
    elif ask:
        yield _read()
    else:
        yield old


@contextmanager
def _written(editor: list[str], start: str) -> Iterator[str]:
    handle, name = tempfile.mkstemp(prefix="immp-", suffix=".txt", text=True)
    path = Path(name)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(start)
    keep = False
    try:
        text = _edited(editor, path)
        keep = bool(text.strip()) and text.strip() != start.strip()
        yield text
        keep = False
    finally:
        if keep:
            tell(f"What you wrote is kept in {path}")
        else:
            path.unlink(missing_ok=True)


def _joined(above: str, text: str) -> str:
    return f"{above}\n{text}" if above else text


def _editor() -> list[str] | None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    for name in ("VISUAL", "EDITOR"):
        words = shlex.split(os.environ.get(name, ""))
        if words:
            return words
    return None


def _edited(editor: list[str], path: Path) -> str:
    try:
        code = subprocess.call([*editor, str(path)])  # noqa: S603 - the person says which editor
    except OSError as error:
        raise UsageError(f"The editor {editor[0]} cannot be run: {error.strerror}; VISUAL or EDITOR names it") from None
    if code:
        raise UsageError(f"The editor {editor[0]} ended with {code}, so nothing is done")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise UsageError("The text is not UTF-8") from None


def _read() -> str:
    """The text from standard input."""
    if sys.stdin.isatty():
        tell("Type the message; Ctrl-D on a line of its own ends it (EDITOR names an editor to write it in)")
    octets = sys.stdin.buffer.read()
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise UsageError("The text is not UTF-8; attach it with -a, or send a whole mail with --eml") from None
