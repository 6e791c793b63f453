"""The tables that the documents have from the code: each mark has its other, and nothing is left out."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from immpd.protocol.registry import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate():
    sys.path.insert(0, str(DOCS))  # as python docs/generate.py has it
    try:
        return runpy.run_path(str(DOCS / "generate.py"))
    finally:
        sys.path.remove(str(DOCS))


def test_a_table_is_made_anew_between_its_marks(generate):
    page = "a\n<!-- generated: common -->\nstale\n<!-- end -->\nb\n<!-- generated: common -->\n<!-- end -->"
    fresh = generate["common"]()
    closed = f"<!-- generated: common -->\n{fresh}\n<!-- end -->"
    assert generate["renewed"](page) == f"a\n{closed}\nb\n{closed}"


@pytest.mark.parametrize(
    "page",
    [
        "<!-- generated: common -->\n400.\n",
        "<!-- generated: common -->\n<!-- generated: words -->\n<!-- end -->\n",
        "<!-- generated: common -->\n<!-- end -->\n<!-- end -->\n",
        "<!-- end -->\n",
        "<!-- generated: nothing -->\n<!-- end -->\n",
        "<!-- generated: comm%n -->\n<!-- end -->\n",
    ],
)
def test_a_mark_without_its_other_is_refused(page, generate):
    with pytest.raises(ValueError, match=r"marks|has no <!-- end -->"):
        generate["renewed"](page)


def test_every_page_with_a_mark_is_renewed(generate):
    pages = [*DOCS.rglob("*.md"), *DOCS.rglob("*.abnf")]
    marked = {
        str(page.relative_to(DOCS)) for page in pages if re.search("^(?:<!--|;) generated:", page.read_text(), re.M)
    }
    assert marked == set(generate["PAGES"])


def test_the_reference_has_every_command():
    headings = re.findall(r"^## (.+)$", (DOCS / "reference" / "commands.md").read_text(), re.MULTILINE)
    assert headings == [command.name for command in COMMANDS]


def test_every_reply_has_its_lines(generate):
    table = generate["lines"]()
    for command in COMMANDS:
        assert f"`{command.reply.CODE:d}" in table, command.name
    assert "`273- <imid> <outcome> <code> text…`<br>`273 <id>`" in table
    assert "`264- <id> <origin> sender=<value> since=<value> text…`<br>`264 n requests`" in table
    assert "`210 text… [v=<value>]`" in table
