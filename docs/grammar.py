"""Productions of the grammar that follow from the code: commands from their registry, replies from their structs.

Rules: a production is named after its command or struct in kebab case; what a parameter or field may hold is found by
what the help calls it, by its name, or by its type, in this order; a name that stands in no table holds any value.
The rest of docs/reference/grammar.abnf is written by hand, and pages show parts of it.
"""

import re
import textwrap
import typing
from pathlib import Path
from typing import Any

import msgspec

from immpd.model.feed import Access, Form
from immpd.model.filters import State as StateTerms
from immpd.model.notification import LEVELS
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import Noop
from immpd.protocol.lines import _LINES_OF_THEIR_OWN, TEXT, Words, may_be_missing, named_fields
from immpd.protocol.registry import BY_REQUEST, COMMANDS, READERS, Command, Parameter
from immpd.protocol.replies.base import JsonListed, Listed, Reply
from immpd.protocol.states import State
from immpd.protocol.words import WORDS

assert Noop in BY_REQUEST
WIDTH = 120
_BY_TYPE = {
    "text": "value",
    "n": "number-value",
    "uuid": "uuid-value",
    "base64": "base64-value",
    "imid": "imid-value",
    "a-b": "range-value",
    "uuid|imid": "( uuid-value / imid-value )",
    "message-id": "reference-value",
}
_BY_LABEL = {"hourly|daily": "digest-value", "silent|low|normal|high|critical": "level-value"}
_BY_FIELD = {
    "address": "imid-value",
    "imid": "imid-value",
    "node": "imid-value",
    "sender": "imid-value",
    "place": "imid-value",
    "account": "imid-value",
    "path": "path",
    "folder": "path",
    "old": "uuid",
    "new": "uuid",
    "n1": "uuid",
    "created": "time",
    "since": "time",
    "until": "time",
    "used": "time",
    "at": "time",
    "last": "time",
    "s": "state",
    "cursor": "cursor",
    "salt": "base64-value",
    "data": "base64-value",
    "level": "level",
    "more": '%s"yes"',
    "domain": "domain",
    "token": "token",
    "form": "form",
    "access": "access",
    "role": "reply-word",
    "Authenticated.v": "base64-value",
    "Capabilities.p": '%s"IMMP"',
    "Capabilities.v": '%s"1.0"',
    "Capabilities.d": "domain",
    "PublishedRow.outcome": '( %s"delivered" / %s"queued" )',
    "PublishedRow.code": '"273"',
    "SubscriptionRow.node": "reply-word",
    "SessionRow.address": "reply-word",
    "SessionRow.id": "uuid",
    "PushStatusRow.status": '( %s"waiting" / %s"delivered" / %s"seen" / %s"answered" / %s"expired" / %s"retracted" )',
    "ItemRow.state": '( %s"published" / %s"retracted" / %s"waiting" )',
    "SubscriptionRow.state": '( %s"waiting" / %s"active" / %s"left" )',
    "MemberRow.role": '( %s"publisher" / %s"member" / %s"subscriber" / %s"waiting" )',
    "Subscribed.state": '%s"waiting"',
    "Who.state": "( " + " / ".join(f'%s"{state.name.lower()}"' for state in State) + " )",
}
_UUIDS = {"Delivered.id", "Published.id", "Subscribed.id", "SubscriptionRow.id", "Unsubscribed.id", "ItemRow.id"} | {
    "RequestRow.id"
}
_ROWS = {
    Code.GREETING: ["text"],
    Code.OK: ["text"],
    Code.MESSAGES: ["json", "text"],
    Code.EVENT: ["json"],
    Code.ITEM: ["json"],
}
"""Rows beside those of the structs: JSON, and text for people."""
_BESIDE = {"json": "SP json", "text": "SP [ text ]"}
_IN_TLS = {"Capabilities.max_message", "Capabilities.max_to"}
"""What is not said in clear."""
_WHOLE = {
    "DeliveredRow": """SP imid-value SP
    ( ( %s"delivered" / %s"queued" ) SP "273" [ SP text ] / %s"refused" SP refusal )"""
}
"""What a table of fields cannot say."""


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower().replace(" ", "-")


def _rule(name: str, alternatives: list[str]) -> str:
    """A rule, in lines that are not too long."""
    lines = [f"{name} = "]
    for number, one in enumerate(alternatives):
        piece = one if not number else f" / {one}"
        if len(lines[-1]) + len(piece) > WIDTH and number:
            lines.append(f"   {piece}")
        else:
            lines[-1] += piece
    return "\n".join(lines)


