"""Our message as Internet mail (RFC 5322, MIME), and as text for a terminal; the standard library builds the mail.

Rules: what came as Internet mail goes out octet for octet, but for who is proven to have sent it; every other value is
cleaned first, so nothing a sender wrote can begin a field, end a part or move a cursor; the result depends on the
message alone, no clock and no chance.

Why not ``email.policy.SMTP``: it decodes encoded words in what it is given, so that a subject of
``=?utf-8?q?a=0d=0aBcc:_x@y?=`` makes a second field, and it writes long message-ids as encoded words. ``Header``, which
belongs to ``compat32``, only encodes.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from email.contentmanager import raw_data_manager
from email.header import Header
from email.message import MIMEPart
from email.policy import compat32
from email.utils import format_datetime, quote
from typing import Final

from immpd.mime.headers import SERVER_SAYS, is_commands_only, is_field_name
from immpd.mime.incoming import READ_LIMIT, TEXT_LIMIT, Room, is_shown, media_type, part_text, read_text
from immpd.mime.structure import HEADER_LIMIT, content_type, count_from, header_end, parameter
from immpd.mime.text import clean_line, file_name, size_text
from immpd.model.message import Envelope, Part, is_internet_mail, is_rfc822, sender_text

ReadPart = Callable[[int], bytes]
"""Gives the octets of the part with that id."""

# Negated sets: spelling out "and all beyond ASCII" costs 15 ms when the module is loaded.
_ATOM: Final = r'[^\x00-\x20\x7f"(),.:;<>@\[\\\]]+'
_ATOMS: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_DOMAIN_END: Final = re.compile(r"[/#?]|::")
_DOMAIN: Final = re.compile(r"[^\x00-,./:-@\[-`{-\x7f\ufffd-][^\x00-,/:-@\[-`{-\x7f\ufffd]{0,253}")
_ID: Final = re.compile(r"[\x21-\x3b=\x3f\x41-\x7e]{1,250}(?:@[\x21-\x3b=\x3f\x41-\x5a\x5e-\x7e]{1,250})?")
_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
_PARAMETER_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_QP_LIMIT: Final = 256 * 1024  # octets of text; the library writes quoted-printable in Python
_UTF8: Final = ("utf-8", "utf8", "us-ascii", "ascii")
_SENDER: Final = re.compile(rb"(?<![^\r\n])(sender[ \t]*:)", re.IGNORECASE)  # a line begins behind a bare CR, too
_BUILDER: Final = compat32.clone(linesep="\r\n", cte_type="7bit", max_line_length=78)
_WRITER: Final = _BUILDER.clone(cte_type="8bit")  # writes RFC 6532 addresses and embedded mails as they are
# Fields that the envelope or the encoder writes itself.
_WRITTEN: Final = frozenset(["subject", "date", "reply-to", "in-reply-to", "references", "importance"])


class _Entity(MIMEPart):
    """A mail or one of its parts."""

    def get_content_maintype(self) -> str:
        """As the writer asks for it: an embedded mail passes for text, so that it is written as it is."""
        maintype = super().get_content_maintype()
        return "text" if maintype == "message" else maintype


def render(
    envelope: Envelope,
    parts: Sequence[Part],
    read_part: ReadPart,
    *,
    origin_of: Callable[[str], str] | None = None,
    with_bcc: bool = False,
) -> bytes:
    """The message as Internet mail with CRLF line ends, in memory as a whole.

    What is one Internet mail comes back as ``with_sender`` says. Else one part makes a simple mail and several parts
    a multipart/mixed, everything in seven-bit encodings but embedded mails, which stay as they are.

    The Message-ID is ``<id@origin>``. ``origin_of`` gives the origin of another message's UUID, for In-Reply-To and
    References (default: this message's own origin). ``with_bcc`` writes Bcc: only for the sender's own eyes.
    Addresses with a non-ASCII local part are written as RFC 6532 has them. Raises what ``read_part`` raises.
    """
    if is_internet_mail(parts):
        return with_sender(envelope, read_part(parts[0].id))
    domain = envelope.origin or envelope.from_.rpartition("@")[2].partition("/")[0]
    mail = _Entity(policy=_BUILDER)
    _add_headers(mail, envelope, _domain(domain), origin_of, with_bcc)
    mail["MIME-Version"] = "1.0"
    if len(parts) == 1:
        _fill(mail, parts[0], read_part(parts[0].id))
    elif parts:
        digest = hashlib.sha256(envelope.id.encode("utf-8", "replace"))
        mail["Content-Type"] = "multipart/mixed"
        for part in parts:
            octets = read_part(part.id)
            digest.update(octets)
            entity = _Entity(policy=_BUILDER)
            _fill(entity, part, octets)
            mail.attach(entity)
        mail.set_boundary(f"=_{digest.hexdigest()[:32]}")  # of all octets: none of them can contain it
    return mail.as_bytes(policy=_WRITER)


def with_sender(envelope: Envelope, octets: bytes) -> bytes:
    """An Internet mail that says in ``Sender`` (RFC 5322 section 3.6.2) who is proven to have sent it.

    Octet for octet as it came where it is certain to name nobody else. A ``Sender`` of its own becomes
    ``X-IMMP-Unproven-Sender``. ``octets`` are the whole mail, or its first ``HEADER_LIMIT`` octets.
    """
    end = header_end(octets, HEADER_LIMIT)
    head = octets[:end]
    if not envelope.author and count_from(head) == 1 and _SENDER.search(head) is None:
        return octets
    line_end = b"\n" if b"\n" in head and b"\r\n" not in head else b"\r\n"
    sender = b"Sender: " + _address(envelope.from_).encode() + line_end
    return sender + _SENDER.sub(rb"X-IMMP-Unproven-\1", head) + octets[end:]


def octets_shown(parts: Sequence[Part]) -> dict[int, int]:
    """Which parts ``render_text`` looks at, by id, and at how many of their octets: ``READ_LIMIT`` in all at most."""
    left = READ_LIMIT
    shown: dict[int, int] = {}
    for part in parts:
        if _is_read(part):
            limit = READ_LIMIT if is_rfc822(part.type) else TEXT_LIMIT
            shown[part.id] = min(part.length, limit, left)
            left -= shown[part.id]
    return shown


def _is_read(part: Part) -> bool:
    return part.part_class == "content" and (is_rfc822(part.type) or is_shown(part.type))


def render_text(envelope: Envelope, parts: Sequence[Part], read_part: ReadPart) -> str:
    """How the message looks to a person in a terminal: header, empty line, text, list of attachments. Lines end in LF.

    ``read_part`` is asked for what ``octets_shown`` says, and may give more. Where not all is shown, the text says how
    to get it.
    """
    head = [
        ("From", sender_text(envelope.from_, envelope.author)),
        ("To", ", ".join(envelope.to)),
        ("Cc", ", ".join(envelope.cc)),
        ("Bcc", ", ".join(envelope.bcc)),
        ("Reply-To", envelope.reply_to),
        ("Date", envelope.date),
        ("Subject", envelope.subject),
        ("Importance", envelope.importance if envelope.importance != "normal" else ""),
    ]
    lines = [clean_line(f"{name}: {value}") for name, value in head if value]
    shown: list[str] = []
    listed: list[str] = []
    counts = octets_shown(parts)
    room = Room()
    for part in parts:
        if _is_read(part):
            count = counts[part.id]
            room.cut = count < part.length
            if count and room.text:
                octets = read_part(part.id)[:count]
                is_mail = is_rfc822(part.type)
                shown.append(read_text(octets, room) if is_mail else part_text(part.type, octets, room).strip("\n"))
            elif count:
                room.cut = True
            if room.cut:
                size = size_text(part.length)
                shown.append(f"[Not all of part {part.id} is shown; FETCH with PART {part.id} brings its {size}]")
        else:
            name = file_name(part.name) or "(no name)"
            listed.append(f"  {part.id}  {name}  {clean_line(part.type)}  {size_text(part.length)}")
    if listed:
        listed.insert(0, "Parts:")
    return "\n\n".join(filter(None, ("\n".join(lines), *shown, "\n".join(listed)))) + "\n"


def _add_headers(
    mail: MIMEPart, envelope: Envelope, domain: str, origin_of: Callable[[str], str] | None, with_bcc: bool
) -> None:
    """Add the header but its MIME fields."""

    def message_id(reference: str) -> str:
        """A UUID of ours or an Internet message-id, in angle brackets; empty if it cannot be written."""
        if "=?" in reference or not _ID.fullmatch(reference):
            return ""
        if "@" in reference:
            return f"<{reference}>"
        return f"<{reference}@{_domain(origin_of(reference)) if origin_of else domain}>"

    fields = (
        ("From", (envelope.from_,)),
        ("To", envelope.to),
        ("Cc", envelope.cc),
        ("Bcc", envelope.bcc if with_bcc else ()),
        ("Reply-To", (envelope.reply_to,) if envelope.reply_to else ()),
    )
    for name, imids in fields:
        if imids:
            value = ", ".join(map(_address, imids))
            if not value.isascii():  # the writer takes that as octets, and does not fold it
                value = value.replace(", ", ",\r\n ").encode("utf-8").decode("ascii", "surrogateescape")
            mail[name] = value
    date = _date(envelope.date) or _date(envelope.received_date)
    if date:
        mail["Date"] = date
    if envelope.subject:
        mail["Subject"] = _text("Subject", envelope.subject)
    ids = (
        ("Message-ID", (message_id(envelope.id.replace("@", ".")),)),
        ("In-Reply-To", (message_id(envelope.in_reply_to),)),
        ("References", tuple(map(message_id, envelope.references))),
    )
    for name, values in ids:
        if any(values):
            mail[name] = " ".join(filter(None, values))
    if envelope.importance != "normal":
        mail["Importance"] = envelope.importance
    if envelope.author:
        mail["X-IMMP-Author"] = _text("X-IMMP-Author", envelope.author)
    for name, value in envelope.headers.items():
        if is_field_name(name) and name.lower() not in _WRITTEN and (name in SERVER_SAYS or not is_commands_only(name)):
            title = "-".join(word.capitalize() for word in name.split("-"))
            mail[title] = _text(title, value)


def _text(name: str, value: str) -> Header:
    """An unstructured value: as it is where it is ASCII that nobody would decode and lines can hold, else encoded."""
    value = clean_line(value).strip()
    plain = value.isascii() and "=?" not in value and "  " not in value and max(map(len, value.split(" "))) < 800
    return Header(value, "us-ascii" if plain else "utf-8", header_name=name)


def _address(imid: str) -> str:
    """An IMID as an RFC 5322 mailbox.

    ``/`` and ``+`` are ordinary characters of a local part there (atext); other local parts are quoted. A folder after
    the domain has no place in an address: the whole IMID then stands before it as its name. What is no address at all
    goes, quoted, to the domain ``invalid`` (RFC 2606).
    """
    imid = clean_line(imid).strip().replace("=?", "=\ufffd")  # what could pass for an encoded word
    local, at, rest = imid.partition("@")
    cut = _DOMAIN_END.search(rest)
    domain = rest[: cut.start()] if cut else rest
    if not at or not local or not _DOMAIN.fullmatch(domain):
        return f"{_quoted(imid)}@invalid"
    address = f"{local if _ATOMS.fullmatch(local) else _quoted(local)}@{_domain(domain)}"
    if cut is None:
        return address
    name = _quoted(imid) if imid.isascii() else Header(imid, "utf-8").encode(linesep="\r\n")
    return f"{name} <{address}>"


def _quoted(text: str) -> str:
    return f'"{quote(text)}"'


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
        return format_datetime(datetime.fromisoformat(text))
    except ValueError:
        return ""


def _fill(entity: MIMEPart, part: Part, octets: bytes) -> None:
    """Give ``entity`` its Content fields and its encoded octets."""
    given = content_type(clean_line(part.type))
    main, _, sub = media_type(clean_line(part.type)).partition("/")
    names = [name for name, _ in given.get_params([])[1:11] if _PARAMETER_NAME.fullmatch(name)]
    parameters = {name.lower(): parameter(given, name) for name in names if name.lower() not in ("name", "boundary")}
    if not _MEDIA_TYPE.fullmatch(f"{main}/{sub}") or main == "multipart" or (main == "message" and sub != "rfc822"):
        # The octets of the last two may not be encoded (RFC 2046 section 5.2), and a reader would look for parts there.
        main, sub, parameters = "application", "octet-stream", {}
    text = _utf8(octets) if main == "text" and parameters.get("charset", "utf-8").lower() in _UTF8 else None
    if main == "message":
        _embed(entity, octets)
    elif text is None:
        entity.set_content(octets, maintype=main, subtype=sub, content_manager=raw_data_manager)
    else:
        parameters.pop("charset", None)
        encoding = "base64" if "\0" in text or len(octets) > _QP_LIMIT else None
        entity.set_content(text, subtype=sub, cte=encoding, content_manager=raw_data_manager)
    for name, value in parameters.items():
        _set_parameter(entity, name, value, "Content-Type")
    name = file_name(part.name)
    if part.part_class == "attachment" or (name and main != "text"):
        entity["Content-Disposition"] = "attachment" if part.part_class == "attachment" else "inline"
        if name:
            _set_parameter(entity, "filename", name, "Content-Disposition")


def _set_parameter(entity: MIMEPart, name: str, value: str, header: str) -> None:
    """Set a parameter: plain where it is ASCII that nobody would decode, else as RFC 2231 has it."""
    value = clean_line(value)[:200]
    entity.set_param(name, value, header, charset=None if value.isascii() and "=?" not in value else "utf-8")


def _embed(entity: MIMEPart, octets: bytes) -> None:
    """A mail inside a mail: never encoded (RFC 2046 section 5.2.1); bare line feeds become line ends of mail."""
    long = max(map(len, octets.split(b"\n"))) > 990  # RFC 5322 section 2.1.1
    entity["Content-Type"] = "message/rfc822"
    entity["Content-Transfer-Encoding"] = (
        "binary" if long or b"\0" in octets else "7bit" if octets.isascii() else "8bit"
    )
    entity.set_payload(octets.decode("ascii", "surrogateescape"))


def _utf8(octets: bytes) -> str | None:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return None
