"""From a line to typed requests, and back.

    line     = [command *( ";" *SP command )] LF
    command  = ["AS" SP pid SP] keyword *(SP keyword) *(SP argument)
    argument = name SP value / value / ("+" / "-") switch
    value    = word / DQUOTE *(any / "\\" DQUOTE / "\\\\") DQUOTE
    word     = 1*(any but SP, DQUOTE, ";"), not starting with "+" or "-"

Rules: the parser yields a request or a ``Refused``, never half of either; every error names what it
is about; nothing unknown is ignored; what is refused whatever its values are is refused before they
are read, for that costs (docs/protocol.md, "Commands").
"""

import re
from typing import Any

import msgspec

from . import commands as _registered  # importing the module is what fills the registry
from .codes import Code
from .errors import OutOfStep, Refused, SyntaxFault
from .registry import BY_REQUEST, KEYWORDS, SEQUENCE_LENGTHS, Command, Request, print_value
from .states import State, not_now
from .text import CONTROL, quote, unescape

assert _registered.Noop in BY_REQUEST

PID = re.compile(r"[A-Za-z0-9\-_.]{1,32}")
SWITCH = re.compile(r"[A-Za-z0-9\-_.]{1,64}")
# A word, a quoted value, a semicolon, or all the rest where it is none of them. Nothing is tried twice (the second +
# of a quantifier): a hostile line costs no more than a long one.
_PIECES = re.compile(r' *+(?:([^ ";]++)(?![^ ;])|("[^"\\]*+(?:\\.[^"\\]*+)*+")(?![^ ;])|(;)|(.++)|\Z)', re.DOTALL)
_OCTETS_FOLLOW = frozenset({"LENGTH", "+CHUNKED", "+BASE64"})
_MAY_CLAIM_OCTETS = re.compile(r"LENGTH|\+CHUNKED|\+BASE64", re.IGNORECASE)
CHUNK = "CHUNK"
"""What a line before a chunk begins with: no command, and read by ``connection``."""
RESERVED = frozenset(word for sequence in KEYWORDS for word in sequence.split()) | {"AS", "AUTHENTICATE", CHUNK}
"""Words that must be quoted to be values."""

KEPT_LENGTH = 80
"""Octets that a line may have to be kept."""
_KEPT_LINES = 1024


class Quoted(str):
    """A value that stood in quotes: never a keyword, a name or a switch."""

    __slots__ = ()


class Parsed(msgspec.Struct, gc=False):
    """One command of a line: its pipeline (None: the default one) and the request or what is wrong."""

    pid: str | None
    command: Command | None = None
    request: Request[Any] | None = None
    error: Refused | None = None


KEPT: dict[bytes, Parsed] = {}
"""Short lines that come again and again (NOOP, DONE, DATA …) and what was read of them; emptied when it is full.

Requests are frozen, so one may serve many commands; nobody changes a Parsed.
"""


def parse_line(octets: bytes, state: State | None = None) -> list[Parsed]:
    """The commands of one line (without its LF), in order; an unreadable line is one error. Never raises.

    A command that is not of ``state`` is the error that says so; None takes those of all states.
    """
    kept = KEPT.get(octets) if len(octets) <= KEPT_LENGTH else None
    if kept is not None:
        return [kept]
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return [Parsed(None, error=OutOfStep("UTF-8", "The line is not valid UTF-8"))]
    if not text.isprintable() and CONTROL.search(text):
        return [Parsed(None, error=OutOfStep("CONTROL-CHARACTER", "There is a control character in the line"))]
    if '"' in text:
        try:
            commands = [words for words in split_quoted(text) if words]
        except SyntaxFault as error:
            closes = _MAY_CLAIM_OCTETS.search(text) is not None
            return [Parsed(None, error=_closing(error) if closes else error.bare())]
    elif ";" in text:
        pieces = [[word for word in piece.split(" ") if word] for piece in text.split(";") if piece]
        commands = [words for words in pieces if words]
    else:
        words = text.split(" ")
        if "" in words:
            words = [word for word in words if word]
        commands = [words] if words else []
    many = len(commands) > 1
    parsed = [parse_command(words, state, many) for words in commands]
    if len(octets) <= KEPT_LENGTH and len(parsed) == 1:
        command = parsed[0].command
        if command is not None and command.names_nobody:
            if len(KEPT) >= _KEPT_LINES:
                KEPT.clear()
            KEPT[octets] = parsed[0]
    return parsed


