"""immpd.toml: what an operator sets. Each room has its own part; this joins them.

Rules: unknown keys are refused with their place; every setting is described by the code that uses it,
and the reference page is made from that; ``IMMPD_LIMITS__MAX_MESSAGE=1000000`` overrides
``max_message`` under ``[limits]``.
"""

import os
import re
import typing
from collections.abc import Container, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from immpd.federation.settings import Federation, host_and_port, server_address
from immpd.model.imid import ImidError, parse_domain
from immpd.server.settings import Bounds, Debug
from immpd.service.settings import Authentication, Limits
from immpd.store.settings import Storage

FILE = "immpd.toml"
PREFIX = "IMMPD_"
PORT = 1025
PORT_TLS = 1026


class ConfigurationError(Exception):
    """The configuration cannot be used; the text says where and why."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A certificate from files, PEM (the first is shown where a client names no domain)."""

    certificate: Annotated[str, msgspec.Meta(description="file with the certificate and its chain")]
    key: Annotated[str, msgspec.Meta(description="file with the private key")]


class Logging(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is logged, to standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        msgspec.Meta(description="the least that is logged; debug tells of every message"),
    ] = "info"
    format: Annotated[
        Literal["auto", "console", "json"],
        msgspec.Meta(description="console for people, json for machines, auto: by whether it is a terminal"),
    ] = "auto"


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of immpd.toml."""

    domains: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, description="domains that this server serves")]
    listen: Annotated[tuple[str, ...], msgspec.Meta(description="HOST:PORT for connections that UPGRADE")] = (
        f":{PORT}",
    )
    listen_tls: Annotated[tuple[str, ...], msgspec.Meta(description="HOST:PORT for TLS from the first octet")] = (
        f":{PORT_TLS}",
    )
    certificates: Annotated[
        tuple[Certificate, ...], msgspec.Meta(description="certificates from files; none: a self-signed one is made")
    ] = ()
    limits: Limits = Limits()
    authentication: Authentication = Authentication()
    bounds: Bounds = Bounds()
    storage: Storage = Storage()
    federation: Federation = Federation()
    log: Logging = Logging()
    debug: Debug = Debug()


class Setting(msgspec.Struct, frozen=True):
    """One effective setting and where it comes from: default, file or environment."""

    name: str
    value: Any
    source: str


def read_configuration(folder: Path, environment: Mapping[str, str] = os.environ) -> Configuration:
    """Read FOLDER/immpd.toml with overrides from the environment; raises ConfigurationError."""
    path = folder / FILE
    given = list(overrides(environment))
    return checked(_converted(_read_file(path), given, path), path, {one.keys[0]: one.variable for one in given})


def effective(folder: Path, environment: Mapping[str, str] = os.environ) -> list[Setting]:
    """Every setting with its value and its source; raises ConfigurationError."""
    configuration = read_configuration(folder, environment)
    known = {setting.name for setting in settings()}
    given = dict.fromkeys(_names(_read_file(folder / FILE), known), "file")
    given |= {".".join(one.keys): "environment" for one in overrides(environment)}
    return [
        Setting(setting.name, _value_at(configuration, setting.name), given.get(setting.name, "default"))
        for setting in settings()
    ]


def _read_file(path: Path) -> dict[str, Any]:
    try:
        raw: dict[str, Any] = msgspec.toml.decode(path.read_bytes())
    except FileNotFoundError:
        raise ConfigurationError(f"{path} is not there; immpd init makes it") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from None
    return raw


def _names(raw: Mapping[str, Any], known: Container[str], prefix: str = "") -> Iterator[str]:
    for key, value in raw.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and name not in known:
            yield from _names(value, known, f"{name}.")
        else:
            yield name


def _value_at(configuration: Configuration, name: str) -> Any:
    return reduce(getattr, name.split("."), configuration)


class Override(msgspec.Struct, frozen=True):
    """A variable of the environment that overrides a setting."""

    variable: str
    keys: tuple[str, ...]
    value: Any


def _converted(raw: dict[str, Any], given: list[Override], path: Path) -> Configuration:
    """The file with the overrides; an error names the file or the variable that it is about."""
    before: str | None = None
    try:
        configuration = msgspec.convert(raw, Configuration)
    except msgspec.ValidationError as error:
        before = _in_words(error)  # a variable may still set what the file lacks
    for one in given:
        table = raw
        for key in one.keys[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigurationError(f"{one.variable}: {key} is no table")
        table[one.keys[-1]] = one.value
        try:
            configuration = msgspec.convert(raw, Configuration)
        except msgspec.ValidationError as error:
            if before is None:
                raise ConfigurationError(f"{one.variable}: {_in_words(error)}") from None
            before = _in_words(error)
        else:
            before = None
    if before is not None:
        raise ConfigurationError(f"{path}: {before}")
    return configuration


def _in_words(error: msgspec.ValidationError) -> str:
    """What is wrong with which setting, and what may have been meant."""
    said = str(error)
    fault, _, place = said.partition(" - at `$.")
    place = place.rstrip("`")
    known = {one.name: one for one in settings()}
    if found := re.fullmatch(r"Object (contains unknown|missing required) field `(.*)`", fault):
        name = f"{place}.{found[2]}" if place else found[2]
        if found[1] == "missing required":
            return f"{name} is missing"
        names = [*known, *dict.fromkeys(name.partition(".")[0] for name in known if "." in name)]
        elsewhere = [one for one in known if one.rpartition(".")[2] == found[2]]
        meant = (elsewhere or get_close_matches(name, names, n=1, cutoff=0.75))[:1]
        return f"there is no setting {name}" + "".join(f"; did you mean {one}?" for one in meant)
    if place in known:
        some = ", not empty" * ("length >= 1" in fault)
        return f"{place} is to be: {known[place].kind}{some}"
    return f"{place}: {fault}" if place else said


def checked(configuration: Configuration, path: Path, variables: Mapping[str, str]) -> Configuration:
    """Canonical domains and readable addresses; raises ConfigurationError, which names the file or the variable."""
    name = "domains"
    try:
        domains = checked_domains(configuration.domains)
        for name in ("listen", "listen_tls"):
            for text in getattr(configuration, name):
                read_address(text)
        name = "federation"
        federation = checked_federation(configuration.federation)
    except (ConfigurationError, ValueError) as error:
        raise ConfigurationError(f"{variables.get(name, path)}: {error}") from None
    return msgspec.structs.replace(configuration, domains=domains, federation=federation)


def checked_federation(federation: Federation) -> Federation:
    """Canonical domains and readable addresses; raises ConfigurationError, which names the setting."""
    hosts: dict[str, str] = {}
    for domain, where in federation.hosts.items():
        try:
            hosts[parse_domain(domain)] = where
            host_and_port(where)
        except (ImidError, ValueError) as error:
            raise ConfigurationError(f"federation.hosts: {domain}: {error}") from None
    for text in federation.resolvers:
        try:
            server_address(text)
        except ValueError as error:
            raise ConfigurationError(f"federation.resolvers: {error}") from None
    return msgspec.structs.replace(federation, hosts=hosts)


def checked_domains(domains: tuple[str, ...]) -> tuple[str, ...]:
    """Domains in their canonical form, each once; raises ConfigurationError."""
    try:
        return tuple(dict.fromkeys(parse_domain(domain) for domain in domains))
    except ImidError as error:
        raise ConfigurationError(str(error)) from None


def listening(configuration: Configuration, listen: Sequence[str], listen_tls: Sequence[str]) -> Configuration:
    """The configuration with the addresses of the command line in place of all its own, where any is given.

    Raises ConfigurationError, which names the option.
    """
    check_addresses(listen, listen_tls)
    if not listen and not listen_tls:
        return configuration
    return msgspec.structs.replace(configuration, listen=tuple(listen), listen_tls=tuple(listen_tls))


def check_addresses(listen: Sequence[str], listen_tls: Sequence[str]) -> None:
    """Whether the addresses of the command line can be read; raises ConfigurationError, which names the option."""
    for option, texts in (("--listen", listen), ("--listen-tls", listen_tls)):
        for text in texts:
            try:
                read_address(text)
            except ValueError as error:
                raise ConfigurationError(f"{option}: {error}") from None


def overrides(environment: Mapping[str, str]) -> Iterator[Override]:
    """What the IMMPD_ variables set; values are read as TOML where they can be, else as text."""
    for variable, text in sorted(environment.items()):
        if not variable.startswith(PREFIX) or variable == "IMMPD_DATA":
            continue
        keys = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        try:
            value = msgspec.toml.decode(f"value = {text}")["value"]
        except msgspec.DecodeError:
            value = text
        yield Override(variable, keys, value)


_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})")


def read_address(text: str) -> tuple[str, int]:
    """HOST:PORT, [IPv6]:PORT or :PORT (every address); raises ValueError."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65_535:
        raise ValueError(f"{text!r} is no HOST:PORT")
    return match["six"] or match["host"] or "", int(match["port"])


