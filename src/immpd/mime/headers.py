"""The block of header fields that a sender gives with DATA +HEADERS: our own grammar, read line by line.

Rule: reading refuses, naming the line, everything that only commands may say.
"""

import re
from typing import Final

BLOCK_LIMIT: Final = 32 * 1024
"""Octets of a header block, docs/protocol.md, "Messages"."""
MAX_FIELDS: Final = 200

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$%&'*+.^_`|~-]{0,63}")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
SERVER_SAYS: Final = frozenset(("list-id",))
"""Names that the server itself puts among the ``headers`` of an envelope."""
# What commands and the server say, so that it can be believed: all names of the envelope but the sender's own.
_COMMANDS_ONLY: Final = frozenset(
    ("from", "to", "cc", "bcc", "id", "author", "importance", "secure", "origin", "verified")
)
# The same claims in the words of Internet mail, what a receiving server says there, and what the encoder writes itself.
_MAIL_CLAIMS: Final = frozenset(
    (
        *("message-id", "sender", "x-sender", "return-path", "received", "x-received", "priority", "x-priority"),
        *("delivered-to", "apparently-to", "envelope-to", "x-original-to", "archived-at", "mime-version"),
        *("authentication-results", "x-authentication-results", "bimi-indicator"),
        *("dkim-signature", "domainkey-signature"),
    )
)
_COMMANDS_ONLY_PREFIXES: Final = (
    *("received-", "resent-", "content-", "arc-", "x-immp-", "list-"),
    *("x-envelope-", "x-spam-", "x-virus-"),
)


class HeaderError(ValueError):
    """A header block that is refused.

    ``line`` counts from 1, ``field`` is its name or empty, ``reason`` says in plain English what to change.
    """

    def __init__(self, line: int, field: str, reason: str) -> None:
        super().__init__(f"header line {line}{f' ({field})' if field else ''}: {reason}")
        self.line = line
        self.field = field
        self.reason = reason


def is_field_name(name: str) -> bool:
    """Whether ``name`` can stand before the colon of a header field."""
    return _NAME.fullmatch(name) is not None


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
