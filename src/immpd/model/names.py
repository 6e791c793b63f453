"""The pieces of an IMID and how each is brought into its one canonical form (docs/protocol.md, "Names").

Rules: every function here is pure and gives back the canonical form or raises `ImidError`, whatever the
text; a canonical form given in again comes out unchanged; `idna` and `precis_i18n` are imported only when
a name is not plain ASCII, because the command line has to start fast.
"""

import re
import unicodedata
from functools import cache
from typing import Final, Protocol, cast

from immpd.model.characters import UNSAFE

from .errors import ImmpError

MAX_SEGMENT: Final = 64
"""Octets of UTF-8 in one segment of a local part."""
MAX_LOCAL: Final = 255
"""Octets of UTF-8 in a whole local part, plus-folder included."""
MAX_DOMAIN: Final = 253
"""Octets of a domain in A-labels (RFC 1035)."""
MAX_FOLDER: Final = 255
"""Octets of UTF-8 in one folder name, before percent-encoding."""

RESERVED_FOLDERS: Final = frozenset({"INBOX", "DRAFTS", "SENT", "JUNK", "TRASH"})
"""Folders that nobody reaches by a plus-folder."""

DOTS: Final = frozenset({".", ".."})
"""What no part of a name is: links and paths are resolved as RFC 3986, section 5.2.4, wants it."""

_SHOWN = 60
_SEGMENT_EXCLUDES = re.compile(r'[/+@:#?%"\\; ]')
_ASCII_SEGMENT = re.compile(r"[!$&'()*,\-.0-9<=>A-Z\[\]^_`a-z{|}~]+")
_ASCII_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class ImidError(ImmpError, ValueError):
    """A text is no IMID (or domain, folder name …); the message says what is wrong and what to do.

    ``reason`` is the message alone; ``place`` is the piece of the text that does not fit, as it was written.
    """

    def __init__(self, reason: str, place: str) -> None:
        super().__init__(f"{reason}: {show(place)}")
        self.reason = reason
        self.place = place


def show(text: str) -> str:
    """``text`` in quotes for an error message: cut to 60 characters, and unable to forge a line."""
    cut = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return '"' + UNSAFE.sub("\ufffd", cut) + '"'


class _Profile(Protocol):
    def enforce(self, value: str) -> str: ...


@cache
def _username() -> _Profile:
    from precis_i18n import get_profile

    return cast(_Profile, get_profile("UsernameCaseMapped"))


# --- local parts -----------------------------------------------------------------------------------------


def normalise_segment(segment: str) -> str:
    """One segment of a local part in PRECIS UsernameCaseMapped (RFC 8265, section 3.3), at most 64 octets."""
    if not segment:
        raise ImidError("A part of the name before the @ is empty", segment)
    if len(segment) > 4 * MAX_SEGMENT:  # before the costly work; composing shortens no name that far
        raise ImidError(f"A part of the name is longer than {MAX_SEGMENT} octets", segment)
    if _ASCII_SEGMENT.fullmatch(segment):
        canonical = segment.lower()
    else:
        _exclude(segment, segment)
        canonical = _precis(segment)
        _exclude(canonical, segment)  # a full-width sign becomes the plain one
    if canonical in DOTS:
        raise ImidError("A part of the name cannot be dots alone", segment)
    if len(canonical.encode()) > MAX_SEGMENT:
        raise ImidError(f"A part of the name is longer than {MAX_SEGMENT} octets", segment)
    return canonical


def _exclude(text: str, place: str) -> None:
    found = _SEGMENT_EXCLUDES.search(text)
    if found:
        raise ImidError(f"A name cannot hold {_character(found[0])}", place)


def _precis(segment: str) -> str:
    try:
        return _username().enforce(segment)
    except UnicodeEncodeError as error:
        reason = error.reason.rpartition("/")[2].replace("_", " ")
        raise ImidError(f"A name cannot be written so ({reason}, RFC 8265)", segment) from None


def _character(character: str) -> str:
    return {" ": "a space", '"': "a quotation mark", "\\": "a backslash"}.get(character, f"the sign {character}")


# --- domains ---------------------------------------------------------------------------------------------


def normalise_domain(domain: str) -> str:
    """A domain as it goes over the wire: lower-case A-labels (IDNA 2008 with the UTS #46 mapping).

    Address literals, numeric addresses, empty labels (a final dot too) and what exceeds the limits of
    RFC 1035 are refused with `ImidError`.
    """
    if not domain:
        raise ImidError("The domain is missing", domain)
    if domain[0] == "[":
        raise ImidError("An address in brackets is no domain; write the domain's name", domain)
    if len(domain) > MAX_DOMAIN:
        raise ImidError(f"The domain is longer than {MAX_DOMAIN} octets", domain)
    canonical = domain.lower() if domain.isascii() else ""
    labels = canonical.split(".")
    # "--" is left to IDNA: xn-- must decode, and other hyphens in third and fourth place are not allowed
    if "--" in canonical or not all(map(_ASCII_LABEL.fullmatch, labels)):
        canonical = _idna(domain)
        labels = canonical.split(".")
    if len(canonical) > MAX_DOMAIN:
        raise ImidError(f"The domain is longer than {MAX_DOMAIN} octets", domain)
    if _NUMBER.fullmatch(labels[-1]):
        raise ImidError("A numeric address is no domain; write the domain's name", domain)
    return canonical


