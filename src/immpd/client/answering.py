"""What an answer and a forwarded message say: to whom they go, their subject, what they quote.

Rules (RFC 5322, section 3.6; docs/protocol.md, "DELIVER"): an answer goes where Reply-To says, else to who wrote it,
never to oneself; with all, to everybody who got it, and what came through a list goes to the list instead of its
writer; Re: stands once; references are those of the message, and then itself. Nothing here asks a server.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from email.utils import getaddresses

import msgspec

from immpd.mime.incoming import is_shown, part_text, shown_text
from immpd.model.imid import Imid, ImidError, parse_imid
from immpd.model.message import Envelope, FetchedMessage, FetchedPart, is_rfc822, sender_text
from immpd.model.references import Reference, bounded, native

MAX_SUBJECT = 2000
"""Octets."""
_RE = re.compile(r"\s*(?:re|aw|sv|antw)(?:\[\d+\])?\s*:\s*", re.IGNORECASE)
_FWD = re.compile(r"\s*(?:fwd?|wg)\s*:", re.IGNORECASE)


class Answer(msgspec.Struct, frozen=True):
    """Whom an answer goes to, and how it is tied to what it answers."""

    to: tuple[Imid, ...]
    cc: tuple[Imid, ...]
    subject: str
    in_reply_to: Reference
    references: tuple[Reference, ...]


def answer_to(envelope: Envelope, me: Imid, *, all: bool = False) -> Answer:
    """The head of an answer by ``me`` to a message; ``to`` is empty where there is nobody to answer."""
    others = _imids((*envelope.to, *envelope.cc))
    writer = _first_of(_addresses(envelope.reply_to), _addresses(envelope.author), _imids((envelope.from_,)))
    if all and "list-id" in envelope.headers:
        writer = _first_of(_imids((envelope.headers["list-id"],)), writer)
    to = _without(writer, me)
    if not to:  # one's own message: the answer goes on from it, to those who got it
        to, others = _without(_imids(envelope.to), me), _imids(envelope.cc)
    named = {imid.key for imid in to}
    cc = tuple(imid for imid in _without(others, me) if imid.key not in named) if all else ()
    itself = native(envelope.message_id or envelope.id)
    before = envelope.references or ((envelope.in_reply_to,) if envelope.in_reply_to else ())
    return Answer(to, cc, reply_subject(envelope.subject), itself, tuple(map(native, bounded((*before, itself)))))


def reply_subject(subject: str) -> str:
    """The subject with Re: once."""
    bare = subject
    while found := _RE.match(bare):
        bare = bare[found.end() :]
    return _cut(f"Re: {bare}".rstrip())


def forward_subject(subject: str) -> str:
    """The subject with Fwd: once."""
    return subject if _FWD.match(subject) else _cut(f"Fwd: {subject}".rstrip())


def is_text(part: FetchedPart) -> bool:
    """Whether the part belongs to what a person reads of its message."""
    return part.part_class == "content" and (is_rfc822(part.type) or is_shown(part.type))


def is_whole_mail(message: FetchedMessage) -> bool:
    """Whether it is one Internet mail, whose attachments lie inside it."""
    return len(message.parts) == 1 and is_rfc822(message.parts[0].type)


def text_of(part: FetchedPart, octets: bytes) -> str:
    """What a person reads in a part for which ``is_text`` holds; an Internet mail without its list of attachments."""
    return shown_text(octets) if is_rfc822(part.type) else part_text(part.type, octets)


def quote(envelope: Envelope, text: str) -> str:
    """The text as an answer quotes it, without its signature."""
    lines = text.rstrip().split("\n")
    if "-- " in lines:
        lines = lines[: lines.index("-- ")]
    quoted = [f">{line}" if line.startswith(">") else f"> {line}".rstrip() for line in _trimmed(lines)]
    return (
        "\n".join((f"On {_date(envelope.date)}, {sender_text(envelope.from_, envelope.author)} wrote:", *quoted)) + "\n"
    )


def forwarded(envelope: Envelope, text: str) -> str:
    """The text below the head of the message that is forwarded."""
    said = (
        ("From", sender_text(envelope.from_, envelope.author)),
        ("Date", _date(envelope.date)),
        ("Subject", envelope.subject),
        ("To", ", ".join(envelope.to)),
        ("Cc", ", ".join(envelope.cc)),
    )
    head = "\n".join(f"{name}: {value}" for name, value in said if value)
    return f"---------- Forwarded message ----------\n{head}\n\n{text}"


def _trimmed(lines: list[str]) -> list[str]:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def _date(text: str) -> str:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{when:%Y-%m-%d %H:%M} {when.tzname() or ''}".rstrip()


def _cut(subject: str) -> str:
    return subject.encode()[:MAX_SUBJECT].decode(errors="ignore")


def _addresses(text: str) -> tuple[Imid, ...]:
    """The addresses of a header field of Internet mail that can be written to."""
    return _imids(address for _, address in getaddresses([text])) if text else ()


def _imids(texts: Iterable[str]) -> tuple[Imid, ...]:
    found: dict[str, Imid] = {}
    for text in texts:
        try:
            imid = parse_imid(text)
        except ImidError:
            continue
        if not imid.is_own_box:
            found.setdefault(imid.text, imid)
    return tuple(found.values())


def _first_of(*several: tuple[Imid, ...]) -> tuple[Imid, ...]:
    return next(filter(None, several), ())


def _without(imids: tuple[Imid, ...], me: Imid) -> tuple[Imid, ...]:
    return tuple(imid for imid in imids if imid.address != me.address or imid.path)
