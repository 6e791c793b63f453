"""Who may import what, beyond the layers that import-linter checks (pyproject.toml)."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src" / "immpd"
SLOW = {"structlog", "dns", "uvloop", "apsw", "fast_mail_parser"}
"""What no command of a person needs at its start."""


def every_file(room: str) -> pytest.MarkDecorator:
    """A test of every module of a room, those in its folders too."""
    files = sorted((SOURCES / room).rglob("*.py"))
    return pytest.mark.parametrize("path", files, ids=lambda path: str(path.relative_to(SOURCES)))


def imported(path: Path) -> Iterator[str]:
    """The absolute name of every module that a file imports, wherever in it."""
    package = ("immpd", *path.relative_to(SOURCES).parent.parts)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            yield ".".join((*above, *((node.module,) if node.module else ())))


@every_file("protocol")
def test_the_language_needs_the_standard_library_msgspec_and_the_model_only(path: Path) -> None:
    for name in imported(path):
        assert name.split(".")[0] in sys.stdlib_module_names | {"msgspec"} or name.startswith(
            ("immpd.protocol", "immpd.model")
        ), f"{path.name} imports {name}"


@every_file("protocol")
def test_the_language_has_no_socket_no_clock_no_storage(path: Path) -> None:
    outside = {"socket", "ssl", "asyncio", "time", "datetime", "threading", "sqlite3", "pathlib", "subprocess", "os"}
    assert not outside & {name.split(".")[0] for name in imported(path)}


@every_file("model")
def test_the_model_imports_nothing_of_ours(path: Path) -> None:
    assert [name for name in imported(path) if name.startswith("immpd") and not name.startswith("immpd.model")] == []


def test_messages_are_made_in_one_place() -> None:
    """What bounds a message, its row above all, holds of those that the system makes, too."""
    makers = {
        str(path.relative_to(SOURCES))
        for path in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Delivery"
    }
    assert makers == {"service/mail/content.py"}


@pytest.mark.parametrize("words", [["--help"], ["ls"], ["watch"]])
def test_a_persons_command_starts_without_what_it_does_not_need(words: list[str], tmp_path: Path) -> None:
    script = (
        "import sys\nfrom immpd.cli.person.main import main\n"
        f"try: main({words!r})\nexcept SystemExit: pass\n"
        "print('loaded', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "IMMP_HOME": str(tmp_path)},
    )
    loaded = set(done.stdout.rpartition("loaded ")[2].split())
    assert "immpd.cli.person.main" in loaded
    assert SLOW & loaded == set()


def test_a_server_starts_without_what_only_people_need() -> None:
    script = (
        "import sys, immpd.app.process\nfrom immpd.app.configuration import Logging\n"
        "from immpd.app.log import open_log\nopen_log(Logging(format='json'))\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {"rich", "immpd.client", "immpd.cli.person.main"} & set(done.stdout.split()) == set()
