"""IMIDs: the names of people, mailboxes, folders, messages and nodes (docs/protocol.md, "Names").

Rules: every side parses, prints and compares IMIDs with this type and nothing else; a value made by
`parse_imid` is canonical, so `str()` of it is what goes over the wire and parses to an equal value;
equal means the same thing, not the same letters (`/INBOX` is `/inbox`); whatever the text, the only
exception is `ImidError`.
"""

import re
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Final
from uuid import UUID

import msgspec

from immpd.model.confusables import skeleton
from immpd.model.filters import FilterTerm, parse_filter
from immpd.model.names import (
    FOLDER_UNSAFE,
    MAX_LOCAL,
    OPTION_UNSAFE,
    RESERVED_FOLDERS,
    ImidError,
    decode_iri,
    folder_key,
    is_reserved_folder,
    normalise_domain,
    normalise_folder,
    normalise_segment,
    parse_folder,
    percent_decode,
    percent_encode,
    refuse_controls,
    show_domain,
)

__all__ = [
    "RESERVED_FOLDERS",
    "FilterTerm",
    "Imid",
    "ImidError",
    "folder_key",
    "is_reserved_folder",
    "normalise_folder",
    "parse_domain",
    "parse_imid",
    "path_text",
    "read_uuid",
    "show_domain",
    "skeleton",
]

MAX_IMID: Final = 16_384
"""Octets of UTF-8 in a whole canonical IMID: no line of the protocol is longer."""

_PLAIN_LENGTH = 320  # a local part of 64 and a domain of 253 fit; also what the cache keeps
# A person's plain ASCII address. Names of dots alone, labels with "--" (IDNA) and last labels that start with a digit
# take the slow road.
_PLAIN = re.compile(
    r"(?!\.\.?@)([A-Za-z0-9._\-]{1,64})@((?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?)"
)
_UUID_LENGTH = 36
_SCHEME = re.compile(r"(?:immp:(?://)?|imid:)", re.IGNORECASE)
_TAIL = re.compile(r"[?#]")
_OPTION_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_GRANT = "g-"


