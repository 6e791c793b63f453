"""``immpd config``: what is set, and from where."""

import os
import sys
from typing import Annotated, Any

from cyclopts import Parameter

from .operator_common import OK, Data


def show(*, data: Data, json: Annotated[bool, Parameter(name="--json", negative=())] = False) -> int:
    """Show every setting, its value and where it comes from."""
    import msgspec

    from immpd.app.configuration import FILE, overrides, read_configuration, settings_of

    configuration = read_configuration(data)
    written: dict[str, Any] = msgspec.toml.decode((data / FILE).read_bytes())
    from_environment = {".".join(keys) for keys, _ in overrides(os.environ)}
    for name, _, _, _ in settings_of():
        value: Any = configuration
        in_file: Any = written
        for key in name.split("."):
            value = getattr(value, key)
            in_file = in_file.get(key) if isinstance(in_file, dict) else None
        source = "environment" if name in from_environment else "default" if in_file is None else "file"
        shown = msgspec.json.encode(value).decode()
        if json:
            row = {"name": name, "value": value, "source": source}
            sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
        else:
            sys.stdout.write(f"{name} = {shown}  # {source}\n")
    return OK


def check(*, data: Data) -> int:
    """Read the configuration and say whether it can be used."""
    from immpd.app.configuration import FILE, read_configuration

    configuration = read_configuration(data)
    sys.stdout.write(f"{data / FILE} can be used; it serves {', '.join(configuration.domains)}\n")
    return OK
