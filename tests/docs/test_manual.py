"""Manual pages and completions say all that the commands know, and every shell and reader takes them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from immpd.app.configuration import settings
from immpd.cli.person import main as person
from immpd.commands.operator import main as operator

SHARE = Path(__file__).parents[2] / "share"
PAGES = sorted((SHARE / "man").rglob("*.[15]"))
APPS = {"immp": person.make_app, "immpd": operator.make_app}


def text_of(page: Path) -> str:
    """A page without its marks."""
    return re.sub(r"\\f[BIR]|\\&", "", page.read_text()).replace("\\-", "-").replace("\\e", "\\")


def leaves(app, above=()):
    for name in app.resolved_commands():
        if name.startswith("-"):
            continue
        inner = list(leaves(app[name], (*above, name)))
        yield from inner or [((*above, name), app[name])]


@pytest.mark.parametrize("name", APPS)
def test_every_command_and_option_has_its_place(name: str) -> None:
    text = text_of(SHARE / "man" / "man1" / f"{name}.1")
    shells = [
        SHARE / "bash-completion" / "completions" / name,
        SHARE / "zsh" / "site-functions" / f"_{name}",
        SHARE / "fish" / "vendor_completions.d" / f"{name}.fish",
    ]
    completions = [path.read_text() for path in shells]
    for words, command in leaves(APPS[name]()):
        assert re.search(rf"^\.SS {' '.join((name, *words))}\b", text, re.MULTILINE), words
        for one in command.assemble_argument_collection(parse_docstring=True):
            for option in one.names if one.show and one.names[0].startswith("-") else ():
                assert option in text, (words, option)
                assert all(option.lstrip("-") in completion for completion in completions), (words, option)
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "ENVIRONMENT", "SEE ALSO"):
        assert f"\n.SH {section}\n" in text


def test_every_setting_has_its_place() -> None:
    text = text_of(SHARE / "man" / "man5" / "immpd.toml.5")
    for one in settings():
        table, _, name = one.name.rpartition(".")
        assert re.search(rf"^{name} \(", text, re.MULTILINE), one.name
        assert f".SH {f'[{table}]' if table else 'SETTINGS'}\n" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_roff_has_nothing_to_complain_of(page: Path) -> None:
    groff = shutil.which("groff")
    if groff is None:
        # Every machine can see that no line is taken for a request that it is not.
        known = (".\\", ".TH", ".SH", ".SS", ".TP", ".PP", ".B")
        assert [line for line in page.read_text().splitlines() if line[:1] in ".'" and not line.startswith(known)] == []
        return
    words = [groff, "-man", "-Tutf8", "-Kutf8", "-ww", page]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "immpd" in done.stdout


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["immp", "notif"], {"notifications"}),
        (["immp", "folder", "re"], {"rename"}),
        (["immp", "watch", "--o"], {"--once"}),
        (["immp", "watch", "--json", "--si"], {"--since"}),
        (["immpd", "account", "pass"], {"passwd"}),
        (["immpd", "serve", "--listen-"], {"--listen-tls"}),
    ],
)
def test_bash_completes(words: list[str], wanted: set[str]) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    name = words[0]
    script = (
        f'. "$0" && COMP_WORDS=("$@") COMP_CWORD={len(words) - 1} && '
        f"[[ $(complete -p {name}) == *'-F _{name} {name}' ]] && {{ _{name}; printf '%s\\n' \"${{COMPREPLY[@]}}\"; }}"
    )
    file = SHARE / "bash-completion" / "completions" / name
    done = subprocess.run([bash, "-c", script, file, *words], capture_output=True, text=True, check=True)
    assert (set(done.stdout.split()), done.stderr) == (wanted, "")


@pytest.mark.parametrize("name", APPS)
def test_zsh_and_fish_take_theirs(name: str) -> None:
    zsh, fish = SHARE / "zsh" / "site-functions" / f"_{name}", SHARE / "fish" / "vendor_completions.d" / f"{name}.fish"
    assert zsh.read_text().startswith(f"#compdef {name}\n")
    assert f"\n_{name}() {{\n" in zsh.read_text()
    assert f"complete -c {name} " in fish.read_text()
    for program, file in (("zsh", zsh), ("fish", fish)):
        if shutil.which(program) is not None:
            subprocess.run([program, "-n", file], capture_output=True, check=True)