def first_configuration(domains: Sequence[str], listen: Sequence[str], listen_tls: Sequence[str]) -> str:
    """The file that immpd init writes: every setting, with its default where nothing else was said.

    Without addresses it is for this machine only.
    """
    local = not listen and not listen_tls
    if local:
        listen, listen_tls = (f"127.0.0.1:{PORT}",), (f"127.0.0.1:{PORT_TLS}",)
    lines = [
        "# What immpd is set to. A line that begins with # shows a default: take the # away to change it.",
        "# immpd config check says whether this file can be used, immpd config show what is in force and why.",
        "# SIGHUP (systemctl reload immpd) reads certificates again; anything else wants a restart.",
        "",
        "# Domains that this server serves.",
        f"domains = {_toml_list(domains)}",
        "",
        "# Where connections begin in clear, and where they are TLS from the first octet.",
    ]
    if local:
        lines.append(
            f'# To be reached from other machines: ":{PORT}" and ":{PORT_TLS}", which are all addresses of this one.'
        )
    lines += [
        f"listen = {_toml_list(listen)}",
        f"listen_tls = {_toml_list(listen_tls)}",
        "",
        "# Certificates from files (PEM); without any, a self-signed one is made and kept.",
        '#certificates = [{ certificate = "/etc/ssl/immpd/fullchain.pem", key = "/etc/ssl/immpd/privkey.pem" }]',
        *_defaults(),
    ]
    return "\n".join(lines) + "\n"


