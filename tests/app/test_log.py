"""The log: JSON for machines, lines for people, and no secret in a traceback."""

import io
import json

import pytest

from immpd.app.configuration import Logging
from immpd.app.log import open_log


def test_json_has_one_object_a_line_and_obeys_the_level() -> None:
    output = io.StringIO()
    log = open_log(Logging(level="info", format="auto"), output)
    log.debug("too fine")
    log.info("login accepted", account="alice@a.test")
    (line,) = output.getvalue().splitlines()
    told = json.loads(line)
    assert (told["event"], told["account"], told["level"]) == ("login accepted", "alice@a.test", "info")


@pytest.mark.parametrize("format_", ["json", "console"])
def test_a_traceback_shows_where_but_no_local_variables(format_: str) -> None:
    output = io.StringIO()
    log = open_log(Logging(format=format_), output)  # type: ignore[arg-type]

    def failing() -> None:
        secret = "hunter" + "2"
        raise ValueError(len(secret))

    try:
        failing()
    except ValueError as error:
        log.error("command failed", exc_info=error)
    assert "test_log.py" in output.getvalue()
    assert "in failing" in output.getvalue()
    assert "hunter2" not in output.getvalue()
