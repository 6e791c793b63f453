"""What the commands of ``immpd`` share: the data folder, a Caller for the operator, how they end.

Rule: while the server runs, the operator's socket is the way in; when it does not, the data folder's
lock is taken and the same session is called here. There is no third way.
"""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter

from immpd.protocol.registry import Request
from immpd.protocol.replies import Reply

R = TypeVar("R", bound=Reply)
OK = 0
FAILED = 1
USAGE = 2
TEMPORARY = 75

Data = Annotated[Path, Parameter(name="--data", env_var="IMMPD_DATA", help="The data folder.")]
AsJson = Annotated[bool, Parameter(name="--json", negative=(), help="One JSON object a line.")]
Call = Callable[[Request[Any]], Awaitable[Any]]


def tell(text: str) -> None:
    """A line for the operator, on standard error."""
    sys.stderr.write(f"immpd: {text}\n")


def print_json(value: object) -> None:
    """One object on one line, with all of its fields."""
    import msgspec

    from immpd.cli.person import output

    output.print_json(msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else value)


def say(text: str, as_json: bool, **said: object) -> None:
    """What was done: in words for people, or what they say as one JSON object."""
    if as_json:
        print_json(said)
    else:
        sys.stdout.write(f"{text}\n")


def exit_code(error: BaseException) -> tuple[int | None, str]:
    """What a script learns of an error, and its line for people; None for what nobody foresaw."""
    from immpd.app.backup import NoBackup
    from immpd.app.compose import CannotListen
    from immpd.app.configuration import ConfigurationError
    from immpd.app.folder import DataFolderInUse
    from immpd.net.certificates import CertificateError
    from immpd.protocol.errors import Refused
    from immpd.protocol.scram import ScramError
    from immpd.service.accounts.sealing import SealError
    from immpd.store.errors import StoreError

    words = str(error) or type(error).__name__
    if isinstance(error, Refused):
        return (TEMPORARY if error.retry is not None else FAILED), f"{error.text} [{error.word}]"
    if isinstance(error, ConfigurationError | ScramError | ValueError):
        return USAGE, words
    if isinstance(error, DataFolderInUse):
        return TEMPORARY, words
    if isinstance(error, StoreError):
        return (TEMPORARY if error.temporary else FAILED), words
    if isinstance(error, OSError) and error.filename is not None:
        return FAILED, f"{error.filename}: {error.strerror}"
    if isinstance(error, CannotListen | NoBackup | CertificateError | SealError | OSError):
        return FAILED, words
    return None, words


@asynccontextmanager
async def operator(data: Path) -> AsyncIterator[Call]:
    """A Caller for the operator: over the socket of the running server, else on the store itself."""
    from immpd.app.compose import opened, operator_session
    from immpd.app.configuration import read_configuration
    from immpd.app.folder import SOCKET
    from immpd.net.local_socket import connect_local

    configuration = read_configuration(data)
    try:
        raw = connect_local(data / SOCKET)
    except (FileNotFoundError, ConnectionRefusedError):
        from immpd.app.log import open_log

        async with opened(data, configuration, open_log(configuration.log)) as services:
            session = operator_session(services)
            yield session.call
        return
    link = _Socket(raw)
    try:
        link.greeting()
        yield link.call
    finally:
        raw.close()


class _Socket:
    """The operator's socket: one command after the other, which needs no pipelines and no loop."""

    def __init__(self, raw: socket.socket) -> None:
        from immpd.protocol.connection import ClientConnection

        self._raw = raw
        self._connection = ClientConnection()

    def greeting(self) -> None:
        """The server speaks first."""
        self._lines()

    async def call(self, request: Request[R]) -> R:
        """One command to its typed reply; raises Refused."""
        from immpd.client.errors import read_refusal
        from immpd.protocol.grammar import print_request
        from immpd.protocol.registry import BY_REQUEST

        self._raw.sendall(print_request(request).encode() + b"\n")
        lines = self._lines()
        if lines[-1].code >= 400:
            raise read_refusal(lines[-1])
        return BY_REQUEST[type(request)].reply.decode(lines)  # type: ignore[return-value] # the registry ties them

    def _lines(self) -> list[Any]:
        from immpd.protocol.codes import describe
        from immpd.protocol.connection import ReplyLine

        lines = []
        while True:
            octets = self._raw.recv(65_536)
            if not octets:
                raise OSError("the server has closed the operator's socket")
            for event in self._connection.receive_data(octets):
                if isinstance(event, ReplyLine):
                    lines.append(event.line)
                    code = describe(event.line.code)
                    if not event.line.more and (code is None or code.final):
                        return lines


def run(work: Callable[[], Awaitable[int | None]]) -> int:
    """Run a command's work; what it returns is the exit code."""

    async def whole() -> int | None:
        return await work()

    return asyncio.run(whole()) or OK


def is_terminal() -> bool:
    """Whether a person is at the keyboard."""
    return sys.stdin.isatty() and os.isatty(2)