def _idna(domain: str) -> str:
    import idna

    try:
        canonical = idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError as error:  # idna.IDNAError is one; its words name the label
        reason = UNSAFE.sub("\ufffd", str(error))[: 2 * _SHOWN]
        raise ImidError(f"This is no domain ({reason})", domain) from None
    if canonical.endswith("."):
        raise ImidError("A domain ends without a dot", domain)
    return canonical


def show_domain(domain: str) -> str:
    """A canonical domain for people, in U-labels; one that does not decode is shown as it is."""
    if "xn--" not in domain:
        return domain
    import idna

    try:
        return idna.decode(domain)
    except UnicodeError:
        return domain


# --- folder names ----------------------------------------------------------------------------------------


def normalise_folder(name: str) -> str:
    """A folder name (already percent-decoded) in NFC, its case kept; the names "." and ".." are refused."""
    if not name or name.isspace():
        raise ImidError("A folder name is empty", name)
    if len(name) > 4 * MAX_FOLDER:
        raise ImidError(f"A folder name is longer than {MAX_FOLDER} octets", name)
    refuse_controls(name)
    canonical = unicodedata.normalize("NFC", name)
    if canonical in DOTS:
        raise ImidError("A folder cannot have this name", name)
    if len(canonical.encode()) > MAX_FOLDER:
        raise ImidError(f"A folder name is longer than {MAX_FOLDER} octets", name)
    return canonical


def folder_key(name: str) -> str:
    """What folder names are compared by: equal keys are one folder, whatever the case (Unicode D145, in NFC)."""
    if name.isascii():
        return name.lower()
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
    # once more: folding some letters (U+1E9E, titlecase digraphs) can uncover what folds again
    return unicodedata.normalize("NFC", folded.casefold())


def is_reserved_folder(name: str) -> bool:
    """Whether mail may not reach this folder by a plus-folder (it goes to INBOX then)."""
    return name.upper() in RESERVED_FOLDERS


def parse_folder(written: str) -> str:
    """One folder name of a path or after a plus, as written: percent-decoded and canonical."""
    found = _SEGMENT_EXCLUDES.search(written.replace("%", ""))
    if found:
        raise ImidError(
            f"A folder name cannot hold {_character(found[0])} as it is; write %{ord(found[0]):02X}", written
        )
    try:
        return normalise_folder(percent_decode(written))
    except ImidError as error:
        raise ImidError(error.reason, written) from None


def refuse_controls(text: str) -> None:
    """Raise `ImidError` if ``text`` has a control character, or another that is not shown in a line."""
    found = None if text.isascii() and text.isprintable() else UNSAFE.search(text)
    if found:
        raise ImidError(f"The character U+{ord(found[0]):04X} is not allowed", text)


# --- percent-encoding ------------------------------------------------------------------------------------

FOLDER_UNSAFE: Final = re.compile(r'[/+@:#?%"\\; ]')
"""What a folder name percent-encodes."""
VALUE_UNSAFE: Final = re.compile(r'[,#?%"\\; ]')
"""What a value in a filter percent-encodes."""
OPTION_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._~@/:-]")
"""What a link's option percent-encodes: all that a URL would trip over."""

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HIGH_ESCAPES = re.compile(r"(?:%[89A-Fa-f][0-9A-Fa-f])+")


def percent_encode(text: str, unsafe: re.Pattern[str]) -> str:
    """``text`` with every character that ``unsafe`` matches written as %XX of its UTF-8 octets."""
    return unsafe.sub(lambda found: "".join(f"%{octet:02X}" for octet in found[0].encode()), text)


def percent_decode(text: str) -> str:
    """Undo percent-encoding (RFC 3986, section 2.1); a lone % or octets that are no UTF-8 raise `ImidError`."""
    if "%" not in text:
        return text
    if _LONE_PERCENT.search(text):
        raise ImidError("After % come two hexadecimal digits (a % itself is %25)", text)
    try:
        return _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), text.encode()).decode()
    except UnicodeError:
        raise ImidError("The percent-encoded octets are not UTF-8", text) from None


def decode_iri(text: str) -> str:
    """Undo what a browser does to characters beyond ASCII in a link (RFC 3987, section 3.1); ASCII escapes stay."""
    return _HIGH_ESCAPES.sub(lambda found: percent_decode(found[0]), text)
