"""The documents say what is so: conversations are played, tables fresh, citations exist."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.sessions.player import play
from tests.sessions.script import Script, read_file, read_page

from immpd.protocol.codes import Code
from immpd.protocol.grammar import parse_line
from immpd.protocol.registry import COMMANDS
from immpd.protocol.words import WORDS
from immpd.service.session import HANDLERS

ROOT = Path(__file__).parents[2]
PROTOCOL = ROOT / "docs" / "protocol.md"
CONVERSATIONS = [
    (page, number, script)
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for number, script in enumerate(read_page(page), 1)
]
AT_ONCE = {"UPGRADE", "CANCEL", "QUIT"}
"""What the connection answers itself, without a handler of the service."""


@pytest.mark.parametrize(
    ("page", "number", "script"), CONVERSATIONS, ids=lambda value: value.stem if isinstance(value, Path) else None
)
async def test_a_conversation_of_the_documents_is_played(page, number, script, tmp_path):
    await play(script, tmp_path)


def test_the_protocol_page_has_conversations():
    assert sum(page == PROTOCOL for page, _, _ in CONVERSATIONS) >= 10


def test_generated_tables_are_fresh():
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_citation_names_a_section():
    headings = set(re.findall(r"^#+ (.+)$", PROTOCOL.read_text(), re.MULTILINE))
    missing = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        for cited in re.findall(r'docs/protocol\.md,\s+((?:"[^"]+"(?:,? and |, )?)+)', path.read_text()):
            for name in re.findall(r'"([^"]+)"', cited):
                if name not in headings:
                    missing.append(f"{path.name}: {name}")
    assert not missing


def test_every_decision_page_is_listed():
    folder = ROOT / "docs" / "why"
    listed = set(re.findall(r"\]\((\w[\w-]*)\.md\)", (folder / "README.md").read_text()))
    assert listed == {path.stem for path in folder.glob("*.md")} - {"README"}


def said_in(script: Script) -> set[str]:
    """The names of the commands that the clients of a conversation say, as the server's own parser reads them."""
    names = set()
    for step in script.steps:
        if step.side == "C" and not step.raw:
            line = re.sub(r"<(?:client-[\w-]+|stored-key|server-key|h)(?::\w+)?>", "AAAA", step.text)
            line = re.sub(r"<[\w-]+>", "0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60", line)
            names |= {one.command.name for one in parse_line(line.encode()) if one.command is not None}
    return names


def test_every_command_is_said_in_a_conversation():
    files = [read_file(path) for path in (ROOT / "tests" / "sessions").rglob("*.immp")]
    said = set().union(*map(said_in, files))
    assert {command.name for command in COMMANDS} - said == set()


def test_every_command_is_said_on_the_protocol_page():
    said = set().union(*map(said_in, read_page(PROTOCOL)))
    assert {command.name for command in COMMANDS} - said == set()


def test_every_command_has_a_handler():
    assert [c.name for c in COMMANDS if c.request not in HANDLERS and c.name not in AT_ONCE] == []


def test_every_command_has_a_section_on_the_protocol_page():
    text = PROTOCOL.read_text()
    headings = set(re.findall(r"^#+ (.+)$", text, re.MULTILINE))
    for command in COMMANDS:
        assert command.name in headings, command.name
        assert f"<!-- generated: command {command.name} -->" in text, command.name


def test_every_word_of_the_source_is_in_the_table_with_its_code():
    """Words stand after a code in Refused and in tables of errors, and first in those that imply their code."""
    implied = {"SyntaxFault": "SYNTAX", "_fault": "SYNTAX", "OutOfStep": "OUT_OF_STEP"}
    found = set()
    for room in ("protocol", "service", "server"):
        for path in sorted((ROOT / "src" / "immpd" / room).rglob("*.py")):
            if path.name != "words.py":
                for node in ast.walk(ast.parse(path.read_text())):
                    found |= words_of(node, implied)
    assert {(word, code) for word, code in found if Code[code] not in WORDS.get(word, ((), ""))[0]} == set()
    assert WORDS.keys() - {word for word, _ in found} == set()


def words_of(node: ast.AST, implied: dict[str, str]) -> set[tuple[str, str]]:
    """(word, code's name) of one call or tuple."""
    name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
    inside = node.args if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.Tuple) else []
    codes = [one.attr for one in inside if isinstance(one, ast.Attribute) and ast.unparse(one.value) == "Code"]
    if isinstance(node, ast.Tuple) or name in ("Refused", "StateFault") or name in implied:
        texts = [one.value for one in inside if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        words = [text for text in texts if re.fullmatch(r"[A-Z][A-Z0-9]+(-[A-Z0-9]+)*", text)]
        return {(word, code) for word in words for code in codes or implied.get(name, "").split()}
    return set()


def test_every_conversation_file_can_be_read():
    for path in (ROOT / "tests" / "sessions").rglob("*.immp"):
        assert read_file(path).steps
