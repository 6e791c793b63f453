"""Reads ABNF (RFC 5234, RFC 7405) and makes of each rule a regular expression.

Rules: nothing is taken that RFC 5234 does not allow, but that lines may end in LF alone; every rule is defined once,
and none leads back to itself; a prose value matches nothing. All alternatives are tried: what a rule describes is what
its expression matches as a whole. Rules speak of octets; those that are one character in UTF-8 become that character,
and characters that no rule tells apart become one, for the expressions would be too large otherwise.
"""

import re
from bisect import bisect_right
from functools import cached_property
from itertools import product
from typing import NamedTuple

CORE = r"""
ALPHA = %x41-5A / %x61-7A
BIT = "0" / "1"
CHAR = %x01-7F
CR = %x0D
CRLF = CR LF
CTL = %x00-1F / %x7F
DIGIT = %x30-39
DQUOTE = %x22
HEXDIG = DIGIT / "A" / "B" / "C" / "D" / "E" / "F"
HTAB = %x09
LF = %x0A
LWSP = *(WSP / CRLF WSP)
OCTET = %x00-FF
SP = %x20
VCHAR = %x21-7E
WSP = SP / HTAB
"""
"""RFC 5234, appendix B.1."""

_TOKEN = re.compile(
    r"""(?P<gap>(?:[ \t]|;[^\n]*\n[ \t]|\n[ \t])+)|(?P<name>[A-Za-z][A-Za-z0-9-]*)|(?P<repeat>[0-9]*\*[0-9]*|[0-9]+)
    |(?P<text>(?:%[si])?"[\x20-\x21\x23-\x7e]*")|(?P<prose><[\x20-\x3d\x3f-\x7e]*>)
    |(?P<number>%(?:x[0-9A-Fa-f]+(?:-[0-9A-Fa-f]+|(?:\.[0-9A-Fa-f]+)+)?|d[0-9]+(?:-[0-9]+|(?:\.[0-9]+)+)?))
    |(?P<sign>[()\[\]/])""",
    re.VERBOSE,
)
_RULE = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]*(=/?)")


class AbnfError(ValueError):
    """The text is no ABNF, or a rule is missing, doubled or endless."""


_Tokens = list[re.Match[str]]
_Sequence = tuple[tuple[int, int], ...]
"""Octets one after the other, each from the first to the second."""


class Octets(NamedTuple):
    """One of several sequences of octets, each of which is one character, or a piece of one."""

    sequences: tuple[_Sequence, ...]


class Text(NamedTuple):
    """What is a regular expression already."""

    expression: str


class Rule(NamedTuple):
    """Another rule."""

    name: str


class OneOf(NamedTuple):
    """Alternatives."""

    branches: tuple["Node", ...]


class Row(NamedTuple):
    """One after the other."""

    pieces: tuple["Node", ...]


class Times(NamedTuple):
    """Something so many times, as a regular expression says it."""

    piece: "Node"
    times: str


Node = Octets | Text | Rule | OneOf | Row | Times


