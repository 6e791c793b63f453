"""Lines of replies: how a struct's fields become one line, and a line its fields.

Rules: a line is its positional words, then ``name=value`` fields, then free text that runs to the end
of the line (docs/protocol.md, "Replies"); both ways are derived from the struct's own fields, so a
field added to a reply is written and read at once. What prints a class is put together once, as one
function, the way dataclasses do it: a server prints millions of lines, and looks at no field twice.
"""

import typing
from collections.abc import Callable
from typing import Any, ClassVar, Self

import msgspec

from .codes import Code
from .text import LineReader, clean, quote, quote_text

TEXT = "text"
"""The name of the field that runs to the end of the line."""
_LINES_OF_THEIR_OWN = frozenset({"rows", "lines", "before"})
"""Rows, and how many were written before: no fields of the line."""


class Line(msgspec.Struct, frozen=True):
    """One line of a reply as it was read: code, whether a dash followed, and the rest."""

    code: int
    text: str
    more: bool = False


class Words(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="kebab"):
    """A line made of words, fields and text. ``WORDS`` names the positional ones in order."""

    CODE: ClassVar[Code]
    WORDS: ClassVar[tuple[str, ...]] = ()
    FIELDS_LAST: ClassVar[bool] = False
    """The text is the server's own and stands before the fields."""

    MISSING_LAST: ClassVar[bool] = False
    """Fields that may be missing stand behind the others: of a row that has some fields from elsewhere."""

    def to_text(self) -> str:
        """The line after its code. Items of lists may neither be empty nor hold a comma (ValueError)."""
        return (_PLANS.get(type(self)) or _plan(type(self))).print(self)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read a line; raises ``msgspec.ValidationError`` where a field is missing or impossible."""
        plan = _plan(cls)
        reader = LineReader(text)
        values: dict[str, Any] = {}
        for name in plan.words:
            word = reader.word()
            if word is not None:
                values[name] = word
        if plan.has_text and cls.FIELDS_LAST:
            values[TEXT], fields = reader.text_and_fields()
        else:
            fields = reader.fields()
            if plan.has_text:
                values[TEXT] = reader.rest()
        for name in plan.fields:
            value = fields.get(name)
            if value is not None:
                values[name] = [item for item in value.split(",") if item] if name in plan.lists else value
        return msgspec.convert(values, cls, strict=False)


class _Plan(msgspec.Struct, frozen=True):
    """What stands on the line of a class, worked out once."""

    words: tuple[str, ...]
    """Wire names of the positional words."""
    fields: tuple[str, ...]
    """Wire names of the others."""
    lists: frozenset[str]
    """Wire names of the fields that are comma-separated lists."""
    has_text: bool
    print: Callable[[Any], str]


_PLANS: dict[type[Words], _Plan] = {}


def may_be_missing(field: msgspec.structs.FieldInfo) -> bool:
    """Whether a line says nothing of the field where it has its default."""
    return type(None) in typing.get_args(field.type) or field.default in ("", ())


def named_fields(cls: type[Words]) -> list[msgspec.structs.FieldInfo]:
    """The ``name=value`` fields of a line as they stand on it."""
    fields = [one for one in msgspec.structs.fields(cls) if one.name not in {*cls.WORDS, TEXT, *_LINES_OF_THEIR_OWN}]
    return sorted(fields, key=may_be_missing) if cls.MISSING_LAST else fields


def _plan(cls: type[Words]) -> _Plan:
    plan = _PLANS.get(cls)
    if plan is None:
        known = {field.name: field for field in msgspec.structs.fields(cls)}
        words = [known[name] for name in cls.WORDS]
        fields = named_fields(cls)
        plan = _PLANS[cls] = _Plan(
            words=tuple(field.encode_name for field in words),
            fields=tuple(field.encode_name for field in fields),
            lists=frozenset(field.encode_name for field in fields if typing.get_origin(field.type) is tuple),
            has_text=TEXT in known,
            print=_printer(cls, words, fields, TEXT in known),
        )
    return plan


def _printer(
    cls: type[Words], words: list[msgspec.structs.FieldInfo], fields: list[msgspec.structs.FieldInfo], has_text: bool
) -> Callable[[Any], str]:
    """The function that prints the line of a class, compiled from its fields."""
    body = ["line = ''"]
    free_text = f"if (text := quote_text(reply.{TEXT}, {cls.FIELDS_LAST})): line += ' ' + text"
    body += [f"line += ' ' + {_printed(word)}" for word in words]
    if has_text and cls.FIELDS_LAST:
        body.append(free_text)
    for field in fields:
        add = f"line += ' {field.encode_name}=' + {_printed(field)}"
        optional = type(None) in typing.get_args(field.type)
        if optional or field.default in ("", ()):
            wanted = "is not None" if optional else f"!= {field.default!r}"
            add = f"if reply.{field.name} {wanted}: {add}"
        body.append(add)
    if has_text and not cls.FIELDS_LAST:
        body.append(free_text)
    body.append("return clean(line[1:])")
    source = "\n    ".join(["def print_line(reply):", *body])
    made: dict[str, Any] = {}
    names = {"quote": quote, "quote_text": quote_text, "clean": clean, "items": _items}
    exec(source, names, made)  # noqa: S102 - made from the names of our own fields, never from what came
    printer: Callable[[Any], str] = made["print_line"]
    return printer


def _printed(field: msgspec.structs.FieldInfo) -> str:
    """The expression that prints a field."""
    value = f"reply.{field.name}"
    if typing.get_origin(field.type) is tuple:
        return f"quote(items({value}))"
    if field.type is int or int in typing.get_args(field.type):
        return f"str({value})"
    if field.type is bool:
        return f"('true' if {value} else 'false')"
    return f"quote({value})"


def _items(value: tuple[object, ...]) -> str:
    items = [str(item) for item in value]
    if any([not item or "," in item for item in items]):
        raise ValueError(f"an item of a list is empty or holds a comma: {items}")
    return ",".join(items)
