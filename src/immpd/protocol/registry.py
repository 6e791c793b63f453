"""How a command is declared, and what is derived from the declaration.

Rules: a command is one frozen struct; its fields are its parameters and switches, their types say
how a value is read; ``@command`` adds keywords, states, shape, reply codes and help. Parser, HELP,
``immp do``, reference pages and the completeness tests all read ``Command`` and nothing else.
"""

import functools
import operator
import types
import typing
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

import msgspec

from immpd.model.imid import Imid, parse_imid, read_uuid
from immpd.model.references import Reference, read_reference

from .codes import Code
from .replies import Reply
from .states import State

R = TypeVar("R", bound=Reply)


class Request(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """A command with its arguments; ``R`` is the reply it leads to."""


class Shape(Enum):
    """How a handler does its work (docs/why/handlers.md)."""

    NOW = "now"
    UNIT = "unit"
    AWAIT = "await"
    STREAM = "stream"
    SESSION = "session"


class Mark(Enum):
    """What a field of a request is, where its type does not say it."""

    POSITIONAL = "positional"
    FREE_SWITCHES = "free switches"


Positional = Mark.POSITIONAL
FreeSwitches = Annotated[tuple[tuple[str, bool], ...], Mark.FREE_SWITCHES]


class Parameter(msgspec.Struct, frozen=True):
    """One parameter of a command: its name on the wire, its field, how a value is read and printed."""

    name: str
    field: str
    read: Callable[[str], Any]
    value: str
    """What the help calls its value."""
    required: bool
    repeats: bool
    positional: bool
    default: Any = None
    """What the field is where nothing is written; of no meaning where it is required."""


class Switch(msgspec.Struct, frozen=True):
    """One switch: its name, its field and the value it has when it is not written."""

    name: str
    field: str
    default: bool | None


BodyForm = Literal["", "always", "counted", "framed"]
"""Octets after a command's line: none; always, by LENGTH, +CHUNKED or +BASE64; where LENGTH counts them; where LENGTH,
+CHUNKED or +BASE64 stands there."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A registered command."""

    keywords: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...]
    request: type[Request[Any]]
    reply: type[Reply]
    states: frozenset[State]
    shape: Shape
    codes: tuple[Code, ...]
    alone: bool
    """Stands alone on its line, without AS, and is a barrier."""
    body: BodyForm
    """Whether octets follow its line, and how one knows."""
    summary: str
    parameters: tuple[Parameter, ...]
    switches: tuple[Switch, ...]
    free_switches: str | None
    """The field that takes switches of any name."""
    by_name: dict[str, Parameter]
    by_switch: dict[str, Switch]
    positionals: tuple[Parameter, ...]
    repeated: tuple[str, ...]
    """Fields that hold every value given, in order."""
    names_nobody: bool
    """It takes no address, id or secret: its lines come again letter for letter, and the grammar keeps them."""

    @property
    def name(self) -> str:
        """The keywords with spaces between them."""
        return " ".join(self.keywords)

    def synopsis(self) -> str:
        """The command as HELP shows it."""
        pieces = [self.name]
        for parameter in self.parameters:
            piece = parameter.value if parameter.positional else f"{parameter.name} {parameter.value}"
            piece = piece if parameter.required else f"[{piece}]"
            pieces.append(piece + ("…" if parameter.repeats else ""))
        for switch in self.switches:
            names = {None: f"+{switch.name}|-{switch.name}", True: f"-{switch.name}", False: f"+{switch.name}"}
            pieces.append(f"[{names[switch.default]}]")
        if self.free_switches:
            pieces.append("[+FLAG|-FLAG]…")
        return " ".join(pieces)


COMMON_CODES = frozenset(
    {
        Code.BAD_VALUE,
        Code.LIMIT,
        Code.CANCELLED,
        Code.TEMPORARY,
        Code.SYNTAX,
        Code.UNKNOWN,
        Code.STATE,
        Code.CLEAR,
        Code.OUT_OF_STEP,
        Code.BOUND,
        Code.INTERNAL,
        Code.SHUTDOWN,
        Code.UNKNOWN_OUTCOME,
    }
)
"""What any command may be answered with besides its own codes."""

COMMANDS: list[Command] = []
"""Every command, in the order of the reference."""

BY_REQUEST: dict[type[Request[Any]], Command] = {}
KEYWORDS: dict[str, Command] = {}
"""Every keyword sequence, with single spaces, → its command; aliases too."""

SEQUENCE_LENGTHS: dict[str, tuple[int, ...]] = {}
"""First keyword → how many keywords the sequences that begin with it have, the longest first."""


def has_octets(request: Request[Any]) -> bool:
    """Whether octets follow the line of a command with these arguments."""
    form = BY_REQUEST[type(request)].body
    if form in ("", "always"):
        return bool(form)
    counted: Any = request
    return counted.length is not None or (form == "framed" and (counted.chunked or counted.base64))


C = TypeVar("C", bound=type[Request[Any]])


