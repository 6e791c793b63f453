"""Our message as Internet mail (RFC 5322, MIME), and as text for a terminal.

Rules: what came as Internet mail goes out octet for octet; every other value passes an encoder, so nothing a sender
wrote can begin a field, end a part or move a cursor; the result depends on the message alone, no clock and no chance.
"""

import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from immpd.mime.addresses import quote_if_special
from immpd.mime.headers import encode_text, field, is_commands_only, parameter, structured_field
from immpd.mime.incoming import READ_LIMIT, is_shown, media_type, part_text, read_text
from immpd.mime.text import clean_line, size_text
from immpd.model.message import Envelope, Part

ReadPart = Callable[[int], bytes]
"""Gives the octets of the part with that id."""

# Negated sets: spelling out "and all beyond ASCII" costs 15 ms when the module is loaded.
_ATOM: Final = r'[^\x00-\x20\x7f"(),.:;<>@\[\\\]]+'
_ATOMS: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_DOMAIN_END: Final = re.compile(r"[/#?]|::")
_DOMAIN: Final = re.compile(r"[^\x00-,./:-@\[-`{-\x7f\ufffd-][^\x00-,/:-@\[-`{-\x7f\ufffd]{0,253}")
_ID: Final = re.compile(r"[\x21-\x3b=\x3f\x41-\x7e]{1,250}(?:@[\x21-\x3b=\x3f\x41-\x5a\x5e-\x7e]{1,250})?")
_MEDIA_TYPE: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126})/([A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126})")
_PARAMETER: Final = re.compile(r';\s*+([A-Za-z0-9_.-]{1,60})\s*+=\s*+("(?:[^"\\]|\\.)*+"|[^\s;"]++)')
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_DAYS: Final = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
# Fields that the envelope or the encoder writes itself.
_WRITTEN: Final = frozenset(["subject", "date", "reply-to", "in-reply-to", "references", "importance"])


def render(
    envelope: Envelope,
    parts: Sequence[Part],
    read_part: ReadPart,
    *,
    origin_of: Callable[[str], str] | None = None,
    with_bcc: bool = False,
) -> bytes:
    """The message as Internet mail with CRLF line ends, in memory as a whole.

    A message whose only part is a message/rfc822 content part comes back octet for octet. Else one part makes a simple
    mail and several a multipart/mixed, everything in seven-bit encodings but embedded mails, which stay as they are.

    The Message-ID is ``<id@origin>``. ``origin_of`` gives the origin of another message's UUID, for In-Reply-To and
    References (default: this message's own origin). ``with_bcc`` writes Bcc: only for the sender's own eyes.
    Addresses with a non-ASCII local part are written as RFC 6532 has them. Raises what ``read_part`` raises.
    """
    if len(parts) == 1 and media_type(parts[0].type) == "message/rfc822" and parts[0].part_class == "content":
        return read_part(parts[0].id)
    domain = envelope.origin or envelope.from_.rpartition("@")[2].partition("/")[0]
    out = [_headers(envelope, _domain(domain), origin_of, with_bcc), b"MIME-Version: 1.0\r\n"]
    if len(parts) == 1:
        out.append(_entity(parts[0], read_part(parts[0].id)))
    elif parts:
        entities = [_entity(part, read_part(part.id)) for part in parts]
        boundary = _boundary(envelope.id, entities)
        line = b"\r\n--" + boundary
        out.append(b'Content-Type: multipart/mixed; boundary="' + boundary + b'"\r\n')
        for entity in entities:
            out += (line, b"\r\n", entity)
        out += (line, b"--\r\n")
    else:
        out.append(b"\r\n")
    return b"".join(out)


