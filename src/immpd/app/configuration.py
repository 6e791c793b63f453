"""immpd.toml: what an operator sets. Each room has its own part; this joins them.

Rules: unknown keys are refused with their place; every setting is described by the code that uses it,
and the reference page is made from that; ``IMMPD_LIMITS__MAX_MESSAGE=1000000`` overrides
``max_message`` under ``[limits]``.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from immpd.model.imid import ImidError, parse_domain
from immpd.server.settings import Bounds
from immpd.service.settings import Authentication, Limits

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
        str, msgspec.Meta(pattern="^(debug|info|warning|error)$", description="debug, info, warning or error")
    ] = "info"
    format: Annotated[
        str,
        msgspec.Meta(
            pattern="^(auto|console|json)$", description="console for people, json for machines, auto: by terminal"
        ),
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
    log: Logging = Logging()


def read_configuration(folder: Path, environment: Mapping[str, str] = os.environ) -> Configuration:
    """Read FOLDER/immpd.toml with overrides from the environment; raises ConfigurationError."""
    path = folder / FILE
    try:
        raw = msgspec.toml.decode(path.read_bytes())
    except FileNotFoundError:
        raise ConfigurationError(f"{path} is not there; immpd init makes it") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from None
    for keys, value in overrides(environment):
        table = raw
        for key in keys[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigurationError(f"{PREFIX}{'__'.join(keys).upper()}: {key} is no table")
        table[keys[-1]] = value
    try:
        configuration = msgspec.convert(raw, Configuration)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    return checked(configuration, path)


def checked(configuration: Configuration, path: Path) -> Configuration:
    """Canonical domains and readable addresses; raises ConfigurationError."""
    try:
        domains = tuple(parse_domain(domain) for domain in configuration.domains)
        for text in (*configuration.listen, *configuration.listen_tls):
            read_address(text)
    except (ImidError, ValueError) as error:
        raise ConfigurationError(f"{path}: {error}") from None
    return msgspec.structs.replace(configuration, domains=domains)


def overrides(environment: Mapping[str, str]) -> Iterator[tuple[list[str], Any]]:
    """(keys, value) of each IMMPD_ variable; values are read as TOML where they can be, else as text."""
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX) or name == "IMMPD_DATA":
            continue
        keys = name.removeprefix(PREFIX).lower().split("__")
        try:
            value = msgspec.toml.decode(f"value = {text}")["value"]
        except msgspec.DecodeError:
            value = text
        yield keys, value


_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})")


def read_address(text: str) -> tuple[str, int]:
    """HOST:PORT, [IPv6]:PORT or :PORT (every address); raises ValueError."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65_535:
        raise ValueError(f"{text!r} is no HOST:PORT")
    return match["six"] or match["host"] or "", int(match["port"])


def first_configuration(domains: tuple[str, ...]) -> str:
    """The file that immpd init writes."""
    listed = ", ".join(f'"{domain}"' for domain in domains)
    return (
        "# immpd: every setting and its default is in docs/reference/settings.md; immpd config check reads this file\n"
        f"domains = [{listed}]\n"
    )


def settings_of(kind: type[msgspec.Struct] = Configuration, prefix: str = "") -> Iterator[tuple[str, str, Any, str]]:
    """(name, type, default, description) of every setting, as the reference page lists them."""
    for field in msgspec.structs.fields(kind):
        name = f"{prefix}{field.name}"
        info = field.type
        if isinstance(info, type) and issubclass(info, msgspec.Struct):
            yield from settings_of(info, f"{name}.")
            continue
        description = ""
        for meta in getattr(info, "__metadata__", ()):
            description = getattr(meta, "description", None) or description
        plain = getattr(info, "__origin__", info)
        default = None if field.default is msgspec.NODEFAULT else field.default
        yield name, getattr(plain, "__name__", str(plain)), default, description
