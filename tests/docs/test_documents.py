"""The documents say what is so: conversations are played, tables fresh, citations exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.sessions.player import play
from tests.sessions.script import read_file, read_page

from immpd.protocol.registry import COMMANDS
from immpd.service.session import HANDLERS

ROOT = Path(__file__).parents[2]
PROTOCOL = ROOT / "docs" / "protocol.md"
CONVERSATIONS = [
    (page, number, script)
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for number, script in enumerate(read_page(page), 1)
]
LOGS_IN = {"AUTH SCRAM-SHA-256", "AUTH SCRAM-SHA-256-PLUS", "AUTH RESPONSE"}
"""What the step «logs in» says, and tests of authentication."""
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


def test_every_command_has_a_handler_and_a_place_in_a_conversation():
    spoken = (
        "\n".join(path.read_text() for path in (ROOT / "tests" / "sessions").rglob("*.immp")) + PROTOCOL.read_text()
    )
    spoken = spoken.upper()
    for command in COMMANDS:
        assert command.request in HANDLERS or command.name in AT_ONCE, command.name
        names = [command.name, *(" ".join(alias) for alias in command.aliases)]
        said = any(re.search(rf"^(?:\w+ )?C: (?:.*; ?)?(?:AS \S+ )?{name}\b", spoken, re.MULTILINE) for name in names)
        logs_in = command.name in LOGS_IN
        assert said or logs_in, f"{command.name} is said in no conversation"


def test_every_conversation_file_can_be_read():
    for path in (ROOT / "tests" / "sessions").rglob("*.immp"):
        assert read_file(path).steps
