"""Header fields as text: the block a sender gives with DATA +HEADERS, and fields written for Internet mail.

Rules: reading refuses, naming the line, everything that only commands may say; writing makes any text into printable
ASCII, so no value can end its field. (The standard library's encoder decodes ``=?utf-8?q?a=0d=0aBcc:_x@y?=`` in a
subject and writes the line feed: this one never decodes.)
"""

import base64
import re
from typing import Final

from immpd.mime.text import clean_line

BLOCK_LIMIT: Final = 32 * 1024
"""Octets of a header block, docs/protocol.md, "Messages"."""
MAX_FIELDS: Final = 200

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$%&'*+.^_`|~-]{0,63}")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# What commands and the server say, so that it can be believed.
_COMMANDS_ONLY: Final = frozenset(
    ("from", "to", "cc", "bcc", "id", "message-id", "origin", "received", "verified", "sender", "secure")
)
# The same claims in the words of Internet mail, and what the encoder writes itself.
_MAIL_CLAIMS: Final = frozenset(
    ("return-path", "authentication-results", "dkim-signature", "delivered-to", "mime-version")
)
_COMMANDS_ONLY_PREFIXES: Final = ("received-", "resent-", "content-", "arc-", "x-immp-")

_PLAIN: Final = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*")
_LINE: Final = 76
_WORD_OCTETS: Final = 42  # "=?utf-8?b?" + 56 + "?=" stays below the 75 of RFC 2047 section 2


class HeaderError(ValueError):
    """A header block that is refused.

    ``line`` counts from 1, ``field`` is its name or empty, ``reason`` says in plain English what to change.
    """

    def __init__(self, line: int, field: str, reason: str) -> None:
        super().__init__(f"header line {line}{f' ({field})' if field else ''}: {reason}")
        self.line = line
        self.field = field
        self.reason = reason


def is_commands_only(name: str) -> bool:
    """Whether only commands and the server may say what the field ``name`` says (docs/protocol.md, "Messages")."""
    lower = name.lower()
    return lower in _COMMANDS_ONLY or lower in _MAIL_CLAIMS or lower.startswith(_COMMANDS_ONLY_PREFIXES)


def parse_header_block(block: str | bytes) -> dict[str, str]:
    """The fields of a DATA +HEADERS part: ``Name: value`` lines, UTF-8, at most ``BLOCK_LIMIT`` octets.

    A line that begins with a space continues the one before. Names come back in lower case, in the order given.
    Raises ``HeaderError`` for anything malformed, control characters, a name given twice, and fields that only
    commands may set.
    """
    octets = block.encode("utf-8", "surrogatepass") if isinstance(block, str) else block
    if len(octets) > BLOCK_LIMIT:
        raise HeaderError(1, "", f"the block has {len(octets)} octets, at most {BLOCK_LIMIT} are taken")
    fields: dict[str, str] = {}
    name = ""
    ended = 0
    for number, raw in enumerate(octets.split(b"\n"), 1):
        try:
            line = raw.removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError:
            raise HeaderError(number, "", "this is not UTF-8") from None
        if not line.strip(" \t"):
            ended = ended or number
            continue
        if ended:
            raise HeaderError(ended, "", "an empty line stands between the fields, take it out")
        continued = line[0] in " \t"
        text = line.lstrip(" \t") if continued else line
        if continued and not name:
            raise HeaderError(number, "", "the first line begins with a space, but continues nothing")
        if not continued:
            given, colon, text = line.partition(":")
            if not colon or not _NAME.fullmatch(given):
                raise HeaderError(number, "", "write it as Name: value")
            name = given.lower()
            if is_commands_only(name):
                raise HeaderError(number, given, "only commands and the server set this field, leave it out")
            if name in fields:
                raise HeaderError(number, given, "the field stands here a second time")
            if len(fields) >= MAX_FIELDS:
                raise HeaderError(number, given, f"at most {MAX_FIELDS} fields are taken")
            fields[name] = ""
        text = text.strip(" \t")
        if _CONTROL.search(text):
            raise HeaderError(number, name, "control characters are not taken")
        fields[name] = f"{fields[name]} {text}" if continued and fields[name] else text
    return fields


def field(name: str, value: str) -> bytes:
    """``Name: value`` CRLF with an unstructured value: as it is where it is ASCII, else RFC 2047 encoded words.

    ``name`` must be a field name (ValueError); any text is a valid value.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a header field name: {name!r}")
    return _folded(name, encode_text(value))


def structured_field(name: str, items: list[str], separator: str = ",") -> bytes:
    """``Name: item, item`` CRLF, folded between items. Items must already be printable (ASCII unless RFC 6532)."""
    words = [item + separator for item in items[:-1]] + items[-1:]
    return _folded(name, words)


def encode_text(value: str) -> list[str]:
    """``value`` as words to be joined by single spaces: printable ASCII, or encoded words of RFC 2047."""
    value = clean_line(value).strip()
    if not value:
        return []
    if "=?" not in value and _PLAIN.fullmatch(value):
        words = value.split(" ")
        if max(map(len, words)) <= 800:  # RFC 5322 section 2.1.1: no line past 998
            return words
    words = []
    chunk = bytearray()
    for character in value:
        octets = character.encode("utf-8")
        if len(chunk) + len(octets) > _WORD_OCTETS:
            words.append(_word(chunk))
            chunk.clear()
        chunk += octets
    words.append(_word(chunk))
    return words


def parameter(name: str, value: str) -> str:
    """``name="value"`` for Content-Type and Content-Disposition; RFC 2231 where it is not plain ASCII."""
    value = clean_line(value)
    if value.isascii() and value.isprintable():
        return f'{name}="' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    safe = "".join(chr(o) if chr(o).isalnum() and o < 128 else f"%{o:02X}" for o in value.encode("utf-8"))
    return f"{name}*=utf-8''{safe}"


def _word(octets: bytearray) -> str:
    return f"=?utf-8?b?{base64.b64encode(octets).decode('ascii')}?="


def _folded(name: str, words: list[str]) -> bytes:
    """The field with its words on lines of at most 76 characters where they allow it."""
    lines: list[str] = []
    line = f"{name}:"
    for word in words:
        # The first word stays on the name's line: a line of blank space alone is forbidden (RFC 5322 section 3.2.2).
        if len(line) + 1 + len(word) > _LINE and (lines or line != f"{name}:"):
            lines.append(line)
            line = ""
        line = f"{line} {word}"
    lines.append(line)
    return ("\r\n".join(lines) + "\r\n").encode("utf-8")