def split_quoted(text: str) -> list[list[str]]:
    """The words of each command of a line that has quotes; raises SyntaxFault where they are wrong."""
    if ";" not in text and "\\" not in text:
        plain = _split_plainly(text)
        if plain is not None:
            return [plain]
    words: list[str] = []
    commands = [words]
    for word, quoted, semicolon, rest in _PIECES.findall(text):
        if word:
            words.append(word)
        elif quoted:
            words.append(Quoted(unescape(quoted[1:-1])))
        elif semicolon:
            words = []
            commands.append(words)
        elif rest:
            place = len(text) - len(rest) + 1
            raise SyntaxFault("QUOTES", f"The quotes are wrong at character {place} of the line")
    return commands


def _split_plainly(text: str) -> list[str] | None:
    """The words where each quote is as plain as most are: between spaces, and nothing is escaped; else None."""
    pieces = text.split('"')
    last = len(pieces) - 1
    if last % 2:
        return None
    words: list[str] = []
    for number, piece in enumerate(pieces):
        if number % 2:
            words.append(Quoted(piece))
            continue
        if (number and piece[:1] not in (" ", "")) or (number < last and piece[-1:] not in (" ", "")):
            return None
        if not piece and 0 < number < last:
            return None  # two quoted values without a space between them
        words += [word for word in piece.split(" ") if word]
    return words


def parse_command(words: list[str], state: State | None = None, many: bool = False) -> Parsed:
    """One command from its words, of which there is at least one; ``many``: its line has others."""
    pid: str | None = None
    start = 0
    command: Command | None = None
    try:
        if words[0] in ("AS", "as", "As", "aS") and type(words[0]) is str:
            if len(words) < 3:
                raise SyntaxFault("SYNTAX", "After AS come a pipeline's name and a command")
            if type(words[1]) is not str or not PID.fullmatch(words[1]):
                text = f"{words[1][:40]} cannot name a pipeline: 1 to 32 letters, digits, -, _ or ."
                raise SyntaxFault("PIPELINE-NAME", text)
            pid = words[1]
            start = 2
        command, first = find_command(words, start)
        if command.alone and (many or pid is not None):
            text = f"{command.name} stands alone on its line, without AS and without other commands"
            raise SyntaxFault("ALONE", text)
        if state is not None and state not in command.states and command.body != "always":
            raise not_now(command.name, command.states, state)
        return Parsed(pid, command, read_arguments(command, words, first))
    except OutOfStep as error:
        return Parsed(pid, error=error.bare())
    except Refused as error:
        # Where octets may follow a command that was not understood, nobody knows where they end.
        closes = (command is not None and command.body == "always") or _claims_octets(words)
        return Parsed(pid, error=_closing(error) if closes else error.bare())


def find_command(words: list[str], start: int) -> tuple[Command, int]:
    """The command whose keywords begin at ``start`` (the longest wins) and where its arguments begin."""
    first = words[start]
    if type(first) is str and first.isascii():  # beyond ASCII there are letters whose capital is a plain one
        key = first.upper()
        if key == "AUTHENTICATE":
            key = "AUTH"
        for length in SEQUENCE_LENGTHS.get(key, ()):
            end = start + length
            if length == 1:
                return KEYWORDS[key], end
            given = words[start + 1 : end]
            if end <= len(words) and all([type(word) is str and word.isascii() for word in given]):
                command = KEYWORDS.get(f"{key} {' '.join(given).upper()}")
                if command is not None:
                    return command, end
        if key == CHUNK:
            raise OutOfStep("CHUNK", "CHUNK stands alone on its line and belongs to a chunked DATA of its pipeline")
    shown = " ".join(words[start : start + 2])[:60]
    raise SyntaxFault("UNKNOWN-COMMAND", f"There is no command {shown}; HELP lists them", Code.UNKNOWN)