class Imid(msgspec.Struct, frozen=True, eq=False, dict=True, omit_defaults=True):
    """A name in any of its forms. Make one with `parse_imid` or `Imid.parse`; the fields are then canonical.

    Comparison and hash go by `key`: what means the same is equal. What is worked out of the fields is kept (hence
    `dict`): names come again and again, and are then the same Imid (`parse_imid`).
    """

    local: str = ""
    """Segments in PRECIS form joined by slashes, without plus-folder; empty in a path of the own mailbox."""
    domain: str = ""
    """Lower-case A-labels; empty in a path of the own mailbox."""
    folder: str | None = None
    """The plus-folder of `alice+lists@a.com`: a folder in INBOX, case kept."""
    path: tuple[str, ...] = ()
    """Folder names from the mailbox down, percent-decoded, NFC, case kept."""
    filter: tuple[FilterTerm, ...] | None = None
    """Terms after `::`, all of which must hold. None: no filter was written; (): `::*`, all messages."""
    ids: tuple[UUID, ...] = ()
    """Messages after `#`, in the order written, each once."""
    options: tuple[tuple[str, str], ...] = ()
    """A link's options after `?`: name in lower case, value percent-decoded (empty where none was written)."""

    @classmethod
    def parse(cls, text: str) -> "Imid":
        """Read an IMID in any form of docs/protocol.md, "Names". Errors: `ImidError`, naming the place."""
        if len(text) <= _PLAIN_LENGTH:
            found = _PLAIN.fullmatch(text)
            if found is not None:
                local, domain = found.groups()
                if len(domain) <= 253 and "--" not in domain:
                    return cls(local.lower(), domain.lower())
        return _parse(text)

    @property
    def is_own_box(self) -> bool:
        """Whether this is a path in the session's own mailbox (`/inbox`), without account and domain."""
        return not self.domain

    @property
    def is_bare(self) -> bool:
        """Whether this is a mailbox and nothing more: no plus-folder, path, filter, ids or options."""
        return not (self.path or self.ids or self.options) and self.folder is None and self.filter is None

    @cached_property
    def address(self) -> str:
        """The mailbox alone, `local@domain`, without plus-folder; empty in a path of the own mailbox."""
        return f"{self.local}@{self.domain}" if self.domain else ""

    @property
    def segments(self) -> tuple[str, ...]:
        """The local part at its slashes: ("helpdesk", "alice") of `helpdesk/alice@a.com`."""
        return tuple(self.local.split("/")) if self.local else ()

    @property
    def grant(self) -> str | None:
        """The code, in lower case, of a one-time grant (`alice+g-code@a.com`, docs/protocol.md, "Who may push")."""
        if self.folder is None or not self.folder.lower().startswith(_GRANT):
            return None
        return self.folder.lower().removeprefix(_GRANT)

    @property
    def unicode_domain(self) -> str:
        """The domain for people, in U-labels. Only to show: it is not what is compared or sent."""
        return show_domain(self.domain)

    @cached_property
    def key(self) -> str:
        """What IMIDs are compared by: equal keys mean the same. Of a plain address, the address itself."""
        if self.is_bare:
            return f"{self.local}@{self.domain}"
        return _print(self, folder_key, sorted({str(term).casefold() for term in self.filter or ()}))

    def bare(self) -> "Imid":
        """The mailbox alone: without plus-folder, path, filter, ids and options."""
        return Imid(self.local, self.domain)

    def as_node(self) -> "Imid":
        """The node this names where a command takes a node: `newsletter@w.com/updates` as `newsletter/updates@w.com`.

        Ids (of items) stay, options go. Raises `ImidError` if it has a plus-folder or filter, is a path in
        the own mailbox, or a name in the path could not stand in a local part.
        """
        if not self.domain:
            raise ImidError("A node is written with its domain, newsletter/updates@domain", str(self))
        if self.folder is not None or self.filter is not None:
            raise ImidError("A node has neither +folder nor ::filter", str(self))
        if not self.path and not self.options:
            return self
        local = "/".join((self.local, *map(normalise_segment, self.path)))
        _limit_local(local, str(self))
        return Imid(local, self.domain, ids=self.ids)

    def link(self) -> str:
        """The canonical link, `immp:` and the IMID; `ImidError` for a path in the own mailbox, which has none."""
        if not self.domain:
            raise ImidError("A path without account and domain has no link", str(self))
        return f"immp:{self}"

    @cached_property
    def text(self) -> str:
        """The IMID as it stands on the wire."""
        if self.is_bare:
            return f"{self.local}@{self.domain}"
        return _print(self, str, [str(term) for term in self.filter or ()])

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return self.key == other.key if isinstance(other, Imid) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=512)
def path_text(path: tuple[str, ...]) -> str:
    """A path of folder names as it is written: each after a slash, percent-encoded, case kept."""
    return "".join(["/" + percent_encode(folder, FOLDER_UNSAFE) for folder in path])


def _print(imid: Imid, fold: Callable[[str], str], terms: list[str]) -> str:
    """The wire text, with folder names put through ``fold`` and these ``terms`` as the filter."""
    text = ""
    if imid.domain:
        plus = "" if imid.folder is None else "+" + percent_encode(fold(imid.folder), FOLDER_UNSAFE)
        text = f"{imid.local}{plus}@{imid.domain}"
    if imid.path:
        text += path_text(imid.path) if fold is str else path_text(tuple(map(fold, imid.path)))
    if imid.filter is not None:
        text += "::" + (",".join(terms) or "*")
    if imid.ids:
        text += "#" + ",".join(map(str, imid.ids))
    if imid.options:
        text += "?" + "&".join(
            f"{name}={percent_encode(value, OPTION_UNSAFE)}" if value else name for name, value in imid.options
        )
    return text


def _parse(text: str) -> Imid:
    """Read any form, in the order that docs/protocol.md gives: scheme, first ? or #, `::`, first @."""
    scheme = _SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text
    if len(rest) > MAX_IMID:  # before anything looks at every character
        raise ImidError(f"An IMID is at most {MAX_IMID} octets long", text)
    refuse_controls(text)

    cut = _TAIL.search(rest)
    head, tail = (rest[: cut.start()], rest[cut.start() :]) if cut else (rest, "")
    place, colons, filter_text = head.partition("::")
    if place.startswith("/"):
        if scheme:
            raise ImidError("A link names an account: immp:name@domain", text)
        local, domain, folder, slash, path_text = "", "", None, "/", place[1:]
    else:
        local, at, domain = place.partition("@")
        if not at:
            raise ImidError(
                "There is no @; an IMID is name@domain, a path in the own mailbox begins with /", place or text
            )
        if not local:
            raise ImidError("The name before the @ is missing", place)
        domain, slash, path_text = domain.partition("/")
        if scheme:
            local, domain = decode_iri(local), decode_iri(domain)
        local, folder = _parse_local(local)
        domain = normalise_domain(domain)
    path = _parse_path(path_text) if slash else ()

    terms = parse_filter(filter_text) if colons else None
    ids_text, question, options_text = tail.partition("?")
    ids = _parse_ids(ids_text) if ids_text else ()
    if question and not domain:
        raise ImidError("A path in the own mailbox has no options", tail)
    options = _parse_options(options_text) if question else ()

    imid = Imid(local, domain, folder, path, terms, ids, options)
    # encoding and NFC may make it longer than what came: twelve octets for a character, and some for the domain
    if len(rest) > MAX_IMID // 13 and len(str(imid).encode()) > MAX_IMID:
        raise ImidError(f"An IMID is at most {MAX_IMID} octets long", text)
    return imid


