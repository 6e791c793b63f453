"""How errors end a command."""

import pytest

from immpd.cli.person.common import describe_error, exit_code
from immpd.client import CannotConnect, ConnectionLost, FingerprintMismatch, NotSecure, PasswordNeeded, Refused
from immpd.protocol.codes import Code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused(Code.NOT_FOUND, "NO-FOLDER", "x"), 1),
        (Refused(Code.SYNTAX, "QUOTES", "x"), 1),
        (Refused(Code.AUTH_FAILED, "AUTH-FAILED", "x"), 3),
        (Refused(Code.ATTEMPTS, "TOO-MANY-ATTEMPTS", "x"), 3),
        (Refused(Code.TEMPORARY, "STORE-FULL", "x", 60), 75),
        (Refused(Code.SHUTDOWN, "SHUTTING-DOWN", "x"), 4),
        (Refused(Code.SHUTDOWN, "SESSION-ENDED", "x"), 4),
        (Refused(Code.SHUTDOWN, "PASSWORD-CHANGED", "x"), 3),
        (Refused(Code.BOUND, "TOO-MANY-CONNECTIONS", "x"), 4),
        (PasswordNeeded("x"), 3),
        (ConnectionLost("x"), 4),
        (NotSecure("x"), 4),
        (FingerprintMismatch("a.test", ("a",), "b"), 5),
        (FileNotFoundError(2, "No such file", "x"), 2),
        (RuntimeError("a bug"), None),
    ],
)
def test_exit_codes(error: Exception, code: int | None) -> None:
    assert exit_code(error) == code


def test_descriptions() -> None:
    assert describe_error(Refused(Code.TEMPORARY, "FULL", "No room", 60)) == "No room [FULL] (try again in 60 s)"
    assert describe_error(FileNotFoundError(2, "No such file", "/x")) == "/x: No such file"
    assert describe_error(RuntimeError()) == "RuntimeError"


def test_at_the_other_port_it_says_what_to_do() -> None:
    silent, loud = CannotConnect("No answer"), NotSecure("No TLS")
    silent.direct, loud.direct = True, False
    assert describe_error(silent) == "No answer; a port that speaks TLS from the first octet (1026) wants --direct"
    assert describe_error(loud) == "No TLS; a port that begins in clear (1025) wants no --direct"
