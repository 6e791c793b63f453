"""Manual pages and completions of the commands, made from the same descriptions as their help.

Rules: what the pages say of a command or setting stands in the code alone; options that most commands take are said
once. The files lie as they are installed under a prefix, and the wheel takes them along (pyproject.toml).
"""

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

from cyclopts import App

from immpd import __version__
from immpd.app.configuration import FILE, PREFIX, Described, settings
from immpd.cli.person import main as person
from immpd.commands.operator import main as operator

SHARE = "../share"
APPS: dict[str, tuple[Callable[[], App], str]] = {"immp": (person.make_app, "1"), "immpd": (operator.make_app, "1")}
ENVIRONMENT = {
    "immp": {"IMMP_HOME": "Where log-ins and known keys are kept; by default the platform's folder for settings."},
    "immpd": {f"{PREFIX}…": f"Settings, in place of those of {FILE}(5)."},
}
SEE_ALSO = {"immp": ("immpd(1)",), "immpd": ("immp(1)", f"{FILE}(5)"), FILE: ("immpd(1)",)}
_PLAIN = str.maketrans({"\\": "\\e", "-": "\\-"})
_FLAGS = ("-h", "--help", "--version")


def files() -> dict[str, Callable[[], str]]:
    """Every file by its place beside docs/, and what makes it."""
    made: dict[str, Callable[[], str]] = {f"{SHARE}/man/man5/{FILE}.5": settings_page}
    for name, (make_app, section) in APPS.items():
        made[f"{SHARE}/man/man{section}/{name}.{section}"] = partial(page, name, make_app)
        for shell, place in (
            ("bash", f"bash-completion/completions/{name}"),
            ("zsh", f"zsh/site-functions/_{name}"),
            ("fish", f"fish/vendor_completions.d/{name}.fish"),
        ):
            made[f"{SHARE}/{place}"] = partial(completion, name, make_app, shell)  # type: ignore[arg-type]
    return made


def completion(name: str, make_app: Callable[[], App], shell: Literal["bash", "zsh", "fish"]) -> str:
    """What completes a command line in a shell."""
    made = make_app().generate_completion(shell=shell)
    # An autoloaded function of zsh has the name of its file, which by custom is that of the command.
    return made.replace(f"_cyclopts_{name}", f"_{name}").strip() + "\n"


# --- a command's page


def page(name: str, make_app: Callable[[], App]) -> str:
    """The manual page of a command with all its sub-commands (man-pages(7))."""
    app = make_app()
    commands = list(_commands(app, ()))
    options = Counter(option for _, command in commands for option in {_option(one) for one in _options(command)})
    common = {option for option, count in options.items() if count > len(commands) // 2}
    about, *more = _paragraphs(str(app.help))
    exits = [text for text in more if text.startswith("Exit codes:")]
    lines = [*_head(name, "1", about.splitlines()[0].rstrip("."))]
    lines += [".SH SYNOPSIS", f".B {name}", "\\fICOMMAND\\fR [\\fIOPTION\\fR…] [\\fIARGUMENT\\fR…]", ".SH DESCRIPTION"]
    lines += _body([about, *(text for text in more if text not in exits)])
    if common:
        lines += [".SH OPTIONS", "Most commands take:"]
        lines += [line for option in sorted(common) for line in option]
    lines.append(".SH COMMANDS")
    for words, command in commands:
        lines += _command(" ".join((name, *words)), command, common)
    if exits:
        lines += [".SH EXIT STATUS", *_body([exits[0].removeprefix("Exit codes:").strip()])]
    variables = {one: _plain(text) for one, text in ENVIRONMENT[name].items()}
    for _, command in commands:
        variables |= {one: f"As {_shown(option)}." for option in _options(command) for one in option.parameter.env_var}
    lines.append(".SH ENVIRONMENT")
    lines += [line for one, text in sorted(variables.items()) for line in (".TP", f".B {_plain(one)}", text)]
    return "\n".join([*lines, *_tail(name)]) + "\n"


def _commands(app: App, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], App]]:
    for name in app.resolved_commands():
        if name in _FLAGS:
            continue
        command = app[name]
        inner = list(_commands(command, (*above, name)))
        yield from inner or [((*above, name), command)]