def _defaults() -> Iterator[str]:
    """Every setting that stands in a table, its default in a comment, under the words that describe it."""
    table = ""
    for one in settings():
        parts = one.name.split(".")
        if len(parts) == 1:
            continue
        if parts[0] != table:
            table = parts[0]
            yield from ("", f"[{table}]")
        yield f"# {one.description[:1].upper()}{one.description[1:]} ({one.kind})."
        yield f"#{parts[1]} = {msgspec.json.encode(one.default).decode()}"


def _toml_list(texts: Sequence[str]) -> str:
    return msgspec.json.encode(list(texts)).decode().replace('","', '", "')


class Described(msgspec.Struct, frozen=True):
    """A setting as the reference page lists it."""

    name: str
    kind: str
    """What its value is, for people."""
    default: Any
    """None: it must be set."""
    description: str


def settings(kind: type[msgspec.Struct] = Configuration, prefix: str = "") -> Iterator[Described]:
    """Every setting, in the order of the file."""
    for field in msgspec.structs.fields(kind):
        name = f"{prefix}{field.name}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from settings(field.type, f"{name}.")
            continue
        plain, *marks = typing.get_args(field.type) or (field.type,)
        metas = [mark for mark in marks if isinstance(mark, msgspec.Meta)]
        description = next((meta.description for meta in metas if meta.description), "")
        default = None if field.default is msgspec.NODEFAULT else field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        yield Described(name, _kind(plain, metas), default, description)


def _kind(plain: Any, metas: list[msgspec.Meta]) -> str:
    if typing.get_origin(plain) is tuple:
        item = typing.get_args(plain)[0]
        return "list of tables" if issubclass(item, msgspec.Struct) else "list of texts"
    if typing.get_origin(plain) is dict:
        return "table of texts"
    if typing.get_origin(plain) is Literal:
        return ", ".join(typing.get_args(plain))
    name = {bool: "true or false", int: "number", str: "text"}[plain]
    low = next((meta.ge for meta in metas if meta.ge is not None), None)
    high = next((meta.le for meta in metas if meta.le is not None), None)
    if low is not None:
        name += f" from {low:,}"
    if high is not None:
        name += f" to {high:,}"
    return name