def command(
    keywords: str,
    *aliases: str,
    states: Iterable[State],
    shape: Shape,
    codes: tuple[Code, ...],
    summary: str,
    alone: bool = False,
    body: BodyForm = "",
) -> Callable[[C], C]:
    """Register the decorated request struct as a command."""

    def register(request: C) -> C:
        parameters, switches, free = _fields_of(request)
        entry = Command(
            keywords=tuple(keywords.split()),
            aliases=tuple(tuple(alias.split()) for alias in aliases),
            request=request,
            reply=_reply_of(request),
            states=frozenset(states),
            shape=shape,
            codes=codes,
            alone=alone,
            body=body,
            summary=summary,
            parameters=tuple(parameters),
            switches=tuple(switches),
            free_switches=free,
            by_name={p.name: p for p in parameters if not (p.positional and p.repeats)},
            by_switch={s.name: s for s in switches},
            positionals=tuple(p for p in parameters if p.positional),
            repeated=tuple(p.field for p in parameters if p.repeats) + ((free,) if free else ()),
            names_nobody=not alone and all(p.read in (str, _read_number, _read_span) for p in parameters),
        )
        COMMANDS.append(entry)
        BY_REQUEST[request] = entry
        for sequence in (entry.keywords, *entry.aliases):
            if KEYWORDS.setdefault(" ".join(sequence), entry) is not entry:
                raise ValueError(f"{' '.join(sequence)} is registered already")
            lengths = {len(sequence), *SEQUENCE_LENGTHS.get(sequence[0], ())}
            SEQUENCE_LENGTHS[sequence[0]] = tuple(sorted(lengths, reverse=True))
        return request

    return register


def _reply_of(request: type[Request[Any]]) -> type[Reply]:
    for base in types.get_original_bases(request) if hasattr(types, "get_original_bases") else _bases(request):
        arguments = typing.get_args(base)
        if arguments and isinstance(arguments[0], type) and issubclass(arguments[0], Reply):
            return arguments[0]
    raise TypeError(f"{request.__name__} does not say what it answers: class X(Request[SomeReply])")


def _bases(request: type) -> tuple[Any, ...]:
    return tuple(request.__dict__.get("__orig_bases__", ()))


def _fields_of(request: type[Request[Any]]) -> tuple[list[Parameter], list[Switch], str | None]:
    hints = typing.get_type_hints(request, include_extras=True)
    parameters: list[Parameter] = []
    switches: list[Switch] = []
    free: str | None = None
    for field in msgspec.structs.fields(request):
        hint = hints[field.name]
        marks: tuple[Any, ...] = ()
        if typing.get_origin(hint) is Annotated:
            hint, *rest = typing.get_args(hint)
            marks = tuple(rest)
        if Mark.FREE_SWITCHES in marks:
            free = field.name
            continue
        name = field.name.rstrip("_").replace("_", "-").upper()
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)] or [hint]
        repeats = typing.get_origin(hint) is tuple
        kind = typing.get_args(hint)[0] if repeats else (kinds[0] if typing.get_origin(hint) is not tuple else hint)
        if len(kinds) > 1 and not repeats:
            kind = functools.reduce(operator.or_, kinds)
        if kind is bool:
            switches.append(Switch(name=name, field=field.name, default=field.default))
            continue
        one_of = typing.get_origin(kind) is Literal  # read as any text: the handler says which words there are
        read, value = (str, "|".join(typing.get_args(kind))) if one_of else READERS[kind]
        described = [mark for mark in marks if isinstance(mark, str)]
        parameters.append(
            Parameter(
                name=name,
                field=field.name,
                read=read,
                value=described[0] if described else value,
                required=field.required,
                repeats=repeats,
                positional=Mark.POSITIONAL in marks,
                default=None if field.required else field.default,
            )
        )
    # A struct that several commands share has its fields before the command's own.
    parameters.sort(key=lambda parameter: not parameter.positional)
    return parameters, switches, free


class Span(msgspec.Struct, frozen=True):
    """A range of octets ``first-last``, both included, counted from 0; an open end is None."""

    first: int
    last: int | None = None

    def __str__(self) -> str:
        return f"{self.first}-{'' if self.last is None else self.last}"


def _read_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise ValueError("a number of at most 18 digits is wanted")
    return int(text)


def _read_base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise ValueError("base64 is wanted") from None


def _read_span(text: str) -> Span:
    first, dash, last = text.partition("-")
    span = Span(first=_read_number(first), last=_read_number(last) if last else None)
    if not dash or (span.last is not None and span.last < span.first):
        raise ValueError("a range of octets like 0-65535 is wanted")
    return span


def _read_uuid_or_imid(text: str) -> UUID | Imid:
    return parse_imid(text) if "@" in text else read_uuid(text)


READERS: dict[Any, tuple[Callable[[str], Any], str]] = {
    str: (str, "text"),
    int: (_read_number, "n"),
    UUID: (read_uuid, "uuid"),
    bytes: (_read_base64, "base64"),
    Imid: (parse_imid, "imid"),
    Span: (_read_span, "a-b"),
    UUID | Imid: (_read_uuid_or_imid, "uuid|imid"),
    Reference: (read_reference, "message-id"),
}
"""How the value of a field of that type is read, and what the help calls it."""


def print_value(value: object) -> str:
    """The inverse of the readers."""
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)
