"""The reference of the library, from its types and docstrings, for ``generate.py``.

Rules: what ``immpd.client`` exports is described, and every value that comes back from it, as deep as fields go;
nothing is imported (griffe reads the source), so that the page is the same on every machine.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import griffe

SOURCE = Path(__file__).resolve().parent.parent / "src"
INNER = ("link", "logged_in")
"""Public to the other modules of the room only."""
_NAMES = re.compile(r"[A-Za-z_][\w.]*")


@cache
def _package() -> griffe.Module:
    package = griffe.load("immpd", search_paths=[SOURCE], submodules=True)
    assert isinstance(package, griffe.Module)
    return package


def _resolved(one: griffe.Object | griffe.Alias) -> griffe.Object:
    return one.final_target if isinstance(one, griffe.Alias) else one


def _exported() -> dict[str, griffe.Object]:
    client = _package()["client"]
    return {str(name): _resolved(client[str(name)]) for name in client.exports}


def _members(one: griffe.Class) -> Iterator[griffe.Function | griffe.Attribute]:
    """Public attributes and methods, its own first."""
    for name, member in {**one.members, **one.inherited_members}.items():
        target = _resolved(member)
        if name.startswith("_") or name in INNER:
            continue
        if target.docstring is not None or (isinstance(target, griffe.Attribute) and _marks(target)):
            yield target


def _signature(one: griffe.Function) -> str:
    words = ("async " if "async" in one.labels else "") + "def "
    parameters = [parameter for parameter in one.parameters if parameter.name != "self"]
    shown, keywords = [], False
    for parameter in parameters:
        kind = parameter.kind
        if kind is griffe.ParameterKind.keyword_only and not keywords:
            keywords = True
            shown.append("*")
        text = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(kind, "")
        keywords = keywords or text == "*"
        text += parameter.name + ("" if parameter.annotation is None else f": {parameter.annotation}")
        variable = kind in (griffe.ParameterKind.var_positional, griffe.ParameterKind.var_keyword)
        if parameter.default is not None and not variable:
            text += f" = {parameter.default}"
        shown.append(text)
    ends = "" if one.returns is None else f" -> {one.returns}"
    line = f"{words}{one.name}({', '.join(shown)}){ends}"
    return (
        line if len(line) <= 100 else f"{words}{one.name}(\n" + "".join(f"    {text},\n" for text in shown) + f"){ends}"
    )


def _text(one: griffe.Object) -> str:
    words = "" if one.docstring is None else one.docstring.value
    return words.replace("``", "`")


def _class(name: str, one: griffe.Class) -> list[str]:
    pieces = [f"## {name}", _text(one)]
    members = list(_members(one))
    fields = [member for member in members if isinstance(member, griffe.Attribute)]
    if fields:
        pieces.append("\n".join(_field(field) for field in fields))
    for member in members:
        if isinstance(member, griffe.Function):
            pieces += [f"```python\n{_signature(member)}\n```", _text(member)]
    return pieces


def _marks(field: griffe.Attribute) -> list[str | griffe.Expr]:
    """The type and the marks of a field that is Annotated."""
    hint = field.annotation
    marked = isinstance(hint, griffe.ExprSubscript) and hint.canonical_name == "Annotated"
    return list(hint.slice.elements) if marked and isinstance(hint.slice, griffe.ExprTuple) else []


def _field(field: griffe.Attribute) -> str:
    hint, *marks = _marks(field) or [field.annotation]
    kind = "" if hint is None else f" ({hint})"
    told = [
        ast.literal_eval(str(one.value))
        for mark in marks
        if isinstance(mark, griffe.ExprCall)
        for one in mark.arguments
        if isinstance(one, griffe.ExprKeyword) and one.name == "help"
    ]
    words = " ".join([*told, *_text(field).split()])
    return f"* `{field.name}`{kind}{': ' if words else ''}{words}"


def _values(wanted: list[str]) -> dict[str, griffe.Class]:
    """The values that annotations speak of, and those in their fields."""
    rooms = [_package()[room] for room in ("protocol.replies", "model.message", "model.notification", "client.events")]
    found: dict[str, griffe.Class] = {}

    def ours(one: griffe.Object | griffe.Alias) -> bool:
        return not isinstance(one, griffe.Alias) or one.target_path.startswith("immpd.")

    while wanted:
        for name in _NAMES.findall(wanted.pop(0)):
            short = name.removeprefix("r.").rpartition(".")[2]
            homes = [room for room in rooms if short in room.members and ours(room[short])]
            if not homes or short in found:
                continue
            one = _resolved(homes[0][short])
            if isinstance(one, griffe.Class):
                found[short] = one
                wanted += [str(field.annotation) for field in one.attributes.values() if field.annotation]
    return found


def library() -> str:
    """Every function, class, error and value of ``immpd.client``."""
    exported = _exported()
    functions = [one for one in exported.values() if isinstance(one, griffe.Function)]
    classes = {name: one for name, one in exported.items() if isinstance(one, griffe.Class)}
    errors = {name: one for name, one in classes.items() if one.filepath.stem == "errors"}
    pieces = ["## Functions"]
    for function in functions:
        pieces += [f"```python\n{_signature(function)}\n```", _text(function)]
    for name, one in classes.items():
        if name not in errors:
            pieces += _class(name, one)
    rows = ["| error | when |", "| --- | --- |"]
    rows += [f"| `{name}` | {' '.join(_text(one).split())} |" for name, one in errors.items()]
    pieces += ["## Errors", "\n".join(rows), "## Values"]
    answers = [
        str(member.returns)
        for one in classes.values()
        for member in _members(one)
        if isinstance(member, griffe.Function) and member.returns is not None
    ]
    for name, value in sorted(_values(answers).items()):
        if name not in exported:
            fields = [
                field
                for field in value.attributes.values()
                if field.annotation and not field.name.startswith("_") and not field.name.isupper()
            ]
            lines = [_field(field) for field in fields if "ClassVar" not in str(field.annotation)]
            pieces += [f"### {name}", _text(value), "\n".join(lines)]
    return "\n\n".join(piece for piece in pieces if piece)
