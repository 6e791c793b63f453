"""The statements of the store's units are SQL that other databases read alike (docs/why/portable-sql.md).

They are read from the source: every text in it that is SQL, whole statements and parts of some. What is SQLite's own
(store/sqlite, migrations) says so by where it lies.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

STORE = Path(__file__).parents[2] / "src" / "immpd" / "store"
KEYWORDS = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|SET|VALUES|AND|OR|NOT|CASE|ORDER BY|ON CONFLICT)\b")
NESTED = r"[^()]*(?:\([^()]*(?:\([^()]*\)[^()]*)*\)[^()]*)*"
"""What stands in parentheses, with two more pairs in it at most."""
COLUMN = r"(?:[a-z_]+\.)?[a-z_]+"

RULES = {
    "name what to do instead of OR": r"\bINSERT OR\b|\bREPLACE INTO\b",
    "ON CONFLICT names its columns": r"\bON CONFLICT DO\b",
    "max and min of several values are CASE": rf"\b(?:max|min)\s*\({NESTED},{NESTED}\)",
    "a sum of conditions is a sum of CASE": rf"\b(?:sum|avg)\s*\((?!\s*CASE){NESTED}(?:=|<|>|\bIS\b|\bIN\b){NESTED}\)",
    "an integer is compared, it is no condition": (
        rf"\b(?:WHERE|AND|OR|(?<!IS )NOT|WHEN)\s+\(*(?:{COLUMN}|[:?][a-z_]*)(?:\s*&\s*[\w:?]+)?\s*"
        r"(?=\bAND\b|\bOR\b|\bTHEN\b|$|\)(?!\s*(?:[=<>!&+*/-]|IS\b|IN\b|NOT\b)))"
    ),
    "IS stands before NULL alone": r"\bIS\s+(?:NOT\s+)?(?!NULL\b|NOT\b)\S",
    "texts are parameters or in single quotes": r'"',
    "octets are parameters": r"\b[xX]'",
    "no limit is no LIMIT": r"\bLIMIT\s+-",
    "keys have names": r"\b(?:rowid|_rowid_|oid)\b",
    "LIKE, not GLOB or MATCH": r"\b(?:GLOB|MATCH|REGEXP)\b",
    "a value has a name or a place, no number": r"\?[0-9]",
    "the planner is not told how": r"\bINDEXED\s+BY\b|\bNOT\s+INDEXED\b",
    "substr begins at a place that is counted from the beginning": r"\bsubstr\s*\([^,]*,\s*-",
    "functions that others do not have": (
        r"\b(?:ifnull|iif|instr|group_concat|total|printf|strftime|datetime|julianday|unixepoch|hex|unhex|zeroblob|typeof"
        r"|changes|total_changes|last_insert_rowid|random|randomblob|json_\w+)\s*\("
    ),
}


def texts() -> Iterator[tuple[str, str]]:
    """(where it stands, text) of everything in the units' source that is SQL; what is put in stands as {}."""
    for path in sorted(STORE.rglob("*.py")):
        if "sqlite" in path.relative_to(STORE).parts:
            continue
        tree = ast.parse(path.read_text())
        parts: set[ast.AST] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                parts.add(node.value)  # a docstring
            elif isinstance(node, ast.JoinedStr):
                parts |= set(node.values)
        for node in ast.walk(tree):
            text = None if node in parts else text_of(node)
            if text is not None and KEYWORDS.search(text):
                yield f"{path.relative_to(STORE)}:{node.lineno}", text  # type: ignore[attr-defined]


def text_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
    return None


def breaches(text: str) -> list[str]:
    text = re.sub(r"\bBETWEEN \S+ AND \S+", "= ?", text)  # its AND joins no conditions
    return [rule for rule, pattern in RULES.items() if re.search(pattern, text)]


def test_every_statement_is_read_alike_by_others() -> None:
    found = dict(texts())
    assert len(found) > 250
    assert {where: broken for where, text in found.items() if (broken := breaches(text))} == {}


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("name what to do instead of OR", "INSERT OR IGNORE INTO t VALUES (?)"),
        ("ON CONFLICT names its columns", "INSERT INTO t VALUES (?) ON CONFLICT DO NOTHING"),
        ("max and min of several values are CASE", "SELECT a FROM t WHERE a > max(:b, coalesce(c, 1) - 1)"),
        ("a sum of conditions is a sum of CASE", "SELECT coalesce(sum((flags & :read) = 0), 0) FROM t"),
        ("a sum of conditions is a sum of CASE", "SELECT sum(a IN (1, 2)) FROM t"),
        ("an integer is compared, it is no condition", "SELECT a FROM t WHERE s.muted"),
        ("an integer is compared, it is no condition", "SELECT a FROM t WHERE (muted OR a = 1)"),
        ("an integer is compared, it is no condition", "SELECT a FROM t WHERE NOT :pull AND a = 1"),
        ("an integer is compared, it is no condition", " AND flags & 1"),
        ("an integer is compared, it is no condition", "SELECT CASE WHEN muted THEN 1 ELSE 2 END FROM t"),
        ("IS stands before NULL alone", "SELECT a FROM t WHERE a IS ?"),
        ("IS stands before NULL alone", "SELECT a FROM t WHERE a IS NOT b"),
        ("texts are parameters or in single quotes", 'SELECT a FROM t WHERE a = "x"'),
        ("octets are parameters", "UPDATE t SET a = x''"),
        ("no limit is no LIMIT", "SELECT a FROM t LIMIT -1 OFFSET 5"),
        ("keys have names", "SELECT rowid FROM t"),
        ("a value has a name or a place, no number", "SELECT a FROM t WHERE a = ?1"),
        ("LIKE, not GLOB or MATCH", "SELECT a FROM t WHERE a GLOB 'x*'"),
        ("substr begins at a place that is counted from the beginning", "SELECT substr(a, -length(:at)) FROM t"),
        ("functions that others do not have", "SELECT ifnull(a, 0) FROM t"),
    ],
)
def test_what_others_read_otherwise_is_found(rule: str, text: str) -> None:
    assert breaches(text) == [rule]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT max(a), min(b) FROM t WHERE a = 1 AND b IS NULL AND c IS NOT NULL",
        "SELECT sum(CASE WHEN a = 1 THEN 1 ELSE 0 END) FROM t WHERE (a & :b) = 0 AND NOT EXISTS (SELECT 1 FROM u)",
        "INSERT INTO t (a) VALUES (?) ON CONFLICT (a) DO UPDATE SET a = excluded.a WHERE t.a <> excluded.a",
        " AND ((a, b) IN (SELECT a, b FROM t LIMIT :limit) OR d BETWEEN ? AND ? OR e NOT IN (?, ?))",
    ],
)
def test_what_others_read_alike_passes(text: str) -> None:
    assert breaches(text) == []
