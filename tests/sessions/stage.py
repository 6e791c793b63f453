"""Where conversations are played: a server in this process, and clients that reach it over real sockets and TLS.

Rules: every conversation has its own server, so its accounts, states and counts are its own; time moves only
when the conversation says so; passwords are one precomputed h, because making one takes 135 ms.
"""

import asyncio
import re
import ssl
from collections import deque
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
from tests.serving import PATIENCE, Serving, serving
from tests.sessions.reader import Reader
from tests.spoken import HINT, is_reply, rule_of_line

from immpd.app.folder import SOCKET
from immpd.net.certificates import ALPN, client_context, server_end_point
from immpd.protocol import scram
from immpd.protocol.codes import Code, describe
from immpd.protocol.commands import Ack, Cancel, Quit
from immpd.protocol.connection import Call, ServerConnection, Trouble
from immpd.protocol.errors import OutOfStep
from immpd.protocol.registry import COMMON_CODES, Command
from immpd.protocol.words import WORDS
from immpd.server.settings import Bounds
from immpd.service.settings import Authentication, Limits

DOMAIN = "example.org"
_KINDS = {"limits": Limits, "bounds": Bounds, "authentication": Authentication}
_BESIDE = (Ack, Cancel, Quit)
_REPLY = re.compile(r"(?:([A-Za-z0-9\-_.]{1,32}): )?([0-9]{3})(-?)(?: (.*))?", re.DOTALL)
_WORD = re.compile(r"\[([A-Z0-9-]+)\]")
_BLOCK = re.compile(r"\S+ \S+ ([0-9]+)(?: .*)?")


def _settings(text: str) -> dict[str, Any]:
    """``limits.max_message = 65536, bounds.pipelines = 4`` as the fields of a configuration."""
    tables: dict[str, dict[str, Any]] = {}
    for setting in filter(None, text.split(",")):
        name, _, value = setting.partition("=")
        table, _, key = name.strip().partition(".")
        tables.setdefault(table, {})[key] = msgspec.json.decode(value)
    return {table: msgspec.convert(values, _KINDS[table]) for table, values in tables.items()}


class Stage:
    """A server and the connections to it."""

    def __init__(self, folder: Path, settings: str) -> None:
        self.folder = folder
        self.settings = settings
        self.serving: Serving
        self.connections: dict[str, Connection] = {}
        self._stack = AsyncExitStack()

    async def open(self, accounts: tuple[str, ...]) -> None:
        """Start the server with these accounts."""
        self.serving = await self._stack.enter_async_context(
            serving(self.folder, domains=(DOMAIN,), **_settings(self.settings))
        )
        for name in accounts:
            await self.serving.add_account(name)

    async def connect(self, name: str, *, direct: bool = False, operator: bool = False) -> "Connection":
        """A new connection."""
        if operator:
            reader, writer = await asyncio.open_unix_connection(str(self.serving.folder / SOCKET))
        elif direct:
            context = client_context()
            context.set_alpn_protocols([ALPN])
            reader, writer = await asyncio.open_connection(
                *self.serving.listen_tls, ssl=context, server_hostname=DOMAIN
            )
        else:
            reader, writer = await asyncio.open_connection(*self.serving.listen)
        self.connections[name] = Connection(name, reader, writer)
        return self.connections[name]

    async def close(self) -> None:
        """Hang up and stop the server."""
        for connection in self.connections.values():
            await connection.close()
        await self._stack.aclose()


class Reply:
    """One line of the server, with its octets where it is the head of a block."""

    def __init__(self, line: str, octets: bytes | None = None) -> None:
        self.line = line
        self.octets = octets


