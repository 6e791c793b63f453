"""What the wheel says that it needs is what it imports, and what the tests ran with."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED = [Requirement(text) for text in PROJECT["dependencies"]]
LOCKED = {
    canonicalize_name(name): Version(version)
    for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
}
IMPORTED_AS = {"dnspython": "dns"}
DATA = {"tzdata"}
"""No code: the newest is the right one."""


@pytest.mark.parametrize("requirement", NEEDED, ids=lambda requirement: requirement.name)
def test_a_dependency_goes_as_far_as_it_was_tested(requirement: Requirement) -> None:
    tested = LOCKED[canonicalize_name(requirement.name)]
    assert tested in requirement.specifier
    bounds = {one.version for one in requirement.specifier if one.operator == "<"}
    next_one = f"{tested.major + 1}" if tested.major else f"0.{tested.minor + 1}"
    assert bounds == (set() if requirement.name in DATA else {next_one})


def test_everything_imported_is_needed() -> None:
    names = (requirement.name for requirement in NEEDED)
    needed = {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                found.add(node.module.partition(".")[0])
    foreign = found - set(sys.stdlib_module_names) - {"immpd"}
    assert foreign - needed == set()
    assert needed - foreign <= DATA