def render_text(envelope: Envelope, parts: Sequence[Part], read_part: ReadPart) -> str:
    """How the message looks to a person in a terminal: header, empty line, text, list of attachments. Lines end in LF.

    ``read_part`` may give only the first ``READ_LIMIT`` octets of a part, no more are looked at; it is called only for
    content that is shown.
    """
    author = f" (on behalf of {envelope.author})" if envelope.author else ""
    head = [
        ("From", envelope.from_ + author),
        ("To", ", ".join(envelope.to)),
        ("Cc", ", ".join(envelope.cc)),
        ("Bcc", ", ".join(envelope.bcc)),
        ("Date", envelope.date),
        ("Subject", envelope.subject),
        ("Importance", envelope.importance if envelope.importance != "normal" else ""),
    ]
    lines = [clean_line(f"{name}: {value}") for name, value in head if value]
    shown: list[str] = []
    listed: list[str] = []
    for part in parts:
        if part.part_class == "content" and media_type(part.type) == "message/rfc822":
            shown.append(read_text(read_part(part.id)))
        elif part.part_class == "content" and is_shown(part.type):
            shown.append(part_text(part.type, read_part(part.id)).strip("\n"))
            if part.length > READ_LIMIT:
                shown.append(f"[part {part.id} goes on: {size_text(part.length)} in all]")
        else:
            name = clean_line(part.name) or "(no name)"
            listed.append(f"  {part.id}  {name}  {clean_line(part.type)}  {size_text(part.length)}")
    if listed:
        listed.insert(0, "Parts:")
    return "\n\n".join(filter(None, ("\n".join(lines), *shown, "\n".join(listed)))) + "\n"


def _headers(envelope: Envelope, domain: str, origin_of: Callable[[str], str] | None, with_bcc: bool) -> bytes:
    """The header but its MIME fields."""

    def message_id(reference: str) -> str:
        """A UUID of ours or an Internet message-id, in angle brackets; empty if it cannot be written."""
        if not _ID.fullmatch(reference):
            return ""
        if "@" in reference:
            return f"<{reference}>"
        return f"<{reference}@{_domain(origin_of(reference)) if origin_of else domain}>"

    out = [structured_field("From", [_address(envelope.from_)])]
    for name, imids in (("To", envelope.to), ("Cc", envelope.cc), ("Bcc", envelope.bcc if with_bcc else ())):
        if imids:
            out.append(structured_field(name, [_address(imid) for imid in imids]))
    if envelope.reply_to:
        out.append(structured_field("Reply-To", [_address(envelope.reply_to)]))
    date = _date(envelope.date) or _date(envelope.received_date)
    if date:
        out.append(field("Date", date))
    if envelope.subject:
        out.append(field("Subject", envelope.subject))
    own = _ID.fullmatch(envelope.id) and f"<{envelope.id.replace('@', '.')}@{domain}>"
    ids = (
        ("Message-ID", [own] if own else []),
        ("In-Reply-To", [message_id(envelope.in_reply_to)]),
        ("References", [message_id(reference) for reference in envelope.references]),
    )
    for name, values in ids:
        written = [value for value in values if value]
        if written:
            out.append(structured_field(name, written, ""))
    if envelope.importance != "normal":
        out.append(field("Importance", envelope.importance))
    if envelope.author:
        out.append(field("X-IMMP-Author", envelope.author))
    for name, value in envelope.headers.items():
        if not name.isascii() or name.lower() in _WRITTEN or is_commands_only(name):
            continue
        try:
            out.append(field("-".join(word.capitalize() for word in name.split("-")), value))
        except ValueError:  # no name of a field: there is no way to write it
            continue
    return b"".join(out)


def _address(imid: str) -> str:
    """An IMID as an RFC 5322 mailbox.

    ``/`` and ``+`` are ordinary characters of a local part there (atext); other local parts are quoted. A folder after
    the domain has no place in an address: the whole IMID then stands before it as its name. What is no address at all
    goes, quoted, to the domain ``invalid`` (RFC 2606).
    """
    imid = clean_line(imid).strip()
    local, at, rest = imid.partition("@")
    cut = _DOMAIN_END.search(rest)
    domain = rest[: cut.start()] if cut else rest
    if not at or not local or not _DOMAIN.fullmatch(domain):
        return f"{_quoted(imid)}@invalid"
    address = f"{local if _ATOMS.fullmatch(local) else _quoted(local)}@{_domain(domain)}"
    if cut is None:
        return address
    name = quote_if_special(imid) if imid.isascii() else " ".join(encode_text(imid))
    return f"{name} <{address}>"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _domain(domain: str) -> str:
    """A domain in ASCII; ``invalid`` if it is none."""
    if _DOMAIN.fullmatch(domain):
        try:
            return domain if domain.isascii() else domain.encode("idna").decode("ascii")
        except UnicodeError:
            pass
    return "invalid"


