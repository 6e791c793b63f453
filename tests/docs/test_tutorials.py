"""What the README, the tutorial and the how-to pages show is what happens."""

import sys
from pathlib import Path

import pytest
from tests.docs.console import Console, blocks

DOCS = Path(__file__).parents[2] / "docs"
README = DOCS.parent / "README.md"
PAGES = [README, DOCS / "tutorial.md", *sorted((DOCS / "how-to").glob("*.md"))]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_true(page: Path, tmp_path: Path) -> None:
    console = Console(tmp_path)
    if page == README:  # whose reader is in a checkout, as `make` left it
        (tmp_path / ".venv").mkdir()
        (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    try:
        console.play(page.read_text())
    finally:
        console.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_something(page: Path) -> None:
    assert any(language in ("console", "immp") for language, _ in blocks(page.read_text()))
