"""immpd.toml: what is read, what is refused and where the fault is said to be."""

import re
from pathlib import Path

import pytest

from immpd.app.configuration import (
    Configuration,
    ConfigurationError,
    effective,
    first_configuration,
    listening,
    read_address,
    read_configuration,
    settings,
)


def written(folder: Path, text: str) -> Path:
    (folder / "immpd.toml").write_text(text)
    return folder


def test_what_init_writes_is_read_with_defaults(tmp_path: Path) -> None:
    configuration = read_configuration(written(tmp_path, first_configuration(("a.test", "b.test"), (), ())), {})
    assert configuration.domains == ("a.test", "b.test")
    assert (configuration.listen, configuration.listen_tls) == (("127.0.0.1:1025",), ("127.0.0.1:1026",))
    opened = read_configuration(written(tmp_path, first_configuration(("a.test",), (":25", "[::1]:26"), ())), {})
    assert (opened.listen, opened.listen_tls) == ((":25", "[::1]:26"), ())


def test_what_init_writes_shows_every_setting_as_it_is_without(tmp_path: Path) -> None:
    text = first_configuration(("a.test",), (), ())
    for one in settings():
        assert re.search(rf"^#?{one.name.rpartition('.')[2]} = ", text, re.MULTILINE), one.name
    certificates = next(line for line in text.splitlines() if line.startswith("#certificates = "))
    written(tmp_path, re.sub(r"^#(?=\w+ = )", "", text.replace(certificates, ""), flags=re.MULTILINE))
    assert read_configuration(tmp_path, {}) == read_configuration(written(tmp_path, text), {})
    (tmp_path / "immpd.toml").write_text(text.replace(certificates, certificates[1:]))
    assert len(read_configuration(tmp_path, {}).certificates) == 1


def test_the_command_line_says_all_of_where_to_listen() -> None:
    configuration = Configuration(domains=("a.test",))
    assert listening(configuration, (), ()) == configuration
    there = listening(configuration, ("127.0.0.1:1",), ())
    assert (there.listen, there.listen_tls) == (("127.0.0.1:1",), ())
    there = listening(configuration, (), ("127.0.0.1:1",))
    assert (there.listen, there.listen_tls) == ((), ("127.0.0.1:1",))
    with pytest.raises(ConfigurationError, match=r"^--listen-tls: 'nowhere' is no HOST"):
        listening(configuration, (), ("nowhere",))


def test_domains_become_canonical(tmp_path: Path) -> None:
    configuration = read_configuration(written(tmp_path, 'domains = ["Bücher.Example", "xn--bcher-kva.example"]'), {})
    assert configuration.domains == ("xn--bcher-kva.example",)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "immpd.toml: domains is missing"),
        ("domains = []", "domains is to be: list of texts, not empty"),
        ('domains = ["not a domain"]', "immpd.toml: "),
        ('domans = ["a.test"]', "there is no setting domans; did you mean domains?"),
        ('domains = ["a.test"]\ndomain = 1', "there is no setting domain; did you mean domains?"),
        ('domains = ["a.test"]\nkeep_free = 1', "there is no setting keep_free; did you mean storage.keep_free?"),
        ('domains = ["a.test"]\nmail = 1', "there is no setting mail"),
        ('domains = ["a.test"]\n[limit]\nmax_parts = 1', "there is no setting limit; did you mean limits?"),
        (
            'domains = ["a.test"]\n[limits]\nmax_mesage = 1',
            "there is no setting limits.max_mesage; did you mean limits.max_message?",
        ),
        ('domains = ["a.test"]\n[limits]\nmax_parts = 0', "limits.max_parts is to be: number from 1 to 1,000"),
        ('domains = ["a.test"]\n[limits]\nmax_parts = "x"', "limits.max_parts is to be: number from 1 to 1,000"),
        ('domains = ["a.test"]\n[log]\nlevel = "loud"', "log.level is to be: debug, info, warning, error"),
        ('domains = ["a.test"]\nlimits = 1', "limits: Expected `object`, got `int`"),
        ('domains = ["a.test"]\ncertificates = [{ key = "a" }]', "certificates[0].certificate is missing"),
        ('domains = ["a.test"]\nlisten = ["1025"]', "'1025' is no HOST:PORT"),
        ("domains = [", "is no TOML"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(written(tmp_path, text), {})
    assert fault in str(caught.value)
    assert str(tmp_path / "immpd.toml") in str(caught.value)


def test_a_missing_file_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="immpd init makes it"):
        read_configuration(tmp_path, {})


def test_the_environment_overrides_and_every_source_is_known(tmp_path: Path) -> None:
    folder = written(tmp_path, 'domains = ["a.test"]\n[limits]\nmax_parts = 7\nmax_recipients = 8')
    environment = {
        "IMMPD_LIMITS__MAX_PARTS": "9",
        "IMMPD_LOG__LEVEL": "debug",
        "IMMPD_LISTEN": '["127.0.0.1:0"]',
        "IMMPD_DATA": "elsewhere",
        "HOME": "/root",
    }
    found = {one.name: (one.value, one.source) for one in effective(folder, environment)}
    assert found["limits.max_parts"] == (9, "environment")
    assert found["limits.max_recipients"] == (8, "file")
    assert found["log.level"] == ("debug", "environment")
    assert found["listen"] == (("127.0.0.1:0",), "environment")
    assert found["bounds.idle"] == (1800, "default")
    assert list(found) == [one.name for one in settings()]


@pytest.mark.parametrize("variable", ["IMMPD_LISTEN", "IMMPD_LISTEN_TLS", "IMMPD_DOMAINS"])
def test_an_address_or_domain_of_a_variable_is_not_the_files(tmp_path: Path, variable: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{variable}: "):
        read_configuration(written(tmp_path, 'domains = ["a.test"]'), {variable: '["no address"]'})


@pytest.mark.parametrize(
    "variable", ["IMMPD_LIMITS__MAX_PARTS", "IMMPD_LISTEN", "IMMPD_NO_SUCH_THING", "IMMPD_DOMAINS__X"]
)
def test_a_bad_variable_is_blamed_and_not_the_file(tmp_path: Path, variable: str) -> None:
    folder = written(tmp_path, 'domains = ["a.test"]')
    with pytest.raises(ConfigurationError, match=f"^{variable}: "):
        read_configuration(folder, {variable: "many"})


def test_a_variable_can_set_what_the_file_lacks(tmp_path: Path) -> None:
    assert read_configuration(written(tmp_path, ""), {"IMMPD_DOMAINS": '["b.test"]'}).domains == ("b.test",)


@pytest.mark.parametrize(
    ("text", "address"),
    [(":1025", ("", 1025)), ("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:65535", ("::1", 65535))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert read_address(text) == address


@pytest.mark.parametrize("text", ["1025", "a.test", "::1:25", "a.test:70000", "a.test:", ""])
def test_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        read_address(text)


def test_every_setting_is_described() -> None:
    assert [one.name for one in settings() if not one.description] == []