def _parse_local(written: str) -> tuple[str, str | None]:
    """The part before the @: its canonical segments and its plus-folder."""
    if len(written) > 4 * MAX_LOCAL:  # before the costly work
        raise ImidError(f"The name before the @ is longer than {MAX_LOCAL} octets", written)
    name, plus, folder_text = written.partition("+")
    local = "/".join(map(normalise_segment, name.split("/")))
    folder = parse_folder(folder_text) if plus else None
    _limit_local(local if folder is None else f"{local}+{percent_encode(folder, FOLDER_UNSAFE)}", written)
    return local, folder


def _limit_local(local: str, place: str) -> None:
    if len(local.encode()) > MAX_LOCAL:
        raise ImidError(f"The name before the @ is longer than {MAX_LOCAL} octets", place)


def _parse_path(written: str) -> tuple[str, ...]:
    try:
        return tuple(map(parse_folder, written.split("/")))
    except ImidError as error:
        # an empty name shows nothing, so the whole path is shown
        raise ImidError(error.reason, error.place or "/" + written) from None


def _parse_ids(written: str) -> tuple[UUID, ...]:
    """Message ids; ``written`` begins with #."""
    ids: dict[UUID, None] = {}
    for one in written[1:].split(","):
        try:
            ids[read_uuid(one)] = None
        except ValueError:
            raise ImidError("After # come message ids, which are UUIDs", one or written) from None
    return tuple(ids)


def read_uuid(written: str) -> UUID:
    """A UUID in its one form, 8-4-4-4-12 hexadecimal digits of any case (RFC 9562, section 4). Errors: `ValueError`."""
    try:
        if len(written) == _UUID_LENGTH:
            return msgspec.convert(written, UUID)  # a third of the time of UUID(written), and stricter
    except msgspec.ValidationError:
        pass
    raise ValueError("a UUID like 0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60 is wanted")


def _parse_options(written: str) -> tuple[tuple[str, str], ...]:
    """Options of a link, as in `compose&subject=Hi`."""
    return tuple(map(_parse_option, written.split("&")))


def _parse_option(written: str) -> tuple[str, str]:
    if "#" in written:
        raise ImidError("Ids come before the ?; a # in an option is written %23", written)
    name, _, value_text = written.partition("=")
    if not _OPTION_NAME.fullmatch(name):
        raise ImidError("An option of a link is 1 to 64 letters, digits, - _ or .", written or "?")
    value = percent_decode(value_text)
    name = name.lower()
    if name == "body":  # the one option that may have several lines
        value = value.replace("\r\n", "\n")
        refuse_controls(value.replace("\n", "").replace("\t", ""))
    else:
        refuse_controls(value)
    return name, value


def parse_imid(text: str) -> Imid:
    """`Imid.parse` behind a bounded cache: the way for everything that comes over the wire. Errors: `ImidError`.

    Long texts are not kept, for the cache is bounded in octets too. Of one message in a folder only the folder
    is kept: nobody names the message twice.
    """
    if len(text) > _PLAIN_LENGTH:
        return Imid.parse(text)
    folder, mark, written = text.partition("#")
    if not mark:
        return _cached(text)
    if len(written) == _UUID_LENGTH and "?" not in folder:
        try:
            ids = (read_uuid(written),)
            found = _cached(folder)
        except ValueError:
            pass  # the whole text shows better what is wrong
        else:
            return Imid(found.local, found.domain, found.folder, found.path, found.filter, ids)
    return Imid.parse(text)


_cached = lru_cache(maxsize=16_384)(Imid.parse)


def parse_domain(text: str) -> str:
    """A domain-ref, canonical: what DELIVER +SEALED and block entries name. Errors: `ImidError`."""
    return normalise_domain(text)
