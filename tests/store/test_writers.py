"""Units keep the rules of a database with many writers (docs/why/processes.md, "Units of work").

What a unit reads and then writes it has locked, or its UPDATE is relative or repeats a condition. The units are read
from the source, with all functions of the store that they call.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from immpd.store.units import LOCKS

SOURCES = Path(__file__).parents[2] / "src"
STORE = SOURCES / "immpd" / "store"
OF_NODE = {"node", "item", "waiting_item"}
COVERED = {
    "account": {"account"},
    "node": OF_NODE,
    "node name": OF_NODE,
    "fan-out": {"fan_out", "item"},
    "mailbox": {
        "mailbox_state", "folder", "folder_count", "placement", "trashed", "change", "gone", "notification",
        "subscription",
    },
}  # fmt: skip
"""The tables whose rows change only under a lock, or by what needs none."""
KEYS = {"id", "seq", "item", "node", "mailbox", "folder", "content", "account", "address", "imid", "public", "kind",
        "subject", "uuid", "name"}  # fmt: skip
"""Columns by which rows are found; another one in WHERE is a condition."""
EXCEPTIONS: dict[tuple[str, str], str] = {}
"""By unit and table, why it needs none of these."""

READ_EARLY = {
    ("accounts.removal.remove_account", "account"): "to know the number; its UPDATE repeats that it was not removed",
    ("feeds.keeping.forget_items", "node"): "to know which is next; it is read again",
    ("mail.filing.expire_trash", "trashed"): "to know whose; its DELETE repeats the time, and tells what goes",
    ("push.notifications.lock_notifications", "notification"): "to know the mailbox, which never changes",
    ("push.notifications.retract", "notification"): "to know the mailboxes; all is read again",
}
"""By function and table, why it may read before it locks."""

Function = tuple[str, str]
"""Module and name."""


class Source:
    """One module of the store."""

    def __init__(self, dotted: str, tree: ast.Module) -> None:
        self.functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        self.names: dict[str, Function] = {name: (dotted, name) for name in self.functions}
        self.texts: dict[str, list[str]] = {}
        """Of module-level names, the texts in them."""
        package = dotted.rpartition(".")[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                module = f"{package}.{node.module}" if node.level == 1 else node.module or ""
                for alias in node.names:
                    self.names[alias.asname or alias.name] = (module, alias.name)
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.texts[node.targets[0].id] = list(self.texts_in(node.value))

    def texts_in(self, node: ast.AST) -> Iterator[str]:
        """The texts in an expression or function; names stand for theirs."""
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else self._put_in(part)
                for part in node.values
            )
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            yield "".join((*self.texts_in(node.left), *self.texts_in(node.right)))
        elif isinstance(node, ast.Name):
            yield from self._of_name(node.id)
        else:
            for child in ast.iter_child_nodes(node):
                yield from self.texts_in(child)

    def _put_in(self, part: ast.expr) -> str:
        value = part.value if isinstance(part, ast.FormattedValue) else part
        return "".join(self._of_name(value.id)) if isinstance(value, ast.Name) else ""

    def _of_name(self, name: str) -> list[str]:
        if name in self.texts:
            return self.texts[name]
        module, of = self.names.get(name, ("", ""))
        return sources()[module].texts.get(of, []) if module in sources() else []


_sources: dict[str, Source] = {}


def sources() -> dict[str, Source]:
    """Every module of the store but what is SQLite's own, those first that others name."""
    if not _sources:
        for path in sorted(STORE.rglob("*.py")):
            if "sqlite" not in path.relative_to(STORE).parts:
                dotted = ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__")
                _sources[dotted] = Source(dotted, ast.parse(path.read_text("utf-8")))
    return _sources


def units() -> Iterator[Function]:
    """All that write, and how many of them run as one."""
    for dotted, source in sources().items():
        for name, node in source.functions.items():
            decorators = {ast.unparse(one) for one in node.decorator_list}
            if decorators & {"write_unit", "growing_unit", "freeing_unit"} or any(
                one.endswith(".batched") for one in decorators
            ):
                yield dotted, name


def called(function: Function) -> set[Function]:
    """The function and all of the store that it names, and they name."""
    found: set[Function] = set()
    waiting = [function]
    while waiting:
        dotted, name = one = waiting.pop()
        if one in found or dotted not in sources() or name not in sources()[dotted].functions:
            continue
        found.add(one)
        source = sources()[dotted]
        waiting += [
            source.names[node.id]
            for node in ast.walk(source.functions[name])
            if isinstance(node, ast.Name) and node.id in source.names
        ]
    return found


