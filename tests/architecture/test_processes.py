"""All that a process keeps outside the store is named in docs/why/processes.md, with what it does beside another.

What is found from the source: the fields of ``Services``, and what modules of a server keep at their level: containers
that are made empty or changed by a function, caches, values of threads, names that a function binds anew, and values
of our own classes that can change.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import msgspec
import pytest

from immpd.service.session import Services
from immpd.store.units import Work

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "immpd"
PAGE = (ROOT / "docs" / "why" / "processes.md").read_text("utf-8")
ROOMS = ("model", "protocol", "store", "bus", "net", "mime", "service", "federation", "server", "app")
"""What a server consists of."""
CONTAINERS = {
    "dict", "list", "set", "bytearray", "deque", "Counter", "defaultdict", "OrderedDict", "WeakSet",
    "WeakValueDictionary", "WeakKeyDictionary", "local", "ContextVar",
}  # fmt: skip
CACHES = {"cache", "lru_cache"}
CHANGING = {
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "move_to_end", "pop", "popitem", "popleft",
    "remove", "setdefault", "update",
}  # fmt: skip


def last_name(node: ast.AST) -> str:
    """``local`` of ``threading.local``, also where it is called or given types."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def kept_by(tree: ast.Module) -> Iterator[str]:
    """The names at a module's level whose values change while it runs."""
    changed = set(changed_in(tree))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if any(last_name(one) in CACHES for one in node.decorator_list):
                yield node.name
            continue
        targets, value = assigned(node)
        for name in targets:
            if name in changed or is_filled_later(value):
                yield name


def assigned(node: ast.stmt) -> tuple[list[str], ast.expr | None]:
    if isinstance(node, ast.Assign):
        return [one.id for one in node.targets if isinstance(one, ast.Name)], node.value
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id], node.value
    return [], None


def is_filled_later(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Dict):
        return not value.keys
    if isinstance(value, ast.List | ast.Set):
        return not value.elts
    if isinstance(value, ast.Call):
        name = last_name(value)
        return name in CACHES or (name in CONTAINERS and not value.args)
    return False


def changed_in(tree: ast.Module) -> Iterator[str]:
    """Names that are bound anew by a function, or whose values are given, lose or change parts, wherever it stands."""
    for node in ast.walk(tree):
        changed: ast.expr | None = None
        if isinstance(node, ast.Global):
            yield from node.names
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            changed = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
            changed = node.func.value
        if isinstance(changed, ast.Name):
            yield changed.id


def modules() -> Iterator[tuple[str, ast.Module]]:
    for room in ROOMS:
        for path in sorted((SOURCES / room).rglob("*.py")):
            dotted = ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__")
            yield dotted, ast.parse(path.read_text("utf-8"))


def kept() -> set[str]:
    """``module.name`` of all that is found."""
    found = set()
    for dotted, tree in modules():
        found |= {f"{dotted}.{name}" for name in kept_by(tree)}
        values = vars(importlib.import_module(f"immpd.{dotted}"))
        for node in tree.body:
            found |= {f"{dotted}.{name}" for name in assigned(node)[0] if can_change(values.get(name))}
    return found


def can_change(value: object) -> bool:
    """Whether it is of a class of ours that is not frozen; works are registered when their modules are read."""
    of = type(value)
    if not of.__module__.startswith("immpd.") or isinstance(value, type | Enum | Work | BaseException):
        return False
    return not (isinstance(value, msgspec.Struct) and value.__struct_config__.frozen)


def named() -> set[str]:
    """What the first columns of the page's tables name in backticks."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def test_all_that_sessions_share_is_named() -> None:
    assert {f"Services.{field}" for field in Services.__struct_fields__} - named() == set()


def test_all_that_modules_keep_is_named() -> None:
    assert kept() - named() == set()


def test_nothing_is_named_that_is_there_no_longer() -> None:
    fields = {name.removeprefix("Services.") for name in named() if name.startswith("Services.")}
    assert fields - set(Services.__struct_fields__) == set()
    level = {dotted for dotted, _ in modules()}
    of_modules = {name for name in named() if name.rpartition(".")[0] in level}
    assert of_modules - kept() == set()


@pytest.mark.parametrize(
    "source",
    [
        "KEPT = {}",
        "KEPT: dict[str, int] = {}",
        "KEPT = OrderedDict[str, int]()",
        "KEPT = threading.local()",
        "KEPT = lru_cache(maxsize=9)(parse)",
        "@cache\ndef KEPT(): ...",
        "@functools.lru_cache(maxsize=9)\ndef KEPT(): ...",
        "KEPT = {1: 2}\ndef note(): KEPT[2] = 3",
        "KEPT = [1]\ndef note(): KEPT.append(2)",
        "KEPT = 1\ndef note():\n    global KEPT\n    KEPT = 2",
    ],
)
def test_what_is_kept_is_found(source: str) -> None:
    assert list(kept_by(ast.parse(source))) == ["KEPT"]


@pytest.mark.parametrize("source", ["TABLE = {1: 2}", "TABLE = dict(one)", "TABLE = [1, 2]\nprint(TABLE[0])"])
def test_tables_that_stay_as_they_are_need_no_word(source: str) -> None:
    assert list(kept_by(ast.parse(source))) == []
