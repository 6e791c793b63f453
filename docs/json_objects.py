"""The JSON Schema of every JSON object on the wire, made from the structs that the server writes and reads.

Rules: what a type cannot say (a string is a time, a word is one of a set) stands in the tables below; what a
field is for comes from the text under it in the source. An object may get further members in a later version,
except where the struct refuses them, so the schema allows them there; the tests do not.
"""

import ast
import inspect
import json
import re
from typing import Any, get_args

import msgspec

from immpd.model.message import FetchedMessage, IndexRow
from immpd.model.notification import LEVELS, Card, NotificationRow
from immpd.protocol.events import EVENTS
from immpd.store.push.notifications import Status, Why

OBJECTS: dict[type[msgspec.Struct], tuple[str, str]] = {
    IndexRow: ("a row of MBOX INDEX +JSON", "250"),
    FetchedMessage: ("a message of MBOX FETCH +JSON", "250, 255"),
    NotificationRow: ("a notification of PUSH LIST and PUSH SHOW", "261"),
    Card: ("a data block of type application/immp-notification+json", "octets"),
    **{event: (f"the event `{event.__annotations__['event'].__args__[0]}`", "260") for event in EVENTS},
}
"""Every object: where it stands, and in what."""
_ALSO = {"item", "item-retracted", "subscription"}
"""Events that SUBSCRIBE SINCE shows, too."""

_UUID = {"type": "string", "format": "uuid"}
_TIME = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]{8,}([Zz]|[+-][0-9]{2}:[0-9]{2})$",
}
_FORMATS: dict[str, dict[str, Any]] = {
    "IndexRow.id": _UUID,
    "FetchedMessage.id": _UUID,
    "Envelope.id": _UUID,
    "NotificationRow.id": _UUID,
    "date": _TIME,
    "received-date": _TIME,
    "created": _TIME,
    "expires": _TIME,
    "ended": _TIME,
    "at": _TIME,
    "push": _UUID,
    "NotificationRow.status": {"enum": [one for one in get_args(Status) if one != "waiting"]},
    "NotificationRow.why": {"enum": list(get_args(Why))},
    "NotificationRow.level": {"enum": list(LEVELS)},
    "Card.icon": {"type": "string", "maxLength": 1000, "pattern": "^https:"},
    "Card.title": {"type": "string", "maxLength": 200},
    "Card.body": {"type": "string", "maxLength": 2000},
    "Action.id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,32}$"},
    "Action.label": {"type": "string", "minLength": 1, "maxLength": 60},
    "Action.url": {"type": "string", "maxLength": 1000, "pattern": "^(https|http|immp):"},
}
"""What a member is, by its object and name or by its name alone, beyond what its type says."""
_IN_EVENTS = {"id": _UUID}


def schema() -> str:
    """One document; each object is one of its ``$defs``."""
    _, definitions = msgspec.json.schema_components(list(OBJECTS), ref_template="#/$defs/{name}")
    sources = {kind.__name__: kind for kind in _with_parts()}
    for name, definition in definitions.items():
        source = sources[name]
        definition["description"] = re.sub(r"\s+", " ", inspect.cleandoc(source.__doc__ or "")).replace("``", "`")
        told = _told(source)
        for member, what in definition["properties"].items():
            if name in _EVENT_NAMES:
                what.update(_IN_EVENTS.get(member, {}))
            for key in (member, *(f"{base.__name__}.{member}" for base in reversed(source.__mro__))):
                if key in _FORMATS:
                    what.update(_FORMATS[key])
                    if "enum" in what:
                        what.pop("type", None)
            if member in told and "$ref" not in what:
                what["description"] = told[member]
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The JSON objects of IMMP/1.0",
        "description": "Made from the code: what it is for is said in docs/protocol.md.",
        "anyOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in OBJECTS],
        "$defs": definitions,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def table() -> str:
    """Which object stands where."""
    rows = ["| object | it is | in |", "| --- | --- | --- |"]
    for kind, (what, where) in OBJECTS.items():
        also = ", 286" if kind in EVENTS and kind.__annotations__["event"].__args__[0] in _ALSO else ""
        rows.append(f"| `{kind.__name__}` | {what} | {where}{also} |")
    return "\n".join(rows)


def events() -> str:
    """Every name of an event, and the members that it always has besides ``cursor`` and ``event``."""
    rows = ["| event | when | always with | and where it says something |", "| --- | --- | --- | --- |"]
    for kind in EVENTS:
        members = [field for field in msgspec.structs.fields(kind) if field.name not in ("cursor", "event")]
        shown = [
            ", ".join(f"`{field.encode_name}`" for field in members if field.required is required)
            for required in (True, False)
        ]
        summary = (kind.__doc__ or "").splitlines()[0].removesuffix(".")
        name = kind.__annotations__["event"].__args__[0]
        rows.append(f"| `{name}` | {summary} | {shown[0]} | {shown[1]} |")
    return "\n".join(rows)


_EVENT_NAMES = {kind.__name__ for kind in EVENTS}


def _with_parts() -> set[type[msgspec.Struct]]:
    """The structs and those inside them."""
    found: set[type[msgspec.Struct]] = set()

    def look(kind: Any) -> None:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in found:
            found.add(kind)
            for field in msgspec.structs.fields(kind):
                look(field.type)
        for inner in get_args(kind):
            look(inner)

    for kind in OBJECTS:
        look(kind)
    return found


def _told(kind: type[msgspec.Struct]) -> dict[str, str]:
    """What the text under each field says of it."""
    told: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base is msgspec.Struct or not issubclass(base, msgspec.Struct):
            continue
        names = {field.name: field.encode_name for field in msgspec.structs.fields(base)}
        (tree,) = ast.parse(inspect.getsource(base)).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                assert isinstance(field.target, ast.Name)
                said = re.sub(r"\s+", " ", str(text.value.value)).replace("``", "`")
                told[names[field.target.id]] = said
    return told
