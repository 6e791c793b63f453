"""From a line to typed requests, and back.

    line     = [command *( ";" *SP command )] LF
    command  = ["AS" SP pid SP] keyword *(SP keyword) *(SP argument)
    argument = name SP value / value / ("+" / "-") switch
    value    = word / DQUOTE *(any / "\\" DQUOTE / "\\\\") DQUOTE
    word     = 1*(any but SP, DQUOTE, ";"), not starting with "+" or "-"

Rules: the parser yields a request or a ``Refused``, never half of either; every error names what it
is about; nothing unknown is ignored (docs/protocol.md, "Commands").
"""

import re
from typing import Any

import msgspec

from . import commands as _registered  # importing the module is what fills the registry
from .codes import Code
from .errors import OutOfStep, Refused, SyntaxFault
from .registry import BY_REQUEST, KEYWORDS, Command, Parameter, Request, print_value
from .text import CONTROL, quote, unescape

assert _registered.Noop in BY_REQUEST

PID = re.compile(r"[A-Za-z0-9\-_.]{1,32}")
SWITCH = re.compile(r"[A-Za-z0-9\-_.]{1,64}")
_PIECE = re.compile(r'( +)|(;)|"((?:[^"\\]|\\.)*)"(?=[ ;]|$)|([^ ";]+)(?=[ ;]|$)')
_OCTETS_FOLLOW = re.compile(r'(?:^|[ ;"])(?:LENGTH(?= |$|;)|\+CHUNKED|\+BASE64)', re.IGNORECASE)
_WORDS = frozenset(word for sequences in KEYWORDS.values() for sequence, _ in sequences for word in sequence)
RESERVED = _WORDS | {"AS"}
"""Words that must be quoted to be values."""


class Quoted(str):
    """A value that stood in quotes: never a keyword, a name or a switch."""

    __slots__ = ()


class Parsed(msgspec.Struct, gc=False):
    """One command of a line: its pipeline (None: the default one) and the request or what is wrong."""

    pid: str | None
    command: Command | None = None
    request: Request[Any] | None = None
    error: Refused | None = None