def read_arguments(command: Command, words: list[str], position: int) -> Request[Any]:
    """The request that the words from ``position`` on make; raises SyntaxFault naming what is wrong."""
    values: dict[str, Any] = {}
    given = 0
    names = command.by_name
    positionals = command.positionals
    count = len(words)
    while position < count:
        word = words[position]
        position += 1
        parameter = None
        if type(word) is str:
            if word[0] in "+-":
                _read_switch(command, word, values)
                continue
            parameter = names.get(word)
            if parameter is None and word.isascii():
                parameter = names.get(word.upper())
        if parameter is not None:
            if position >= count or (type(words[position]) is str and words[position][0] in "+-"):
                raise SyntaxFault("NO-VALUE", f"{parameter.name} needs a value after it")
            word = words[position]
            position += 1
        else:
            while given < len(positionals) and not positionals[given].repeats and positionals[given].field in values:
                given += 1
            if given >= len(positionals):
                text = f"{command.name} does not know {word[:60]}; HELP {command.name} shows how it is written"
                raise SyntaxFault("UNKNOWN-PARAMETER", text, Code.UNKNOWN)
            parameter = positionals[given]
        try:
            value = parameter.read(word if type(word) is str else str(word))
        except ValueError as error:
            text = f"{parameter.name} cannot be {word[:80]}: {error}"
            raise SyntaxFault("BAD-VALUE", text, Code.BAD_VALUE) from None
        field = parameter.field
        if parameter.repeats:
            values.setdefault(field, []).append(value)
        elif field in values:
            raise SyntaxFault("REPEATED", f"{parameter.name} is given twice")
        else:
            values[field] = value
    for repeated in command.repeated:
        if repeated in values:
            values[repeated] = tuple(values[repeated])
    try:
        return command.request(**values)
    except TypeError:
        missing = next(p for p in command.parameters if p.required and p.field not in values)
        raise SyntaxFault("MISSING", f"{command.name} needs {missing.name}: {command.synopsis()}") from None


def _read_switch(command: Command, word: str, values: dict[str, Any]) -> None:
    name = word[1:]
    switch = command.by_switch.get(name.upper()) if name.isascii() else None
    field = command.free_switches
    if switch is not None:
        if switch.field in values:
            raise SyntaxFault("REPEATED", f"The switch {name.upper()} is given twice")
        values[switch.field] = word[0] == "+"
    elif field is not None and SWITCH.fullmatch(name):
        values.setdefault(field, []).append((name, word[0] == "+"))
    else:
        text = f"{command.name} has no switch {word[:66]}; HELP {command.name} shows those it has"
        raise SyntaxFault("UNKNOWN-SWITCH", text, Code.UNKNOWN)


def _claims_octets(words: list[str]) -> bool:
    return any([type(word) is str and word.upper() in _OCTETS_FOLLOW for word in words])


def _closing(error: Refused) -> OutOfStep:
    return OutOfStep(error.word, f"{error.text}; octets may follow, so the connection closes")


def print_request(request: Request[Any], pid: str | None = None) -> str:
    """The line (without LF) that ``parse_line`` reads as this request.

    Raises Refused where a flag or the pipeline has a name that no line can carry. A control character in a
    value stays: whoever sends the line looks for it.
    """
    command = BY_REQUEST[type(request)]
    names = _names_to_quote(command)
    pieces = [command.name]
    if pid is not None:
        if not PID.fullmatch(pid):
            raise SyntaxFault("PIPELINE-NAME", f"{pid[:40]} cannot name a pipeline")
        pieces = ["AS", pid, command.name]
    in_place = True
    for parameter in command.parameters:
        value = getattr(request, parameter.field)
        if value == parameter.default and not parameter.required:
            in_place = in_place and not parameter.positional
            continue
        for item in value if parameter.repeats else (value,):
            printed = quote(print_value(item), names)
            if parameter.positional and (in_place or parameter.repeats):
                pieces.append(printed)
            else:  # also a positional one behind another that is left out
                pieces += [parameter.name, printed]
    for switch in command.switches:
        on = getattr(request, switch.field)
        if on is not None and on != switch.default:
            pieces.append(f"{'+' if on else '-'}{switch.name}")
    if command.free_switches:
        for name, on in getattr(request, command.free_switches):
            if not SWITCH.fullmatch(name) or name.upper() in command.by_switch:
                raise Refused(Code.BAD_VALUE, "BAD-FLAG", f"{name[:66]} cannot name a flag of {command.name}")
            pieces.append(f"{'+' if on else '-'}{name}")
    return " ".join(pieces)


_NAMES: dict[str, frozenset[str]] = {}


def _names_to_quote(command: Command) -> frozenset[str]:
    names = _NAMES.get(command.name)
    if names is None:
        names = _NAMES[command.name] = RESERVED | command.by_name.keys()
    return names
