"""Renews the generated tables of the documents from the code, or with --check says which are stale.

A generated table stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

import re
import sys
from pathlib import Path

from immpd.app.configuration import settings as described_settings
from immpd.protocol.codes import Code
from immpd.protocol.commands import Noop
from immpd.protocol.registry import BY_REQUEST, COMMANDS
from immpd.protocol.states import STATE_NAMES, TRANSITIONS

DOCS = Path(__file__).resolve().parent
SOURCES = DOCS.parent / "src" / "immpd"
PAGES = ("protocol.md", "reference/commands.md", "reference/settings.md")
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
assert Noop in BY_REQUEST


def codes() -> str:
    """Every code with its meaning."""
    rows = ["| code | name | meaning | ends a reply | closes |", "| --- | --- | --- | --- | --- |"]
    for code in Code:
        marks = ("yes" if code.final else "", "yes" if code.closes else "")
        rows.append(f"| {code:d} | {code.name} | {code.meaning} | {marks[0]} | {marks[1]} |")
    return "\n".join(rows)


def commands() -> str:
    """Every command with its states and codes."""
    rows = ["| command | what it does | states | codes |", "| --- | --- | --- | --- |"]
    for command in COMMANDS:
        states = ", ".join(f"{state:d}" for state in sorted(command.states))
        answers = " ".join(f"{code:d}" for code in command.codes)
        synopsis = command.synopsis().replace("|", "\\|")
        rows.append(f"| `{synopsis}` | {command.summary} | {states} | {answers} |")
    return "\n".join(rows)


def reference() -> str:
    """A section for each command."""
    sections = []
    for command in COMMANDS:
        lines = [f"## {command.name}", "", "```", command.synopsis(), "```", "", f"{command.request.__doc__}", ""]
        if command.aliases:
            lines += [f"Also written {', '.join(' '.join(alias) for alias in command.aliases)}.", ""]
        lines.append(f"Said by: {', '.join(STATE_NAMES[state] for state in sorted(command.states))}.")
        lines.append(
            "Answers: "
            + ", ".join(f"{code:d} {code.meaning[0].lower()}{code.meaning[1:]}" for code in command.codes)
            + "."
        )
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


def states() -> str:
    """The states and what leads from one to the next."""
    rows = ["| state | a connection is |", "| --- | --- |"]
    rows += [f"| {state:d} | {name} |" for state, name in STATE_NAMES.items()]
    rows += ["", "```mermaid", "stateDiagram-v2", "    [*] --> CLEAR", "    [*] --> OPERATOR: the operator's socket"]
    rows += [f"    {before.name} --> {after.name}: {command}" for before, command, after in TRANSITIONS]
    rows.append("```")
    return "\n".join(rows)


def words() -> str:
    """Every bracket word that an error text begins with, as the source has them."""
    found: set[str] = set()
    pattern = re.compile(
        r'(?:Refused\(\s*Code\.\w+,|SyntaxFault\(|OutOfStep\(|_fault\(words,|_bound\()\s*"([A-Z0-9-]+)"'
    )
    table = re.compile(r'Code\.\w+,\s*"([A-Z][A-Z0-9-]+)"')
    for room in ("protocol", "service", "server"):
        for path in sorted((SOURCES / room).glob("*.py")):
            text = path.read_text()
            found |= set(pattern.findall(text)) | set(table.findall(text))
    return ", ".join(f"`{word}`" for word in sorted(found)) + "."


def settings() -> str:
    """Every setting with its default."""
    rows = ["| setting | value | default | meaning |", "| --- | --- | --- | --- |"]
    for one in described_settings():
        default = list(one.default) if isinstance(one.default, tuple) else one.default
        shown = "required" if default is None else f"`{default}`"
        rows.append(f"| `{one.name}` | {one.kind} | {shown} | {one.description} |")
    return "\n".join(rows)


TABLES = {
    "codes": codes,
    "commands": commands,
    "reference": reference,
    "states": states,
    "words": words,
    "settings": settings,
}


def renewed(text: str) -> str:
    """The page with its tables made anew."""
    return _BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def main(check: bool) -> int:
    """Write the pages, or say which are stale."""
    stale = []
    for name in PAGES:
        path = DOCS / name
        text = path.read_text()
        new = renewed(text)
        if new != text:
            stale.append(name)
            if not check:
                path.write_text(new)
    if check and stale:
        print(f"stale: {', '.join(stale)}; make docs renews them", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
