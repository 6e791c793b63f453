"""Renews the generated tables of the documents from the code, or with --check says which are stale.

A generated table stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``, each on a line of its own;
``command MBOX MOVE`` is the table of that command. A mark without the other is an error: a table that is not closed
would never be renewed again. In the grammar the marks are comments, ``; generated: NAME`` and ``; end``. Some files are
generated as a whole.
"""

import inspect
import re
import sys
import typing
from collections.abc import Callable
from functools import partial
from pathlib import Path

import grammar
import json_objects
import manual
import msgspec
import registries
from library import library

from immpd.app.configuration import first_configuration
from immpd.app.configuration import settings as described_settings
from immpd.cli.person.main import make_app
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import Noop
from immpd.protocol.lines import TEXT, Words, may_be_missing, named_fields
from immpd.protocol.registry import BY_REQUEST, COMMANDS, COMMON_CODES, Command
from immpd.protocol.replies.base import JsonListed, Reply
from immpd.protocol.states import STATE_NAMES, TRANSITIONS
from immpd.protocol.words import WORDS

DOCS = Path(__file__).resolve().parent
PAGES = (
    "protocol.md",
    "reference/commands.md",
    "reference/grammar.abnf",
    "reference/immp.md",
    "reference/library.md",
    "reference/settings.md",
)
_MARK = re.compile(r"<!-- *(?:generated: *(.*?)|end) *-->\n?")
_MARK_ABNF = re.compile(r"^; (?:generated: (.*)|end)\n", re.MULTILINE)
assert Noop in BY_REQUEST


def codes() -> str:
    """Every code with its meaning."""
    rows = ["| code | name | meaning | ends a reply | closes |", "| --- | --- | --- | --- | --- |"]
    for code in Code:
        marks = ("its own" if code.beside else "yes" if code.final else "", "yes" if code.closes else "")
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
        about = inspect.cleandoc(command.request.__doc__ or "")  # Python 3.13 does so by itself
        lines = [f"## {command.name}", "", "```", command.synopsis(), "```", "", about, ""]
        if command.aliases:
            lines += [f"Also written {', '.join(' '.join(alias) for alias in command.aliases)}.", ""]
        lines.append(f"Said by: {', '.join(STATE_NAMES[state] for state in sorted(command.states))}.")
        lines.append("Answers: " + ", ".join(f"{code:d} {_inside(code.meaning)}" for code in command.codes) + ".")
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


def _inside(sentence: str) -> str:
    """A sentence that stands inside another: its first letter is small, unless it begins with an abbreviation."""
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]


def states() -> str:
    """The states and what leads from one to the next."""
    rows = ["| state | a connection is |", "| --- | --- |"]
    rows += [f"| {state:d} | {name} |" for state, name in STATE_NAMES.items()]
    rows += ["", "```mermaid", "stateDiagram-v2", "    [*] --> CLEAR", "    [*] --> OPERATOR: the operator's socket"]
    rows += [f"    {before.name} --> {after.name}: {command}" for before, command, after in TRANSITIONS]
    rows.append("```")
    return "\n".join(rows)


_ROWS: dict[type[Reply], type[Words]] = {replies.Counts: replies.FolderCounts, replies.NodeShown: replies.ItemRow}
"""The rows of replies whose class does not name them."""


def lines() -> str:
    """What stands on every line of a reply, from the structs that print and read it."""
    table = ["| line | of |", "| --- | --- |"]
    by_reply: dict[type[Reply], list[str]] = {}
    for command in COMMANDS:
        by_reply.setdefault(command.reply, []).append(command.name)
    for kind in sorted(by_reply, key=lambda one: (one.CODE, by_reply[one][0])):
        row = _ROWS.get(kind, getattr(kind, "ROW", None))
        shown = []
        if kind is replies.Counts:
            shown.append(f"240[-] {_template(replies.FolderCounts)}")
        elif issubclass(kind, JsonListed):
            shown += [f"{kind.CODE:d}- {{JSON}}", f"{kind.CODE:d} {_template(kind)}"]
        elif row is not None and issubclass(row, Words):
            own = _template(kind) if kind.WORDS or "=" in kind().end() else kind().end().replace("0", "n", 1)
            shown += [f"{row.CODE:d}- {_template(row)}", f"{kind.CODE:d} {own}"]
        elif kind is replies.Help:
            shown += ["200- text…", "200 End"]
        else:
            shown.append(f"{kind.CODE:d} {_template(kind)}")
        names = ", ".join(by_reply[kind]) if len(by_reply[kind]) < 8 else "every other command that only succeeds"
        table.append(f"| {'<br>'.join(f'`{one}`' for one in shown)} | {names} |")
    return "\n".join(table)


def _template(kind: type[Words]) -> str:
    """Words by place, fields by name, those that may be left out in brackets, and the text."""
    pieces, fields = [], []
    for field in msgspec.structs.fields(kind):
        if field.name in kind.WORDS:
            pieces.append(f"<{field.encode_name}>")
    for field in named_fields(kind):
        value = f"{field.encode_name}=<{_kind_of(field.type)}>"
        fields.append(f"[{value}]" if may_be_missing(field) else value)
    text = ["text…"] if any(field.name == TEXT for field in msgspec.structs.fields(kind)) else []
    return " ".join([*pieces, *text, *fields] if kind.FIELDS_LAST else [*pieces, *fields, *text]).replace("|", "\\|")


