"""Address lists of Internet mail (RFC 5322 section 3.4), read as forgivingly as mail needs, written as it demands.

Rules: reading never raises and is linear; structure is found before encoded words are decoded, so that no encoded
comma or angle bracket makes an address; what is not certainly one address has none.
"""

import re
from typing import Final

import msgspec

from immpd.mime.text import clean_line, decode_words

_TOKEN: Final = re.compile(
    r'"(?:[^"\\]|\\.)*+"?'  # a quoted string, perhaps unclosed
    r'|<(?:"(?:[^"\\]|\\.)*+"|[^<>"])*+>?'  # an address in angle brackets
    r"|[,;][,;\s]*+|[(:]"
    r'|[^"<(,;:]++',
    re.DOTALL,
)
_COMMENT_EDGE: Final = re.compile(r"[()]|\\.", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_ADDRESS: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*+"|[^\s"@<>(),;:\ufffd]++)@[^\s"@<>(),;:\ufffd]++')
_SIMPLE: Final = re.compile(r"(?:([A-Za-z0-9]++(?: [A-Za-z0-9]++)*+) ?<)?([A-Za-z0-9._+-]++)@([A-Za-z0-9.-]++)(?(1)>)")
_SPACED_AT: Final = re.compile(r"[ \t]*+@[ \t]*+")
_DISPLAY_SPECIALS: Final = frozenset('<>@,;:"()[]\\')


class Address(msgspec.Struct, frozen=True, gc=False):
    """One mailbox of an address list."""

    name: str
    """Display name, decoded and clean; may be empty."""
    address: str
    """``local@domain`` with the domain in lower case; empty where the text holds no certain address."""

    def __str__(self) -> str:
        """As shown to a person: the name is quoted where it could pass for an address."""
        if not self.address:
            return self.name
        if not self.name:
            return self.address
        return f"{quote_if_special(self.name)} <{self.address}>"


def quote_if_special(name: str) -> str:
    """``name`` as a quoted string if one of its characters would mean something in an address list."""
    if _DISPLAY_SPECIALS.isdisjoint(name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read_addresses(text: str, *, most: int = 100, longest: int = 400) -> tuple[Address, ...]:
    """The addresses in the unfolded value of From, To, Cc or Reply-To.

    Groups (``team: a@x, b@x;``) are flattened, routes dropped. At most ``most`` addresses are returned; names are cut
    at ``longest`` characters and a longer address counts as none. Never raises.
    """
    simple = _SIMPLE.fullmatch(text)
    if simple and len(text) <= longest:  # one plain address, as most are
        # Python before 3.11.4 leaves the blank that a possessive quantifier gave up in the group.
        return (Address((simple[1] or "").rstrip(), f"{simple[2]}@{simple[3].lower()}"),)
    found: list[Address] = []
    words: list[str] = []  # what may be the name
    raw: list[str] = []  # the same as written, should it turn out to be the address
    angle = comment = ""
    at_sign = False  # whether ``raw`` holds one
    at, end = 0, len(text)
    while at < end and len(found) < most:
        match = _TOKEN.match(text, at)
        if match is None:  # unreachable: every character begins a token
            break
        piece, at = match[0], match.end()
        if piece[0] == '"':
            words.append(_ESCAPED.sub(r"\1", piece[1:].removesuffix('"')))
            raw.append(piece)
        elif piece[0] == "<":
            angle = angle or piece[1:].removesuffix(">")
        elif piece == "(":
            at, inside = _comment(text, at)
            comment = comment or inside
        elif piece == ":" and not angle and not at_sign:
            words.clear()  # it was a group's name
            raw.clear()
        elif piece[0] in ",;":
            _add(found, words, raw, angle=angle, comment=comment, longest=longest)
            words, raw, angle, comment, at_sign = [], [], "", "", False
        else:
            words.append(piece)
            raw.append(piece)
            at_sign = at_sign or "@" in piece
    if len(found) < most:
        _add(found, words, raw, angle=angle, comment=comment, longest=longest)
    return tuple(found)


def _comment(text: str, at: int) -> tuple[int, str]:
    """The end of the comment that was opened before ``at``, and what it says; unclosed, it takes the rest."""
    start, depth = at, 1
    for match in _COMMENT_EDGE.finditer(text, at):
        if match[0] == "(":
            depth += 1
        elif match[0] == ")":
            depth -= 1
            if not depth:
                return match.end(), _ESCAPED.sub(r"\1", text[start : match.start()])
    return len(text), _ESCAPED.sub(r"\1", text[start:])


def _add(found: list[Address], words: list[str], raw: list[str], *, angle: str, comment: str, longest: int) -> None:
    """Append what was collected between two commas, if anything."""
    name = "".join(words)
    if angle:
        address = _certain(angle.rpartition(":")[2] if angle.startswith("@") else angle, longest)
        name = name if name.strip() or not comment else comment
        if not address:
            name = f"{name.strip()} <{angle}>"
    else:
        address = _certain("".join(raw), longest)
        if address or (comment and not name.strip()):
            name = comment
    name = " ".join(clean_line(decode_words(name)).split())[:longest]
    if name or address:
        found.append(Address(name, address))


def _certain(text: str, longest: int) -> str:
    """``text`` as ``local@domain``, or nothing if it is not exactly one address."""
    text = clean_line(_SPACED_AT.sub("@", text.strip(" \t")))
    if len(text) > longest or not _ADDRESS.fullmatch(text):
        return ""
    local, _, domain = text.rpartition("@")
    return f"{local}@{domain.lower()}"