class Grammar:
    """The rules of a text."""

    def __init__(self, text: str) -> None:
        if not text.isascii() or not text.endswith("\n"):
            raise AbnfError("a grammar is ASCII and ends with a line end")
        self._written: dict[str, str] = {}
        self.core = frozenset(self._read(CORE))
        self.own = frozenset(self._read(text))
        """Names of the text's own rules, in lower case."""
        self._nodes: dict[str, Node] = {}
        for name in self._written:
            self._rule(name, ())
        self._bounds, self._kinds = self._tell_apart()
        self._expressions: dict[str, str] = {}
        self._compiled: dict[str, re.Pattern[str]] = {}

    def matches(self, name: str, octets: bytes) -> bool:
        """Whether the octets are, as a whole, what the rule describes. Octets that are not UTF-8 are nothing's."""
        pattern = self._compiled.get(name)
        if pattern is None:
            pattern = self._compiled[name] = re.compile(self.expression(name), re.DOTALL)
        try:
            text = octets.decode()
        except UnicodeDecodeError:
            return False
        if not text.isascii():
            text = "".join([one if one < "\x80" else self._kind(ord(one)) for one in text])
        return pattern.fullmatch(text) is not None

    def elements(self, name: str) -> str:
        """The rule as it is written, without comments."""
        return self._written[name.lower()]

    def expression(self, name: str) -> str:
        """The rule as a regular expression, without anchors."""
        name = name.lower()
        made = self._expressions.get(name)
        if made is None:
            made = self._expressions[name] = self._print(self._nodes[name])
        return made

    @cached_property
    def used(self) -> frozenset[str]:
        """Names that stand in elements, in lower case."""
        return frozenset(
            found["name"].lower()
            for elements in self._written.values()
            for found in _tokens(elements)
            if found.lastgroup == "name"
        )

    # --- characters

    def _kind(self, letter: int) -> str:
        """One letter for all beyond ASCII that no rule tells apart from this one."""
        return self._kinds[bisect_right(self._bounds, letter)]

    def _tell_apart(self) -> tuple[list[int], list[str]]:
        """Where in Unicode something else begins, and the letter for each stretch between."""
        classes = [_letters(node) for node in self._nodes.values() if isinstance(node, Octets)]
        bounds = sorted({bound for ranges in classes for low, high in ranges for bound in (low, high + 1)})
        letters: dict[tuple[bool, ...], str] = {}
        kinds = []
        for start in (0, *bounds):
            signature = tuple(any(low <= start <= high for low, high in ranges) for ranges in classes)
            kinds.append(letters.setdefault(signature, chr(0x80 + len(letters))))
        return bounds, kinds

    def _class(self, node: Octets) -> str:
        plain = [(low, min(high, 0x7F)) for low, high in _letters(node) if low < 0x80]
        high = [(max(low, 0x80), high) for low, high in _letters(node) if high >= 0x80]
        starts = [bound for bound in (0x80, *self._bounds) if any(low <= bound <= top for low, top in high)]
        kinds = "".join(sorted({self._kind(start) for start in starts}))
        shown = "".join(f"{_shown(low)}-{_shown(high)}" if low != high else _shown(low) for low, high in plain)
        return f"[{shown}{kinds}]" if shown or kinds else "(?!)"  # a piece of a character is none

    def _print(self, node: Node) -> str:
        match node:
            case Octets():
                return self._class(node)
            case Text(expression):
                return expression
            case Rule(name):
                return self.expression(name)
            case OneOf(branches):
                return f"(?:{'|'.join(map(self._print, branches))})"
            case Row(pieces):
                return "".join(map(self._print, pieces))
            case Times(piece, times):
                inner = self._print(piece)
                return f"{inner}{times}" if isinstance(piece, Octets) else f"(?:{inner}){times}"

    # --- reading

    def _read(self, text: str) -> list[str]:
        """Cut the text into rules: what begins with white space goes on with the rule before it."""
        found: list[str] = []
        for number, line in enumerate(text.split("\n"), 1):
            bare = _without_comment(line)
            if not bare.strip():
                continue
            if line[0] in " \t":
                if not found:
                    raise AbnfError(f"line {number} goes on with no rule")
                self._written[found[-1]] += " " + bare.strip()
                continue
            rule = _RULE.match(line)
            if rule is None:
                raise AbnfError(f"line {number} is no rule: {line}")
            name = rule[1].lower()
            if name in self._written or rule[2] != "=":
                raise AbnfError(f"line {number} defines {rule[1]} again")
            self._written[name] = bare[rule.end() :].strip()
            found.append(name)
        return found

    def _rule(self, name: str, above: tuple[str, ...]) -> Node:
        node = self._nodes.get(name)
        if node is None:
            if name in above:
                raise AbnfError(f"{name} leads back to itself: {' > '.join(above)}")
            if name not in self._written:
                raise AbnfError(f"{name} is not defined; {above[-1]} needs it")
            tokens = [found for found in _tokens(self._written[name]) if found.lastgroup != "gap"]
            node, rest = self._alternation(tokens, (*above, name))
            if rest:
                raise AbnfError(f"{name}: {rest[0][0]} stands where it cannot")
            self._nodes[name] = node
        return node

    def _alternation(self, tokens: _Tokens, above: tuple[str, ...]) -> tuple[Node, _Tokens]:
        branches = []
        while True:
            branch, tokens = self._concatenation(tokens, above)
            branches.append(branch)
            if not tokens or tokens[0][0] != "/":
                break
            tokens = tokens[1:]
        if len(branches) == 1:
            return branches[0], tokens
        sequences = [branch.sequences for branch in branches if isinstance(branch, Octets)]
        if len(sequences) == len(branches):
            return Octets(sum(sequences, ())), tokens
        return OneOf(tuple(branches)), tokens

    def _concatenation(self, tokens: _Tokens, above: tuple[str, ...]) -> tuple[Node, _Tokens]:
        pieces: list[Node] = []
        while tokens and tokens[0][0] not in ("/", ")", "]"):
            least, most = 1, "1"
            if tokens[0].lastgroup == "repeat":
                low, star, high = tokens[0][0].partition("*")
                least, most = int(low or "0"), high if star else low
                tokens = tokens[1:]
            piece, tokens = self._element(tokens, above)
            if most == str(least) and isinstance(piece, Octets) and _begins_beyond_ascii(piece):
                pieces += [piece] * least
            elif (least, most) == (1, "1"):
                pieces.append(piece)
            else:
                pieces.append(Times(piece, {(0, ""): "*", (1, ""): "+"}.get((least, most), f"{{{least},{most}}}")))
        if not pieces:
            raise AbnfError(f"{above[-1]}: something is missing")
        if len(pieces) == 1:
            return pieces[0], tokens
        octets = [piece.sequences for piece in pieces if isinstance(piece, Octets)]
        if len(octets) == len(pieces) and isinstance(pieces[0], Octets) and _begins_beyond_ascii(pieces[0]):
            # Octets of one character: all that may follow each other.
            return Octets(tuple(sum(one, ()) for one in product(*octets))), tokens
        return Row(tuple(pieces)), tokens

    def _element(self, tokens: _Tokens, above: tuple[str, ...]) -> tuple[Node, _Tokens]:
        if not tokens:
            raise AbnfError(f"{above[-1]}: something is missing at its end")
        first, kind, rest = tokens[0][0], tokens[0].lastgroup, tokens[1:]
        if kind == "name":
            node = self._rule(first.lower(), above)
            return (node if isinstance(node, Octets) else Rule(first.lower())), rest
        if kind == "text":
            return _text(first), rest
        if kind == "number":
            return _number(first), rest
        if kind == "prose":
            return Text("(?!)"), rest
        if first in ("(", "["):
            inner, rest = self._alternation(rest, above)
            if not rest or rest[0][0] != {"(": ")", "[": "]"}[first]:
                raise AbnfError(f"{above[-1]}: a bracket is not closed")
            return (inner if first == "(" else Times(inner, "?")), rest[1:]
        raise AbnfError(f"{above[-1]}: {first} stands where it cannot")