def _kind_of(type_: object) -> str:
    kinds = [one for one in typing.get_args(type_) if one is not type(None)] or [type_]
    if typing.get_origin(type_) is tuple:
        return "a,b"
    return {int: "n", bool: "true|false"}.get(kinds[0], "value")


def words() -> str:
    """Every bracket word with its codes and meaning."""
    rows = ["| word | with | meaning |", "| --- | --- | --- |"]
    for word, (with_codes, meaning) in sorted(WORDS.items()):
        rows.append(f"| `{word}` | {' '.join(f'{code:d}' for code in with_codes)} | {meaning} |")
    return "\n".join(rows)


def common() -> str:
    """The codes that any command may be answered with."""
    return ", ".join(f"{code:d}" for code in sorted(COMMON_CODES)) + "."


def command_box(command: Command) -> str:
    """How one command is written, who may say it, and what it may answer."""
    also = [" ".join(alias) + "  (the same)" for alias in command.aliases]
    arguments = []
    for parameter in command.parameters:
        place = "by its place or its name" if parameter.positional and not parameter.repeats else ""
        notes = (place, "repeats" if parameter.repeats else "", "" if parameter.required else "optional")
        arguments.append(f"* `{parameter.name}`: {', '.join(filter(None, (parameter.value, *notes)))}")
    for switch in command.switches:
        told = {None: "neither", True: "on", False: "off"}[switch.default]
        arguments.append(f"* `+{switch.name}`, `-{switch.name}`: {told} where not written")
    if command.free_switches:
        arguments.append("* switches of any name")
    states = " ".join(f"{state:d}" for state in sorted(command.states))
    own = " ".join(f"{code:d}" for code in sorted(set(command.codes)))
    alone = " Stands alone on its line." if command.alone else ""
    pieces = (["```", command.synopsis(), *also, "```"], arguments, [f"States: {states}. Codes: {own}.{alone}"])
    return "\n\n".join("\n".join(piece) for piece in pieces if piece)


def settings() -> str:
    """Every setting with its default."""
    rows = ["| setting | value | default | meaning |", "| --- | --- | --- | --- |"]
    for one in described_settings():
        default = list(one.default) if isinstance(one.default, tuple) else one.default
        shown = "required" if default is None else f"`{default}`"
        rows.append(f"| `{one.name}` | {one.kind} | {shown} | {one.description} |")
    return "\n".join(rows)


def first_file() -> str:
    """The file that immpd init writes."""
    return f"```toml\n{first_configuration(('example.org',), (), ())}```"


def immp() -> str:
    """Every command of ``immp`` with its options."""
    made = make_app().generate_docs(output_format="markdown", recursive=True)
    return made[made.index("**Commands**") :].strip().replace("```console", "```")


TABLES: dict[str, Callable[[], str]] = {
    "codes": codes,
    "commands": commands,
    "reference": reference,
    "states": states,
    "words": words,
    "lines": lines,
    "common": common,
    "settings": settings,
    "first file": first_file,
    "immp": immp,
    "library": library,
    "objects": json_objects.table,
    "capabilities": registries.capabilities,
    "registries": registries.registries,
    "events": json_objects.events,
    "grammar commands": grammar.commands,
    "grammar replies": grammar.lines,
    "grammar answers": grammar.answers,
    "grammar words": grammar.words,
    "grammar of names": partial(grammar.part, "Names"),
    "grammar of values": partial(grammar.part, "Values of commands"),
    "grammar of lines": partial(grammar.part, "Lines of a client"),
    "grammar of replies": partial(grammar.part, "Lines of a server"),
    **{f"command {command.name}": partial(command_box, command) for command in COMMANDS},
}


FILES: dict[str, Callable[[], str]] = {"reference/objects.schema.json": json_objects.schema, **manual.files()}
"""Files that are generated as a whole."""


def renewed(text: str, mark_of: re.Pattern[str] = _MARK) -> str:
    """The page with its tables made anew; ValueError where a mark stands without the other, or names no table."""
    pieces = []
    at = 0
    table: str | None = None
    for mark in mark_of.finditer(text):
        opens: str | None = mark[1]
        if (opens is None) is (table is None) or (opens is not None and opens not in TABLES):
            line = text.count("\n", 0, mark.start()) + 1
            raise ValueError(f"line {line}: {mark[0].strip()} stands where it cannot; every table has its two marks")
        pieces.append(text[at : mark.start()] if table is None else TABLES[table]() + "\n")
        pieces.append(mark[0])
        at = mark.end()
        table = opens
    if table is not None:
        raise ValueError(f"the table {table} has no <!-- end -->")
    return "".join(pieces) + text[at:]


def main(check: bool) -> int:
    """Write the pages, or say which are stale."""
    stale = []
    for name in (*PAGES, *FILES):
        path = DOCS / name
        text = path.read_text() if path.exists() else ""
        try:
            new = FILES[name]() if name in FILES else renewed(text, _MARK_ABNF if path.suffix == ".abnf" else _MARK)
        except ValueError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        if new != text:
            stale.append(name)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(new)
    if check and stale:
        print(f"stale: {', '.join(stale)}; make docs renews them", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