def _command(written: str, command: App, common: set[tuple[str, ...]]) -> list[str]:
    synopsis = [f"\\fB{_plain(written)}\\fR"]
    arguments = []
    for one in command.assemble_argument_collection(parse_docstring=True):
        if one.show and one.field_info.kind.name not in ("KEYWORD_ONLY", "VAR_KEYWORD"):
            several = "…" if one.field_info.kind.name == "VAR_POSITIONAL" else ""
            shown = f"\\fI{_plain(one.names[0])}\\fR{several}"
            synopsis.append(shown if one.required else f"[{shown}]")
            arguments += [".TP", shown, _plain(_help(one))] if _help(one) else []
    options = [_option(one) for one in _options(command)]
    lines = [".SS " + " ".join(synopsis), *_body(_paragraphs(_words(command))), *arguments]
    lines += [line for option in options if option not in common for line in option]
    if command.help_epilogue:
        lines += [".PP", *_body([str(command.help_epilogue)])]
    return lines


def _options(command: App) -> list[Any]:
    found = command.assemble_argument_collection(parse_docstring=True)
    return [one for one in found if one.show and one.names[0].startswith("-")]


def _option(one: Any) -> tuple[str, ...]:
    """The lines of an option: names, value, what it is for."""
    value = "" if one.hint in (bool, bool | None) else f" \\fI{_value(one)}\\fR"
    return (".TP", _shown(one) + value, _plain(_help(one)))


def _shown(one: Any) -> str:
    return ", ".join(f"\\fB{_plain(name)}\\fR" for name in one.names)


def _value(one: Any) -> str:
    return one.names[0].lstrip("-").upper().replace("-", "_")


def _help(one: Any) -> str:
    return " ".join((one.parameter.help or "").split())


def _words(command: App) -> str:
    """All that a command's own words say, without its parameters."""
    document = inspect.getdoc(command.default_command) if command.default_command is not None else None
    text = re.split(r"\n\s*Parameters\n\s*-+", document or str(command.help))[0]
    return text.replace("\\\\", "\\")


# --- the settings' page


def settings_page() -> str:
    """immpd.toml(5)."""
    lines = [*_head(FILE, "5", "settings of the IMMP server immpd"), ".SH DESCRIPTION"]
    about = f"""{FILE} lies in the data folder and is written in TOML. immpd init makes it; immpd config check says
whether it can be used, immpd config show every setting, its value and where it comes from.

A variable of the environment goes before the file: {PREFIX}LIMITS__MAX_PARTS=20 sets max_parts under [limits]."""
    lines += _body(_paragraphs(about))
    tables: dict[str, list[Described]] = {}
    for one in settings():
        table, _, _ = one.name.rpartition(".")
        tables.setdefault(table, []).append(one)
    for table, found in tables.items():
        lines.append(f".SH {'SETTINGS' if not table else f'[{table}]'}")
        for one in found:
            default = list(one.default) if isinstance(one.default, tuple) else one.default
            shown = "required" if default is None else f"default {default!r}".replace("'", '"')
            lines += [".TP", f"\\fB{_plain(one.name.rpartition('.')[2])}\\fR ({_plain(f'{one.kind}; {shown}')})"]
            lines.append(_plain(one.description[:1].upper() + one.description[1:] + "."))
    return "\n".join([*lines, *_tail(FILE)]) + "\n"


# --- roff


def _head(name: str, section: str, about: str) -> list[str]:
    return [
        '.\\" Made by docs/generate.py: change what it is made from.',
        f'.TH {name.upper()} {section} "" "immpd {__version__}"',
        ".SH NAME",
        f"{name} \\- {_plain(about)}",
    ]


def _tail(name: str) -> list[str]:
    return [".SH SEE ALSO", ", ".join(_plain(one) for one in SEE_ALSO[name])]


def _paragraphs(text: str) -> list[str]:
    return [inspect.cleandoc(piece) for piece in re.split(r"\n\s*\n", text.strip())]


def _body(paragraphs: list[str]) -> list[str]:
    """Paragraphs, with their first line ends where they were only wrapped."""
    lines: list[str] = []
    for paragraph in paragraphs:
        lines += [".PP", _plain(" ".join(paragraph.split()))]
    return lines[1:]


def _plain(text: str) -> str:
    """Text that roff takes as it is."""
    text = text.replace("``", "").translate(_PLAIN)
    return f"\\&{text}" if text.startswith((".", "'")) else text
