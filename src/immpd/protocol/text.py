"""How values stand on a line: quoting, field lists, and what may never appear there.

Rules (docs/protocol.md, "Values" and "Replies"): a value is quoted when it is empty, has a space,
quote or semicolon, begins with + or -, or would be read as a name; control, bidi, line-separator and
invisible characters never reach a line: in text they become U+FFFD, in JSON an escape, so nothing a
person wrote can forge a line.
"""

import re

from immpd.model.characters import CONTROLS, UNSAFE

_LEADS = (0x7F, 0xC2, 0xCD, 0xD8, 0xE1, 0xE2, 0xE3, 0xEF, 0xF0, 0xF3)
"""Octets with which those characters begin in UTF-8; a test knows them all."""
CONTROL = re.compile(rf"[{CONTROLS}]")
_INSIDE = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_QUOTED = re.compile(_INSIDE)
_WORD = re.compile(rf" *+(?:{_INSIDE}(?![^ ])|([^ ]++))")
_FIELD = re.compile(rf' *+([a-z][a-z0-9\-]*+)=(?:{_INSIDE}|([^ "]*+))(?![^ ])')
_LIKE_A_FIELD = re.compile(r"[a-z][a-z0-9\-]*+=")
_ESCAPED = re.compile(r'\\(["\\])')


def clean(text: str) -> str:
    """The text with every character that could forge or hide a line replaced by U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    return UNSAFE.sub("\ufffd", text)


def escape_json(octets: bytes) -> bytes:
    r"""JSON for a line: each character that could forge or hide one is written ``\\uXXXX``, which loses nothing."""
    if octets.isascii():
        return octets.replace(b"\x7f", b"\\u007f")
    if not any([lead in octets for lead in _LEADS]):
        return octets
    text = octets.decode()
    return octets if UNSAFE.search(text) is None else UNSAFE.sub(_escape, text).encode()


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be").hex()
    return "".join([f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)])


def quote(value: str, names: frozenset[str] = frozenset()) -> str:
    """The value as it stands on a line; ``names`` are words it must not be mistaken for."""
    # One look after the other takes a fraction of what one pattern takes: values are short, and few have any of these.
    if (
        not value
        or value[0] in "+-"
        or " " in value
        or '"' in value
        or ";" in value
        or (names and value.upper() in names)
    ):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return value


def unescape(body: str) -> str:
    r"""What a quoted value says: ``\"`` and ``\\`` undone, any other backslash verbatim."""
    return _ESCAPED.sub(r"\1", body) if "\\" in body else body


def quote_text(text: str, before_fields: bool) -> str:
    """Free text as it stands on a reply line: as it is, and quoted only where it could be read as something else.

    ``before_fields`` says that fields follow it; without, it runs to the end of the line.
    """
    if not text:
        return text
    if before_fields:
        is_doubtful = "=" in text or '"' in text
    else:
        is_doubtful = text[0] == '"' or ("=" in text and _LIKE_A_FIELD.match(text) is not None)
    if is_doubtful or text[0] == " " or text[-1] == " ":
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


class LineReader:
    """Reads a reply line from left to right; whatever stands there, nothing is raised."""

    __slots__ = ("_position", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def word(self) -> str | None:
        """The next word or quoted value, None at the end."""
        found = _WORD.match(self._text, self._position)
        if found is None:
            return None
        self._position = found.end()
        return found[2] if found[1] is None else unescape(found[1])

    def fields(self) -> dict[str, str]:
        """The fields that stand here, one after the other; of one that is there twice, the first."""
        fields: dict[str, str] = {}
        while found := _FIELD.match(self._text, self._position):
            self._position = found.end()
            fields.setdefault(found[1], found[3] if found[2] is None else unescape(found[2]))
        return fields

    def rest(self) -> str:
        """The free text that runs to the end of the line."""
        text = self._text[self._position :].strip(" ")
        self._position = len(self._text)
        quoted = _QUOTED.fullmatch(text)
        return text if quoted is None else unescape(quoted[1])

    def text_and_fields(self) -> tuple[str, dict[str, str]]:
        """Free text, and the fields that follow it to the end of the line."""
        quoted = _WORD.match(self._text, self._position)
        if quoted is not None and quoted[1] is not None:
            self._position = quoted.end()
            return unescape(quoted[1]), self.fields()
        begin = end = self._position
        fields: dict[str, str] = {}
        while True:
            here = self._position
            found = self.fields()
            if found:
                fields, end = found, here
            elif self.word() is None:
                break
            else:
                fields, end = {}, self._position
        return self._text[begin:end].strip(" "), fields
