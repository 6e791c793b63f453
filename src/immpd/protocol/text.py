"""How values stand on a line: quoting, field lists, and what may never appear there.

Rules (docs/protocol.md, "Values" and "Replies"): a value is quoted when it is empty, has a space,
quote or semicolon, begins with + or -, or would be read as a name; control, bidi and line-separator
characters never reach a line, they become U+FFFD, so nothing a person wrote can forge a line.
"""

import re

UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NEEDS_QUOTES = re.compile(r'[ ";]|^[+\-]|^$')
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|((?:[^ "=]+=)?)"((?:[^"\\]|\\.)*)"|([^ ]+)')
_ESCAPED = re.compile(r'\\(["\\])')


def clean(text: str) -> str:
    """The text with every character that could forge or hide a line replaced by U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    return UNSAFE.sub("\ufffd", text)


def quote(value: str, names: frozenset[str] = frozenset()) -> str:
    """The value as it stands on a line; ``names`` are words it must not be mistaken for."""
    if _NEEDS_QUOTES.search(value) or value.upper() in names:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return value


def unescape(body: str) -> str:
    r"""What a quoted value says: ``\"`` and ``\\`` undone, any other backslash verbatim."""
    return _ESCAPED.sub(r"\1", body) if "\\" in body else body


def fields_of(text: str) -> list[tuple[str, str]]:
    """Tokens of a reply line as (name, value); a plain word has the name ``""``.

    Never fails: what cannot be read as a field is a word.
    """
    tokens = []
    for match in _TOKEN.finditer(text):
        bare, name, value, word = match.group(1, 2, 3, 4)
        if word is None:
            tokens.append((name[:-1], unescape(value)) if bare is None else ("", unescape(bare)))
            continue
        left, equals, right = word.partition("=")
        tokens.append((left, right) if equals and left else ("", word))
    return tokens
