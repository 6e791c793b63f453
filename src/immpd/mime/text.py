"""Octets of unknown character set to text that is safe to show on one line, or on several.

Rules: nothing raises, whatever the octets are; a character set is looked up only if it is in our own table (Python
remembers each unknown name for ever); no control, bidirectional or line-separator character survives,
in a line no invisible one either (docs/protocol.md, "Replies").
"""

import re
from email.errors import HeaderParseError
from email.header import decode_header
from encodings.aliases import aliases
from typing import Final

from immpd.model.characters import INVISIBLE, UNSAFE, UNSAFE_IN_BODY

REPLACEMENT: Final = "\ufffd"

# Codecs that are no character sets, that can be made to run for long, or whose result is not what a sender means.
_NOT_FOR_MAIL: Final = re.compile(
    "(?:base64|bz2|hex|quopri|uu|zlib)_codec|rot_13|mbcs|oem|idna|punycode|undefined|(?:raw_)?unicode_escape"
)
_CODECS: Final[dict[str, str]] = {
    **{codec: codec for codec in aliases.values() if not _NOT_FOR_MAIL.fullmatch(codec)},
    **{name: codec for name, codec in aliases.items() if not _NOT_FOR_MAIL.fullmatch(codec)},
    # What senders mean by these names, as browsers take them.
    **dict.fromkeys(("ascii", "us_ascii", "latin_1", "latin1", "iso_8859_1", "iso8859_1"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk", "x_gbk"), "gb18030"),
    **dict.fromkeys(("iso_8859_8_i", "iso_8859_8_e"), "iso8859_8"),
    "windows_874": "cp874",
    "x_sjis": "shift_jis",
    "utf8mb4": "utf_8",
}

_DRIVE: Final = re.compile(r"\A(?:[A-Za-z]:)+")
_WORD: Final = r"=\?[!->@-~]{1,60}\?[bBqQ]\?[!->@-~ ]*+\?="
_WORDS: Final = re.compile(rf"{_WORD}(?:[ \t\r\n]*{_WORD})*")


def clean_line(text: str) -> str:
    """``text`` as one line that forges nothing: a tab becomes a space, unsafe characters become U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    return UNSAFE.sub(REPLACEMENT, text.replace("\t", " "))


def file_name(text: str) -> str:
    r"""A file's name without the folders, drive and leading dots that a sender put before it; may be empty.

    Whoever saves it under this name writes where he meant to: ``../../.ssh/config``, ``C:\\x``, ``C:x`` lose all that.
    """
    last = clean_line(text).replace("\\", "/").rpartition("/")[2].strip()
    return _DRIVE.sub("", last).strip(". ")[:200]


def clean_text(text: str) -> str:
    """``text`` with lines ended by LF, tabs kept, unsafe characters replaced by U+FFFD and invisible ones left out."""
    if text.isascii() and text.isprintable():
        return text
    return UNSAFE_IN_BODY.sub(REPLACEMENT, INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def decode(octets: bytes, charset: str = "") -> str:
    """``octets`` as text. Never raises.

    ``charset`` is the sender's word (IANA name). Where it is missing, unknown, or US-ASCII or Latin-1, which senders
    write without thinking, UTF-8 is tried first and Windows-1252 taken otherwise; elsewhere what does not fit becomes
    U+FFFD. The text is not yet cleaned.
    """
    codec = _CODECS.get(charset.strip().lower().replace("-", "_").replace(" ", "_"), "") if charset else ""
    if not codec or codec == "cp1252":
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError:
            return octets.decode("cp1252", "replace")
    try:
        return octets.decode(codec, "replace")
    except (UnicodeError, LookupError, ValueError):  # a codec this platform lacks, or one that is strict anyway
        return octets.decode("cp1252", "replace")


def decode_words(text: str) -> str:
    """``text`` with its RFC 2047 encoded words decoded. Never raises; broken words stay as they are. Not yet cleaned.

    ``email.header`` sees only words that are whole: unclosed ones cost it quadratic time, and it loses characters
    beyond ASCII between them.
    """
    return _WORDS.sub(lambda words: _decoded(words[0]), text) if "=?" in text else text


def _decoded(words: str) -> str:
    """A run of encoded words; neighbours of one charset are joined first, because senders cut characters in half."""
    try:
        chunks = decode_header(words)
    except (HeaderParseError, ValueError):
        return words
    return "".join(
        # RFC 2231 section 5: =?charset*language?...
        decode(chunk, (charset or "").partition("*")[0]) if isinstance(chunk, bytes) else chunk
        for chunk, charset in chunks
    )


def size_text(octets: int) -> str:
    """A number of octets for a person: ``812 B``, ``12.3 KiB``, ``4.0 MiB``."""
    if octets < 1024:
        return f"{octets} B"
    if octets < 1024 * 1024:
        return f"{octets / 1024:.1f} KiB"
    if octets < 1 << 30:
        return f"{octets / (1024 * 1024):.1f} MiB"
    return f"{octets / (1 << 30):.1f} GiB"