def _date(text: str) -> str:
    """RFC 3339 as RFC 5322 section 3.3; empty if it is no date."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return ""
    return (
        f"{_DAYS[when.weekday()]}, {when.day:02} {_MONTHS[when.month - 1]} {when.year:04} {when:%H:%M:%S} "
        f"{f'{when:%z}'[:5] or '-0000'}"
    )


def _boundary(seed: str, entities: Sequence[bytes]) -> bytes:
    """A boundary made of the message's id that none of its parts contains."""
    for count in range(1_000_000):
        digest = hashlib.sha256(f"{seed} {count}".encode("utf-8", "replace")).hexdigest()[:24]
        boundary = b"=_" + digest.encode("ascii")
        if not any(boundary in entity for entity in entities):
            return boundary
    raise AssertionError("a million boundaries in one message")


def _entity(part: Part, octets: bytes) -> bytes:
    """One MIME entity: its Content fields, an empty line, its encoded octets."""
    match = _MEDIA_TYPE.match(part.type)
    main, sub = (match[1].lower(), match[2].lower()) if match else ("application", "octet-stream")
    tail = part.type[match.end() :] if match else ""
    parameters = {n.lower(): _unquoted(v) for n, v in _PARAMETER.findall(tail)}
    if main == "multipart" or (main == "message" and sub != "rfc822"):
        # Their octets may not be encoded (RFC 2046 section 5.2), and a reader would look for parts in them.
        main, sub, parameters = "application", "octet-stream", {}
    if main == "text" and "charset" not in parameters and _is_utf8(octets):
        parameters["charset"] = "utf-8"
    parameters.pop("name", None)
    parameters.pop("boundary", None)
    if main == "message":
        encoding, body = _embedded(octets)
    elif main == "text" and parameters.get("charset", "").lower() in ("utf-8", "us-ascii"):
        encoding, body = _text(octets)
    else:
        encoding, body = "base64", _base64(octets)
    words = [f"{main}/{sub}", *(parameter(n, v) for n, v in list(parameters.items())[:10] if len(v) <= 200)]
    out = [structured_field("Content-Type", words, ";")]
    if part.part_class == "attachment" or (part.name and main != "text"):
        name = [parameter("filename", part.name[:200])] if part.name else []
        kind = "attachment" if part.part_class == "attachment" else "inline"
        out.append(structured_field("Content-Disposition", [kind, *name], ";"))
    out.append(f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode("ascii"))
    out.append(body)
    return b"".join(out)


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _has_long_line(octets: bytes) -> bool:
    """Whether a line is longer than mail allows (RFC 5322 section 2.1.1)."""
    return max(map(len, octets.split(b"\n"))) > 990


def _text(octets: bytes) -> tuple[str, bytes]:
    """Text with CRLF line ends: as it is where mail allows that, else in the shorter of the two encodings."""
    lines = _LINE_END.sub(b"\n", octets)
    if lines.isascii() and b"\0" not in lines and not _has_long_line(lines):
        return "7bit", lines.replace(b"\n", b"\r\n")
    ascii_octets = len(lines.decode("utf-8", "ignore").encode("ascii", "ignore"))
    if len(lines) - ascii_octets > len(lines) // 6:  # quoted-printable makes three of one, base64 four of three
        return "base64", _base64(lines.replace(b"\n", b"\r\n"))
    return "quoted-printable", binascii.b2a_qp(lines, istext=True).replace(b"\n", b"\r\n")


def _embedded(octets: bytes) -> tuple[str, bytes]:
    """A mail inside a mail: never encoded (RFC 2046 section 5.2.1); bare line feeds become line ends of mail."""
    if b"\r\n" not in octets:
        octets = octets.replace(b"\n", b"\r\n")
    if b"\0" in octets or _has_long_line(octets):
        return "binary", octets
    return ("7bit" if octets.isascii() else "8bit"), octets


def _base64(octets: bytes) -> bytes:
    """Base64 in lines of 76 characters."""
    return b"\r\n".join(binascii.b2a_base64(octets[at : at + 57], newline=False) for at in range(0, len(octets), 57))
