"""Octets of unknown character set to text that is safe to show on one line, or on several.

Rules: nothing raises, whatever the octets are; every step costs time linear in its input; a character set is looked
up only if it is in our own table (Python remembers each unknown name for ever); no control, bidirectional or
line-separator character survives (docs/protocol.md, "Replies").
"""

import binascii
import re
from encodings.aliases import aliases
from typing import Final

REPLACEMENT: Final = "\ufffd"

# C0 without tab and line feed, DEL, C1, the bidirectional controls, line and paragraph separator, lone surrogates
# (which no UTF-8 encoder takes).
_UNSAFE_LINE: Final = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# A body may hold lines, and the three implicit marks that ordinary Arabic and Hebrew text contains: they reach no
# further than their own line.
_UNSAFE_TEXT: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

# Codecs that are no character sets, that can be made to run for long, or whose result is not what a sender means.
_NOT_FOR_MAIL: Final = frozenset(
    [
        "base64_codec",
        "bz2_codec",
        "hex_codec",
        "quopri_codec",
        "rot_13",
        "uu_codec",
        "zlib_codec",
        "mbcs",
        "oem",
        "idna",
        "punycode",
        "undefined",
        "unicode_escape",
        "raw_unicode_escape",
    ]
)
_EXTRA_NAMES: Final = {
    "ascii": "cp1252",
    "us_ascii": "cp1252",
    "latin_1": "cp1252",
    "latin1": "cp1252",
    "iso_8859_1": "cp1252",
    "iso8859_1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "x_sjis": "shift_jis",
    "x_mac_roman": "mac_roman",
    "x_gbk": "gb18030",
    "utf8mb4": "utf_8",
}
_CODECS: Final[dict[str, str]] = {
    **{name: codec for name, codec in aliases.items() if codec not in _NOT_FOR_MAIL},
    **{codec: codec for codec in aliases.values() if codec not in _NOT_FOR_MAIL},
    **{f"windows_{n}": f"cp{n}" for n in (874, *range(1250, 1259))},
    **_EXTRA_NAMES,
}

_ENCODED_WORD: Final = re.compile(r"=\?([^?\s=]{1,60})\?([bBqQ])\?([^?\r\n]*+)\?=")
_NOT_BASE64: Final = bytes(
    sorted(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
)


def clean_line(text: str) -> str:
    """``text`` as one line that forges nothing: a tab becomes a space, unsafe characters become U+FFFD."""
    if text.isprintable():  # true of no control, format or separator character but the space
        return text
    return _UNSAFE_LINE.sub(REPLACEMENT, text.replace("\t", " "))


def clean_text(text: str) -> str:
    """``text`` with lines ended by LF, tabs kept, unsafe characters replaced by U+FFFD."""
    if text.isprintable():
        return text
    return _UNSAFE_TEXT.sub(REPLACEMENT, text.replace("\r\n", "\n").replace("\r", "\n"))


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


def decode_base64(octets: bytes) -> bytes:
    """Base64 as mail has it: other characters are skipped, what follows the padding and a broken end are dropped."""
    kept = octets.translate(None, _NOT_BASE64).partition(b"=")[0]
    if len(kept) % 4 == 1:
        kept = kept[:-1]
    return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))


def decode_words(text: str) -> str:
    """``text`` with its RFC 2047 encoded words decoded. Never raises; broken words stay as they are.

    Blank space between two words vanishes (section 6.2). Neighbours of one charset are decoded together, because
    senders do cut characters in half. The text is not yet cleaned.
    """
    if "=?" not in text:
        return text
    out: list[str] = []
    pending = bytearray()
    charset = ""
    last = -1
    for match in _ENCODED_WORD.finditer(text):
        between = text[max(last, 0) : match.start()]
        name = match[1].partition("*")[0].lower()  # RFC 2231 section 5: =?charset*language?...
        joined = last >= 0 and not between.strip(" \t\r\n")
        if not joined or name != charset:
            out.append(decode(bytes(pending), charset))
            pending.clear()
        if not joined:
            out.append(between)
        charset, last = name, match.end()
        word = match[3].encode("utf-8", "replace")
        pending += decode_base64(word) if match[2] in "bB" else binascii.a2b_qp(word, header=True)
    if last < 0:
        return text
    out.append(decode(bytes(pending), charset))
    out.append(text[last:])
    return "".join(out)


def unfold(text: str) -> str:
    """A header field's value on one line (RFC 5322 section 2.2.3), blank space around it removed."""
    if "\n" in text:
        text = text.replace("\r\n", "").replace("\n", "")
    return text.strip(" \t\r")


def header_text(octets: bytes, limit: int) -> str:
    """An unstructured header field's value for a person: decoded, on one line, clean, at most ``limit`` characters."""
    return clean_line(decode_words(unfold(decode(octets)))).strip()[:limit]


def size_text(octets: int) -> str:
    """A number of octets for a person: ``812 B``, ``12.3 KiB``, ``4.0 MiB``."""
    if octets < 1024:
        return f"{octets} B"
    if octets < 1024 * 1024:
        return f"{octets / 1024:.1f} KiB"
    return f"{octets / (1024 * 1024):.1f} MiB"