class Connection:
    """A client's connection. It knows which command each reply belongs to and which codes that may have."""

    def __init__(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.name = name
        self.reader = reader
        self.writer = writer
        self.ended = False
        self.seen: set[tuple[str, Code]] = set()
        self.exchange: scram.ClientExchange | None = None
        self._said = ServerConnection()
        self._waiting: dict[str | None, deque[Command | None]] = {}
        self._beside: list[Command] = []
        self._rules: dict[tuple[str | None, str], list[str]] = {}
        """Of replies that have begun: the grammar's rules of their lines."""
        self._unread: dict[str, deque[Reply]] = {}
        self._greeting = True
        self.replies = Reader()
        """The same lines once more, read from the rules alone."""

    # --- saying

    async def send(self, octets: bytes) -> None:
        """Say it, and remember which commands are to be answered."""
        events = self._said.receive_data(octets)
        while events:
            for event in events:
                if type(event) is Call:
                    self.replies.said(event.pid or "", event.command.name, getattr(event.request, "pid", ""))
                elif type(event) is Trouble and not isinstance(event.error, OutOfStep):
                    self.replies.said(event.pid or "", "unreadable")
                if type(event) is Call and event.command.request in _BESIDE:
                    self._beside.append(event.command)
                elif type(event) is Call:
                    self._waiting.setdefault(event.pid, deque()).append(event.command)
                elif type(event) is Trouble:
                    self._waiting.setdefault(event.pid, deque()).append(None)
            events = self._said.resume()
        self.writer.write(octets)
        try:
            await self.writer.drain()
        except ConnectionError:
            pass  # the server hung up: what it said before is still to be read

    async def handshake(self) -> None:
        """TLS, as UPGRADE promised."""
        self._said = ServerConnection()
        self._waiting.clear()
        self._greeting = True
        self.replies = Reader()
        async with asyncio.timeout(PATIENCE):
            await self.writer.start_tls(client_context(), server_hostname=DOMAIN)

    @property
    def binding(self) -> bytes:
        """tls-server-end-point of this connection."""
        tls: ssl.SSLObject = self.writer.get_extra_info("ssl_object")
        certificate = tls.getpeercert(True)
        assert certificate is not None
        return server_end_point(certificate)

    # --- hearing

    async def next(self, pid: str) -> Reply | None:
        """The next line in a pipeline (empty: the default one), None where the server hung up before it."""
        while True:
            queue = self._unread.get(pid)
            if queue:
                return queue.popleft()
            if not await self._read():
                return None

    async def _read(self) -> bool:
        """Read one line, with its block."""
        try:
            async with asyncio.timeout(PATIENCE):
                octets = await self.reader.readline()
        except ConnectionError:
            octets = b""
        if not octets:
            self.ended = True
            return False
        assert octets.endswith(b"\n"), f"the server hung up in the middle of a line: {octets!r}"
        line = octets[:-1].decode()
        match = _REPLY.fullmatch(line)
        assert match is not None, f"this is no reply: {line!r}"
        pid, number, dash, text = match.groups()
        block = None
        if number == "255" and dash:
            head = _BLOCK.fullmatch(text)
            assert head is not None, f"this is no head of a block: {line!r}"
            length = int(head[1])
            assert length <= 65_536, f"a block of {length} octets"
            block = await self.reader.readexactly(length)
            assert await self.reader.readexactly(1) == b"\n", "a block ends with a line feed"
        self._attribute(pid, int(number), bool(dash), line)
        self.replies.heard(line)
        self._unread.setdefault(pid or "", deque()).append(Reply(line, block))
        return True

    def _attribute(self, pid: str | None, number: int, dash: bool, line: str) -> None:
        """Whose reply it is; fails where no command waits for such a code."""
        code = describe(number)
        assert code is not None, f"the code is in no table: {line}"
        final = code.final and not dash
        if code >= Code.BAD_VALUE:
            word = _WORD.match(line.partition(f"{number} ")[2])
            assert word is not None, f"an error begins with a word in brackets: {line}"
            codes, _ = WORDS.get(word[1], ((), ""))
            close = code is Code.OUT_OF_STEP and {Code.SYNTAX, Code.UNKNOWN, Code.BAD_VALUE} & set(codes)
            assert code in codes or close, f"the word is not in the table with this code: {line}"
        if self._greeting and code in (Code.GREETING, Code.UPGRADE_METHOD, Code.CAPABILITIES):
            self._greeting = not (code is Code.CAPABILITIES and final)
            return
        if code in (Code.OUT_OF_STEP, Code.BOUND, Code.SHUTDOWN):
            return
        waiting = self._waiting.get(pid) or deque()
        for command in (*list(waiting)[:1], *self._beside):
            if code in COMMON_CODES or (command is not None and code in command.codes):
                self.seen.add((command.name if command is not None else "", code))
                if command is not None:
                    self._follow(pid, command, rule_of_line(line), final)
                if final and command is not None and command in self._beside:
                    self._beside.remove(command)
                elif final:
                    waiting.popleft()
                return
        names = [command.name if command is not None else "an unreadable line" for command in waiting]
        raise AssertionError(f"no command that waits ({names or 'none'}) may be answered with: {line}")

    def _follow(self, pid: str | None, command: Command, rule: str, final: bool) -> None:
        """Whether the lines of a reply follow each other as the grammar says."""
        rules = self._rules.setdefault((pid, command.name), [])
        rules.append(rule)
        if final:
            del self._rules[(pid, command.name)]
            assert is_reply(command, rules), f"{command.name} is not answered with {' '.join(rules)}\n{HINT}"

    def left(self) -> list[str]:
        """Lines that came and that nobody asked about."""
        return [reply.line for queue in self._unread.values() for reply in queue]

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (OSError, ssl.SSLError):
            pass  # the server was faster