def parse_line(octets: bytes) -> list[Parsed]:
    """The commands of one line (without its LF), in order; an unreadable line is one error."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return [Parsed(None, error=OutOfStep("UTF-8", "The line is not valid UTF-8"))]
    if not text.isprintable() and CONTROL.search(text):
        return [Parsed(None, error=OutOfStep("CONTROL-CHARACTER", "There is a control character in the line"))]
    if '"' not in text and ";" not in text:
        words = text.split(" ")
        if "" in words:
            words = [word for word in words if word]
        return [parse_command(words)] if words else []
    try:
        return [parse_command(words) for words in split_commands(text) if words]
    except SyntaxFault as error:
        return [Parsed(None, error=_close_if_octets_follow(error, text))]


def split_commands(text: str) -> list[list[str]]:
    """The words of each command of a line that has quotes or semicolons."""
    commands: list[list[str]] = [[]]
    position = 0
    while position < len(text):
        match = _PIECE.match(text, position)
        if match is None:
            raise SyntaxFault("QUOTES", f"The quotes are wrong at character {position + 1} of the line")
        spaces, semicolon, quoted, word = match.groups()
        if semicolon:
            commands.append([])
        elif quoted is not None:
            commands[-1].append(Quoted(unescape(quoted)))
        elif not spaces:
            commands[-1].append(word)
        position = match.end()
    return commands


def parse_command(words: list[str]) -> Parsed:
    """One command from its words."""
    pid: str | None = None
    start = 0
    if words[0].upper() == "AS" and type(words[0]) is str:
        if len(words) < 3:
            return Parsed(None, error=_fault(words, "SYNTAX", "After AS come a pipeline's name and a command"))
        pid = words[1]
        if not PID.fullmatch(pid):
            text = f"{pid[:40]} cannot name a pipeline: 1 to 32 letters, digits, -, _ or ."
            return Parsed(None, error=_fault(words, "PIPELINE-NAME", text))
        start = 2
    try:
        command, first = find_command(words, start)
        return Parsed(pid, command, read_arguments(command, words, first))
    except Refused as error:
        return Parsed(pid, error=_close_if_octets_follow(error, " ".join(words)))


def find_command(words: list[str], start: int) -> tuple[Command, int]:
    """The command whose keywords begin at ``start`` (the longest wins) and where its arguments begin."""
    first = words[start]
    if type(first) is str:
        key = first.upper()
        for sequence, command in KEYWORDS.get("AUTH" if key == "AUTHENTICATE" else key, ()):
            end = start + len(sequence)
            if len(sequence) == 1:
                return command, end
            given = words[start + 1 : end]
            if len(given) == len(sequence) - 1 and all(
                type(word) is str and word.upper() == keyword for word, keyword in zip(given, sequence[1:], strict=True)
            ):
                return command, end
    shown = " ".join(words[start : start + 2])[:60]
    raise SyntaxFault("UNKNOWN-COMMAND", f"There is no command {shown}; HELP lists them", Code.UNKNOWN)


def read_arguments(command: Command, words: list[str], position: int) -> Request[Any]:
    """The request that the words from ``position`` on make; raises SyntaxFault naming what is wrong."""
    values: dict[str, Any] = {}
    given = 0
    names = command.by_name
    count = len(words)
    while position < count:
        word = words[position]
        position += 1
        if type(word) is str:
            mark = word[0]
            if mark in "+-":
                _read_switch(command, word, values)
                continue
            parameter = names.get(word.upper())
            if parameter is not None:
                if position >= count or (type(words[position]) is str and words[position][0] in "+-"):
                    raise SyntaxFault("NO-VALUE", f"{parameter.name} needs a value after it")
                _take(parameter, words[position], values)
                position += 1
                continue
        while given < len(command.positionals) and (
            command.positionals[given].field in values and not command.positionals[given].repeats
        ):
            given += 1
        if given >= len(command.positionals):
            text = f"{command.name} does not know {word[:60]}; HELP {command.name} shows how it is written"
            raise SyntaxFault("UNKNOWN-PARAMETER", text, Code.UNKNOWN)
        _take(command.positionals[given], word, values)
    if not command.required <= values.keys():
        missing = next(p for p in command.parameters if p.field in command.required and p.field not in values)
        raise SyntaxFault("MISSING", f"{command.name} needs {missing.name}: {command.synopsis()}")
    for repeated in command.repeated:
        if repeated in values:
            values[repeated] = tuple(values[repeated])
    return command.request(**values)


def _take(parameter: Parameter, word: str, values: dict[str, Any]) -> None:
    try:
        value = parameter.read(str(word) if type(word) is Quoted else word)
    except ValueError as error:
        raise SyntaxFault("BAD-VALUE", f"{parameter.name} cannot be {word[:80]}: {error}", Code.BAD_VALUE) from None
    if parameter.repeats:
        values.setdefault(parameter.field, []).append(value)
    elif parameter.field in values:
        raise SyntaxFault("REPEATED", f"{parameter.name} is given twice")
    else:
        values[parameter.field] = value


def _read_switch(command: Command, word: str, values: dict[str, Any]) -> None:
    name = word[1:]
    switch = command.by_switch.get(name.upper())
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


def _fault(words: list[str], word: str, text: str) -> Refused:
    return _close_if_octets_follow(SyntaxFault(word, text), " ".join(words))


def _close_if_octets_follow(error: Refused, text: str) -> Refused:
    """Where octets may follow a command that was not understood, nobody knows where they end."""
    if _OCTETS_FOLLOW.search(text):
        return OutOfStep(error.word, f"{error.text}; octets may follow, so the connection closes")
    return error


def print_request(request: Request[Any], pid: str | None = None) -> str:
    """The line (without LF) that ``parse_line`` reads as this request."""
    command = BY_REQUEST[type(request)]
    names = RESERVED | command.by_name.keys()
    pieces = [command.name] if pid is None else ["AS", pid, command.name]
    for parameter in command.parameters:
        value = getattr(request, parameter.field)
        for item in value if parameter.repeats else () if value is None else (value,):
            printed = quote(print_value(item), names)
            if not parameter.positional:
                pieces += [parameter.name, printed]
            elif parameter.repeats or parameter.required or item != "":
                pieces.append(printed)
    for switch in command.switches:
        on = getattr(request, switch.field)
        if on is not None and on != switch.default:
            pieces.append(f"{'+' if on else '-'}{switch.name}")
    if command.free_switches:
        pieces += [f"{'+' if on else '-'}{name}" for name, on in getattr(request, command.free_switches)]
    return " ".join(pieces)