@cache
def statements(function: Function) -> list[str]:
    source = sources()[function[0]]
    return [
        text.strip()
        for line in source.functions[function[1]].body
        if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        for text in source.texts_in(line)
    ]


def locked(function: Function) -> set[str]:
    """The tables that it locks rows of."""
    tables: set[str] = set()
    for node in ast.walk(sources()[function[0]].functions[function[1]]):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "tx.lock":
            assert isinstance(node.args[0], ast.Constant), ast.unparse(node)
            tables |= COVERED[str(node.args[0].value)]
    return tables


def early(function: Function) -> set[tuple[str, str]]:
    """The function and the tables that it reads before it locks their rows, as far as it does both itself."""
    source, node = sources()[function[0]], sources()[function[0]].functions[function[1]]
    calls = sorted((one for one in ast.walk(node) if isinstance(one, ast.Call)), key=lambda one: one.lineno)
    read: set[str] = set()
    found: set[str] = set()
    for call in calls:
        called_by = ast.unparse(call.func)
        if called_by == "tx.lock":
            assert isinstance(call.args[0], ast.Constant), ast.unparse(call)
            found |= read & COVERED[str(call.args[0].value)]
        elif called_by.startswith("tx."):
            read |= set().union(*(read_by(text.strip()) for arg in call.args for text in source.texts_in(arg)))
    return {(_short(function), table) for table in found}


def _short(function: Function) -> str:
    return f"{function[0].removeprefix('immpd.store.')}.{function[1]}"


def read_by(text: str) -> set[str]:
    return set(re.findall(r"\b(?:FROM|JOIN) ([a-z_]+)", text)) if text.startswith("SELECT") else set()


def set_by(text: str) -> str | None:
    """The table of an UPDATE that says what a row is from now on, whatever it was."""
    found = re.fullmatch(r"UPDATE ([a-z_]+) SET (.*?) WHERE (.*)", text, re.DOTALL)
    if found is None:
        return None
    table, values, where = found.groups()
    values = re.sub(r":[a-z_]+", "?", values)
    columns = re.findall(r"([a-z_]+) = (.*?)(?=, [a-z_]+ = |$)", values, re.DOTALL)
    is_relative = all(re.search(rf"\b{column}\b", value) for column, value in columns)
    where = where.partition(" RETURNING ")[0]
    conditions = set(re.findall(r"\b([a-z_]+) (?:=|<|>|<=|>=|<>|IN|IS)\B|\b([a-z_]+) (?:IN|IS)\b", where))
    is_conditional = bool({one or other for one, other in conditions} - KEYS)
    return None if is_relative or is_conditional else table


def breaches() -> set[tuple[str, str]]:
    """Units, and the tables that they read and set without a lock."""
    found = set()
    for unit in units():
        functions = called(unit)
        texts = [text for one in functions for text in statements(one)]
        read = set().union(*map(read_by, texts))
        covered = set().union(*map(locked, functions))
        found |= {
            (_short(unit), table) for table in map(set_by, texts) if table is not None and table in read - covered
        }
    return found


def test_what_is_read_to_be_written_is_locked_or_written_relatively_or_under_a_condition() -> None:
    assert len(list(units())) > 60
    assert breaches() == set(EXCEPTIONS)


def test_what_is_locked_is_read_afterwards() -> None:
    found = {one for module, source in sources().items() for name in source.functions for one in early((module, name))}
    assert found == set(READ_EARLY)


def test_what_can_be_locked_is_there() -> None:
    schema = "".join(path.read_text("utf-8") for path in sorted((STORE / "migrations").rglob("*.sql")))
    assert set(COVERED) == set(LOCKS)
    for table, _ in LOCKS.values():
        assert f"CREATE TABLE {table} " in schema


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("UPDATE shared SET refs = ? WHERE content = ?", "shared"),
        ("UPDATE t SET state = 'left', due = NULL WHERE id = :id", "t"),
        ("UPDATE t SET n = n + 1, last = :last WHERE id = :id", "t"),
        ("UPDATE t SET n = n - ?, m = m + ? WHERE id = :id", None),
        ("UPDATE t SET state = 'left' WHERE id = :id AND state = :state", None),
        ("UPDATE t SET removed = :now WHERE id = :id AND removed IS NULL RETURNING 1", None),
        ("UPDATE t SET state = :new WHERE id = :id RETURNING state", "t"),
    ],
)
def test_what_is_set_whatever_it_was_is_found(text: str, table: str | None) -> None:
    assert set_by(text) == table