def _fold(rule: str) -> str:
    """A rule of one line, in several where it is too long; no text in quotes has a space here."""
    return textwrap.fill(rule, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


# --- commands


def commands() -> str:
    """Every command, and which of them a state has."""
    pieces = []
    for command in COMMANDS:
        pieces += [_command(command), ""]
    for state in State:
        names = [_kebab(command.name) for command in COMMANDS if state in command.states]
        alone = [_kebab(c.name) for c in COMMANDS if state in c.states and c.alone]
        beside = [name for name in names if name not in alone]
        name = state.name.lower()
        pieces.append(_rule(f"{name}-command", beside))
        if alone:
            pieces.append(_rule(f"{name}-alone", alone))
    pieces.append(_rule("any-state-command", [f"{state.name.lower()}-command" for state in State]))
    alone = [f"{state.name.lower()}-alone" for state in State if any(state in c.states and c.alone for c in COMMANDS)]
    pieces.append(_rule("any-state-alone", alone))
    return "\n".join(pieces)


def _command(command: Command) -> str:
    name = _kebab(command.name)
    spellings = [command.keywords, *command.aliases]
    words = [" WS ".join(_keyword(word) for word in keywords) for keywords in spellings]
    said = words[0] if len(words) == 1 else f"( {' / '.join(words)} )"
    arguments = [_argument(parameter) for parameter in command.parameters]
    arguments += [f'( "+" / "-" ) "{switch.name}"' for switch in command.switches]
    if command.free_switches:
        arguments.append("switch")
    if not arguments:
        return f"{name} = {said}"
    least = sum(parameter.required for parameter in command.parameters)
    repeats = command.free_switches is not None or any(parameter.repeats for parameter in command.parameters)
    most = "" if repeats else str(len(arguments))
    wanted = [parameter.name for parameter in command.parameters if parameter.required]
    note = f"  ; with {', '.join(wanted)}" if wanted and len(arguments) > 1 else ""
    times = f"{least or ''}*{most}"
    if str(least) == most:
        times = "" if least == 1 else most
    argument = f"( WS {name}-argument )" if times else f"WS {name}-argument"
    rule = _fold(f"{name} = {said} {times}{argument}")
    if note:
        rule = f"{rule}{note}" if len(rule) + len(note) <= WIDTH else f"{note.strip()}\n{rule}"
    return f"{rule}\n{_rule(f'{name}-argument', arguments)}"


def _keyword(word: str) -> str:
    return '( "AUTH" / "AUTHENTICATE" )' if word == "AUTH" else f'"{word}"'


def _argument(parameter: Parameter) -> str:
    kind = _kind_of_parameter(parameter)
    if not parameter.positional:
        return f'"{parameter.name}" WS {kind}'
    return kind if parameter.repeats else f'[ "{parameter.name}" WS ] {kind}'


def _kind_of_parameter(parameter: Parameter) -> str:
    label = next(label for read, label in READERS.values() if read is parameter.read)
    if label == "text":
        if parameter.value in _BY_LABEL:
            return _BY_LABEL[parameter.value]
        if "|" in parameter.value:
            one_of = " / ".join(f'"{word}"' for word in parameter.value.split("|"))
            return f"( {one_of} / DQUOTE ( {one_of} ) DQUOTE )"
    return _BY_TYPE.get(label, "value")


# --- replies


def lines() -> str:
    """Every line of a reply, by its code: the rows, the ends, and the refusals."""
    structs = [getattr(replies, name) for name in replies.__all__ if name != "Reply"]
    rows: dict[Code, list[str]] = {code: list(kinds) for code, kinds in _ROWS.items()}
    ends: dict[Code, list[str]] = {}
    pieces = []
    told: set[type[Words]] = set()

    def tell(struct: type[Words]) -> str:
        base = struct.__bases__[0]
        if base in told and _fields(base) == _fields(struct):
            return tell(base)
        name = f"{_kebab(struct.__name__)}-fields"
        if struct not in told:
            told.add(struct)
            pieces.append(f"{name} = {_fields(struct)}")
        return name

    for struct in structs:
        row = getattr(struct, "ROW", None)
        if issubclass(struct, Words) and not issubclass(struct, Reply):
            rows.setdefault(struct.CODE, []).append(f"{tell(struct)}")
        elif struct is replies.Counts:
            ends.setdefault(struct.CODE, []).append(tell(replies.FolderCounts))
        elif struct is replies.Help:
            ends.setdefault(struct.CODE, []).append('SP %s"End"')
        elif issubclass(struct, Listed) and not _own_fields(struct):
            (word,) = struct().end().split(" ")[1:]
            ends.setdefault(struct.CODE, []).append(f'SP number SP %s"{word}"')
        else:
            ends.setdefault(struct.CODE, []).append(tell(struct))
        if row is not None and issubclass(struct, JsonListed):
            rows.setdefault(struct.CODE, []).append("json")
        elif row is not None and issubclass(row, Reply):
            rows.setdefault(row.CODE, []).append(tell(row))
    pieces.append("")
    for code in Code:
        if code is Code.BLOCK or code >= Code.BAD_VALUE:
            continue
        if code in rows:
            kinds = [_BESIDE.get(one, one) for one in dict.fromkeys(rows[code])]
            pieces.append(_fold(f'row-{code:d} = prefix "{code:d}-" {_bare(kinds)} EOL'))
        if code in ends or code not in rows or code is Code.GREETING:
            kinds = list(dict.fromkeys(ends.get(code, ["[ SP text ]"])))
            pieces.append(_fold(f'end-{code:d} = prefix "{code:d}" {_bare(kinds)} EOL'))
    pieces.append("")
    pieces += _refusals()
    pieces.append("")
    names = [name for name, equals, _ in (piece.partition(" = ") for piece in pieces) if equals]
    after = [f"end-{code:d}" for code in Code if code < Code.BAD_VALUE and not code.final]
    pieces.append(_rule("row", [name for name in names if name.startswith("row-")]))
    pieces.append(_rule("progress", [name for name in names if name in after]))
    pieces.append(
        _rule("end", [*(name for name in names if re.match("end-[0-9]", name) and name not in after), "end-refused"])
    )
    return "\n".join(pieces)


def _bare(kinds: list[str]) -> str:
    return kinds[0] if len(kinds) == 1 else f"( {' / '.join(kinds)} )"


def _own_fields(struct: type[Words]) -> bool:
    return bool({field.name for field in msgspec.structs.fields(struct)} - _LINES_OF_THEIR_OWN)


def _fields(struct: type[Words]) -> str:
    if struct.__name__ in _WHOLE:
        return _WHOLE[struct.__name__]
    known = {field.name: field for field in msgspec.structs.fields(struct)}
    pieces = [f"SP {_kind_of_field(struct, known[name])}" for name in struct.WORDS]
    text = [f"[ SP {_kind_of_field(struct, known[TEXT])} ]"] if TEXT in known else []
    if struct.FIELDS_LAST:
        pieces += text
    for field in named_fields(struct):
        piece = f'SP %s"{field.encode_name}=" {_kind_of_field(struct, field)}'
        optional = f"{struct.__name__}.{field.name}" in _IN_TLS or may_be_missing(field)
        pieces.append(f"[ {piece} ]" if optional else piece)
    if not struct.FIELDS_LAST:
        pieces += text
    lines = [""]
    for piece in pieces:
        if len(lines[-1]) + len(piece) > WIDTH - 24:
            lines.append("")
        lines[-1] += f"{piece} "
    return "\n    ".join(line.rstrip(" ") for line in lines)


def _kind_of_field(struct: type[Words], field: msgspec.structs.FieldInfo) -> str:
    if f"{struct.__name__}.{field.name}" in _UUIDS:
        return "uuid"
    for base in struct.__mro__:
        kind = _BY_FIELD.get(f"{base.__name__}.{field.name}")
        if kind is not None:
            return kind
    arguments: tuple[Any, ...] = typing.get_args(field.type)
    if field.type is int or int in arguments:
        return "number"
    if field.type is bool:
        return "boolean"
    if field.name == TEXT:
        return "text"
    return _BY_FIELD.get(field.name, "reply-value")


def _refusals() -> list[str]:
    """The refusals of each code, with the words that it may have."""
    words: dict[Code, list[str]] = {}
    for word, (with_codes, _) in WORDS.items():
        unread = {Code.SYNTAX, Code.UNKNOWN} & {*with_codes} or word == "BAD-VALUE"
        also = {Code.OUT_OF_STEP} if unread else set()
        for code in {*with_codes} | also:
            words.setdefault(code, []).append(word)
    pieces = []
    for code in sorted(words):
        pieces.append(_rule(f"word-{code:d}", [f'%s"{word}"' for word in sorted(words[code])]))
    pieces.append('refusal = refusal-start [ SP %s"retry=" number ] SP text')
    pieces.append(_rule("refusal-start", [f'"{code:d}" SP "[" word-{code:d} "]"' for code in sorted(words)]))
    return pieces


# --- which reply a command gets


def answers() -> str:
    """What each command may be answered with."""
    made = lines()
    pieces = []
    for command in COMMANDS:
        codes = [code for code in Code if code in command.codes and code < Code.BAD_VALUE and code is not Code.BLOCK]
        shown = command.reply is replies.NodeShown
        rows = [f"row-{code:d}" for code in codes if f"\nrow-{code:d} =" in made]
        if command.reply is not replies.Help:
            rows = [row for row in rows if row != "row-200" and not (shown and row == "row-284")]
        rows += [f"end-{code:d}" for code in codes if not code.final]
        rows += ["block"] if Code.BLOCK in command.codes else []
        ends = [f"end-{code:d}" for code in codes if code.final and f"\nend-{code:d} =" in made]
        ends = [end for end in ends if not (shown and end == "end-286")]
        before = f"*{_bare(rows)} " if rows else ""
        pieces.append(_fold(f"{_kebab(command.name)}-reply = {before}{_bare([*ends, 'end-refused'])}"))
    return "\n".join(pieces)


def words() -> str:
    """Closed sets of words that the code knows."""
    sets = {"level": LEVELS, "form": typing.get_args(Form), "access": typing.get_args(Access)}
    sets["state-term"] = typing.get_args(StateTerms)
    return "\n".join(_rule(name, [f'"{word}"' for word in one_of]) for name, one_of in sets.items())


def part(title: str) -> str:
    """What is written by hand under a title of the grammar, for a page."""
    text = (Path(__file__).parent / "reference" / "grammar.abnf").read_text()
    found = re.search(rf"^; --- {re.escape(title)}\n\n(.*?)(?=^; (?:---|generated))", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"the grammar has no part {title}")
    return f"```abnf\n{found[1].strip()}\n```"
