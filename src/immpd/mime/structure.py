"""The header and the MIME tree of a mail (RFC 5322, 2045, 2046), as libraries read them.

Rules: nothing raises; fast-mail-parser reads fields and parts, the standard library their parameters and the mails that
the first refuses, and what both refuse is plain text; no library sees input on which it is known to need more than
linear time or memory (each guard says which); an embedded mail is one part, its inside is its own affair.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from email.message import Message
from email.parser import Parser
from email.policy import Compat32, compat32
from itertools import repeat
from typing import Final, TypeAlias

import msgspec
from fast_mail_parser import PyMimePart, parse_email_tree

from immpd.mime.text import clean_line, decode, decode_words, file_name

Fields: TypeAlias = "Message[str, str]"

HEADER_LIMIT: Final = 256 * 1024
"""Octets of the header block that are looked at."""
MAX_PARTS: Final = 500
MAX_DEPTH: Final = 30

_DESCRIPTION_LIMIT: Final = 2048
_MAX_DELIMITERS: Final = 10_000
_MAX_EMBEDDED: Final = 8
_MAX_LINES: Final = 1_000_000

_HEADER_END: Final = re.compile(rb"\n\r?\n")
_FROM: Final = re.compile(rb"(?:\A|[\r\n])from[ \t]*:", re.IGNORECASE)
_DESCRIBES: Final = ("content-type", "content-disposition", "content-transfer-encoding")
_ENCODINGS: Final = ("base64", "quoted-printable")
# Fast-mail-parser needs quadratic time for encoded words in a field, wherever that stands (343 s for 8 MiB), so it sees
# this instead of their beginnings and ends.
_MARK: Final = b"=\x01?"
_parser = Parser(policy=compat32)


class _AsTheyCame(Compat32):
    """Writes fields as they are: the library needs quadratic time to fold them."""

    def fold(self, name: str, value: str) -> str:
        """One field with its line end."""
        return f"{name}: {value}\n"


_as_they_came = _AsTheyCame()


class Node(msgspec.Struct, frozen=True):
    """One part: a leaf with content, or a multipart with children."""

    type: str
    """``type/subtype`` in lower case."""
    charset: str
    name: str
    """File name: clean, without folders; may be empty."""
    attached: bool
    """Whether its Content-Disposition is ``attachment``."""
    content: bytes = b""
    """Decoded."""
    children: tuple["Node", ...] = ()


def leaves(node: Node) -> list[Node]:
    """Every part with content, in the order of the mail; their place (from 1) is the number people use."""
    if not node.children:
        return [node]
    return [leaf for child in node.children for leaf in leaves(child)]


def read_fields(octets: bytes) -> dict[str, list[str]]:
    """The fields in the header of the mail ``octets``, never its body: names in lower case, values on one line.

    Encoded words are not decoded. Never raises: a block that cannot be read has no fields.
    """
    fields: dict[str, list[str]] = {}
    with suppress(Exception):
        for name, values in _fast(octets[: header_end(octets, HEADER_LIMIT)]).headers.items():
            if name:
                fields.setdefault(name.strip().lower(), []).extend(map(_restored, values))
    return fields


def count_from(head: bytes) -> int:
    """From fields that anybody could see in this header, also one who takes a bare CR for the end of a line."""
    return len(_FROM.findall(head))


def header_end(octets: bytes, limit: int) -> int:
    """Where the header ends, or ``limit`` if it does not end before."""
    if octets.startswith((b"\n", b"\r\n")):
        return 0
    found = _HEADER_END.search(octets, 0, limit)
    return found.end() if found else limit


def read_structure(octets: bytes) -> Node:
    """The tree of the mail ``octets``. Never raises; what is past the bounds is left out."""
    end = header_end(octets, len(octets))
    if end > HEADER_LIMIT:
        octets = octets[:HEADER_LIMIT] + b"\n\n" + octets[end:]
    if octets.count(b"\n--") > _MAX_DELIMITERS:  # both parsers build a million parts of 8 MiB, in 1 and 13 s
        octets = octets[: -len(octets.split(b"\n--", _MAX_DELIMITERS)[-1])]
    lines, lower = octets.count(b"\n"), octets.lower()
    embedded, multiparts = lower.count(b"message/") + lower.count(b"/digest"), lower.count(b"multipart/")
    with suppress(Exception):  # DecodeError for one broken part, and whatever else it may think of
        # A folded line takes 150 octets. Embedded mails are parsed too: 250 in one another hold the octets 250 times.
        if lines <= _MAX_LINES and embedded <= _MAX_EMBEDDED and _MARK not in octets:
            return _from_fast(_fast(octets), repeat(None, MAX_PARTS), 0)
    with suppress(Exception):  # RecursionError for mails in mails, and what nobody knows yet
        if lines * (1 + multiparts) <= _MAX_LINES:  # each open multipart is asked about each line
            return _from_message(_parser.parsestr(octets.decode("latin-1")), repeat(None, MAX_PARTS), 0)
    return Node("text/plain", "", "", attached=False, content=octets)


def _fast(octets: bytes) -> PyMimePart:
    """What fast-mail-parser says, with marks; whatever is raised is an Exception."""
    try:
        return parse_email_tree(octets.replace(b"=?", _MARK))
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # Rust's, and no Exception
            raise ValueError("fast-mail-parser failed") from error
        raise


def _restored(text: str) -> str:
    return text.replace(_MARK.decode("ascii"), "=?")


def _from_fast(part: PyMimePart, budget: Iterator[None], depth: int) -> Node:
    """The tree as fast-mail-parser sees it."""
    message: Fields = Message(policy=compat32)
    for name, values in part.headers.items():
        if name.lower() in _DESCRIBES and name not in message:
            message[name] = _restored(values[0])[:_DESCRIPTION_LIMIT]
    if "content-type" not in message:
        message["content-type"] = part.content_type  # inside multipart/digest that is no text
    if message.get_content_maintype() == "multipart":
        if not part.children:
            raise ValueError("nothing marks its parts")
        inner = zip(part.children, budget, strict=False) if depth < MAX_DEPTH else ()
        return _node(message, b"", [_from_fast(child, budget, depth + 1) for child, _ in inner])
    content = part.content or b""
    encoding = message.get("content-transfer-encoding", "").lower()
    if encoding != "base64":
        content = content.replace(_MARK, b"=?")
    if encoding not in _ENCODINGS and encoding.strip(" \t;") in _ENCODINGS:
        message.set_payload(content.decode("latin-1"))
        content = _content(message)
    return _node(message, content)


def _from_message(message: Fields, budget: Iterator[None], depth: int) -> Node:
    """The tree as the standard library sees it; octets are Latin-1 characters there."""
    payload = message.get_payload()
    if not isinstance(payload, list):
        content = _content(message)
        if message.get_content_maintype() == "multipart":  # nothing marks its parts: shown as the text it is
            return Node("text/plain", "", "", attached=False, content=content)
        return _node(message, content)
    inner = [part for part in payload if isinstance(part, Message)] if depth < MAX_DEPTH else []
    if message.get_content_maintype() == "message":
        mails = "\n".join(part.as_string(policy=_as_they_came) for part in inner)
        return _node(message, mails.encode("latin-1", "replace"))
    return _node(message, b"", [_from_message(part, budget, depth + 1) for part, _ in zip(inner, budget, strict=False)])


def _content(message: Fields) -> bytes:
    """The decoded content of a leaf; neither parser knows its encoding if blank space stands behind the name."""
    encoding = message.get("content-transfer-encoding", "").strip(" \t;")
    del message["content-transfer-encoding"]
    message["content-transfer-encoding"] = encoding
    content = message.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _node(message: Fields, content: bytes, children: list[Node] | None = None) -> Node:
    disposition = message.get("content-disposition", "").partition(";")[0].strip().lower()
    name = parameter(message, "filename", "content-disposition") or parameter(message, "name")
    return Node(
        type=clean_line(message.get_content_type())[:200],
        charset=parameter(message, "charset")[:60],
        name=file_name(decode_words(name)),
        attached=disposition == "attachment",
        content=content,
        children=tuple(children or ()),
    )


def content_type(kind: str) -> Fields:
    """A media type with its parameters, for ``parameter``."""
    message: Fields = Message(policy=compat32)
    message["content-type"] = kind
    return message


def parameter(message: Fields, name: str, header: str = "content-type") -> str:
    """A parameter of a field, empty if it is missing or unreadable (RFC 2045 section 5.1, RFC 2231)."""
    try:
        value = message.get_param(name, "", header)
    except ValueError:  # name*99…99: Python refuses to read numbers of thousands of digits
        return ""
    if isinstance(value, tuple):
        # Not collapse_rfc2231_value: it looks up any charset.
        return decode(value[2].encode("latin-1", "replace"), value[0] or "")
    try:
        return decode(value.encode("latin-1"))  # a character is an octet, unless fast-mail-parser has decoded it
    except UnicodeEncodeError:
        return value
