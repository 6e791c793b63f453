"""``immpd config``: what is set, and from where."""

import sys
from typing import Annotated

from cyclopts import Parameter

from .operator_common import OK, Data


def show(*, data: Data, json: Annotated[bool, Parameter(name="--json", negative=())] = False) -> int:
    """Show every setting, its value and where it comes from."""
    import msgspec

    from immpd.app.configuration import effective

    for setting in effective(data):
        if json:
            line = msgspec.json.encode(setting).decode()
        else:
            line = f"{setting.name} = {msgspec.json.encode(setting.value).decode()}  # {setting.source}"
        sys.stdout.write(line + "\n")
    return OK


def check(*, data: Data) -> int:
    """Read the configuration and say whether it can be used."""
    from immpd.app.configuration import FILE, read_configuration

    configuration = read_configuration(data)
    sys.stdout.write(f"{data / FILE} can be used; it serves {', '.join(configuration.domains)}\n")
    return OK
