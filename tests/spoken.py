"""The grammar of the documents, for the tests: which rule a line of a reply is for, and which lines a reply has."""

import re
from pathlib import Path

from tests.abnf import Grammar

from immpd.protocol.codes import Code
from immpd.protocol.registry import COMMANDS, Command

PATH = Path(__file__).parents[1] / "docs" / "reference" / "grammar.abnf"
GRAMMAR = Grammar(PATH.read_text())
HINT = (
    "docs/grammar.py makes the rules of commands and replies (then make docs): its tables, _BY_FIELD first of all, say "
    "what a field holds, for one struct as 'Struct.field'; the rest of docs/reference/grammar.abnf is written by hand"
)
_REPLY = re.compile(r"(?:[A-Za-z0-9\-_.]{1,32}: )?([0-9]{3})(-?)(?: .*)?", re.DOTALL)


def rule_of(command: Command) -> str:
    """The rule of a command."""
    return command.name.lower().replace(" ", "-")


def rule_of_line(line: str) -> str:
    """The rule of a line that a server says."""
    found = _REPLY.fullmatch(line)
    assert found is not None, f"this is no reply: {line}"
    code = int(found[1])
    if code == Code.BLOCK:
        return "block-head"
    return "end-refused" if code >= Code.BAD_VALUE else f"{'row' if found[2] else 'end'}-{code}"


def is_reply(command: Command, rules: list[str]) -> bool:
    """Whether a command may be answered with lines of these rules, in this order."""
    names = ["block" if rule == "block-head" else rule for rule in rules]
    return _SHAPES.matches(f"{rule_of(command)}-reply", "".join(f"{name} " for name in names).encode())


def _shapes() -> Grammar:
    """The rules of replies, each line in them a word."""
    replies = {f"{rule_of(command)}-reply" for command in COMMANDS}
    written = {name: GRAMMAR.elements(name) for name in sorted(replies & GRAMMAR.own)}
    lines = {name for elements in written.values() for name in re.findall(r"(?:row|end)-[a-z0-9]+|block", elements)}
    texts = [f"{name} = {elements}\n" for name, elements in written.items()]
    return Grammar("".join([*texts, *(f'{name} = %s"{name} "\n' for name in sorted(lines))]))


_SHAPES = _shapes()