def _shown(letter: int) -> str:
    return chr(letter) if chr(letter).isalnum() else f"\\x{letter:02x}"


def _begins_beyond_ascii(node: Octets) -> bool:
    return all(sequence[0][0] >= 0x80 for sequence in node.sequences)


def _letters(node: Octets) -> list[tuple[int, int]]:
    """The characters that it may be, in ranges; of a piece of a character, none."""
    try:
        return [letters for sequence in node.sequences for letters in _decoded(sequence)]
    except UnicodeDecodeError:
        return []


def _decoded(sequence: _Sequence) -> list[tuple[int, int]]:
    if len(sequence) == 1:
        return [sequence[0]] if sequence[0][0] < 0x80 else []
    for at, (low, high) in enumerate(sequence[:-1]):
        if low != high and any(one != (0x80, 0xBF) for one in sequence[at + 1 :]):
            pieces = [(*sequence[:at], (one, one), *sequence[at + 1 :]) for one in range(low, high + 1)]
            return [letters for piece in pieces for letters in _decoded(piece)]
    first, last = (bytes(one[side] for one in sequence).decode() for side in (0, 1))
    return [(ord(first), ord(last))]


def _without_comment(line: str) -> str:
    """The line up to its comment: a semicolon outside of quotes and prose."""
    found = re.match(r'(?:[^;"<]|"[^"]*"|<[^>]*>)*', line)
    assert found is not None
    return found[0]


def _tokens(elements: str) -> list[re.Match[str]]:
    found = []
    at = 0
    while at < len(elements):
        token = _TOKEN.match(elements, at)
        if token is None:
            raise AbnfError(f"this is no ABNF: {elements[at : at + 40]}")
        found.append(token)
        at = token.end()
    return found


def _text(written: str) -> Node:
    letters = written[written.index('"') + 1 : -1]
    cases = (letters,) if written.startswith("%s") else (letters.lower(), letters.upper())
    if len(letters) == 1:
        return Octets(tuple(((ord(one), ord(one)),) for one in dict.fromkeys(cases)))
    if len(cases) == 1:
        return Text(re.escape(letters))
    return Text("".join(f"[{low}{up}]" if low != up else re.escape(low) for low, up in zip(*cases, strict=True)))


def _number(written: str) -> Node:
    base = 16 if written[1].lower() == "x" else 10
    first, dash, last = written[2:].partition("-")
    if dash:
        return Octets((((int(first, base), int(last, base)),),))
    values = [int(one, base) for one in first.split(".")]
    nodes = [Octets((((one, one),),)) for one in values]
    return nodes[0] if len(nodes) == 1 else Row(tuple(nodes))
