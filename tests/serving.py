"""A server in this process for tests, and the raw client that talks to it.

Rules: the server is the real one, wired by ``immpd.app``, on real sockets with real TLS; only time is
ours; the client is the standard library's and knows nothing of our parser.
"""

import asyncio
import itertools
import ssl
import struct
import sys
import traceback
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from immpd.app import compose
from immpd.app.configuration import Configuration
from immpd.app.folder import SOCKET
from immpd.bus import Bus
from immpd.model.imid import parse_imid
from immpd.net.certificates import client_context, server_end_point
from immpd.net.local_socket import connect_local
from immpd.protocol import scram
from immpd.protocol.commands import AccountAdd
from immpd.service.session import Session
from immpd.store.room import free_on
from immpd.store.settings import Storage

DOMAIN = "a.test"
NOW = 1_767_225_600_000
"""2026-01-01T00:00:00Z, where a ManualClock begins, in milliseconds."""
H = bytes.fromhex("8f1d3c5ba7e9024688ace013579bdf02468ace13579bdf0fedcba9876543210f")
"""What every account's password became: no test pays for PBKDF2."""
ITERATIONS = 600_000
PATIENCE = 10.0
"""Seconds of real time after which a silent server is a failed test."""
_accounts = itertools.count(1)


class ManualClock:
    """Time stands still until a test advances it."""

    def __init__(self, now: int = NOW) -> None:
        self._now = now
        self._monotonic = 1000.0
        self._sleepers: list[tuple[float, float, asyncio.Future[None]]] = []
        """(until when, for how long, whom to wake)"""
        self._slept = asyncio.Event()

    def now(self) -> int:
        """Milliseconds since 1970."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Until the test has advanced the clock so far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._monotonic + seconds, seconds, future))
        self._slept.set()
        await future

    async def wait(self, future: "asyncio.Future[None]", seconds: float | None) -> None:
        """Until the future is done, or the test has advanced the clock so far."""
        if seconds is not None:
            self._sleepers.append((self._monotonic + seconds, seconds, future))
            self._slept.set()
        await future

    def advance(self, seconds: float) -> None:
        """Let time pass; who slept so long wakes up."""
        self._monotonic += seconds
        self._now += round(seconds * 1000)
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._monotonic]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self._monotonic]
        for _, _, future in sorted(due, key=lambda sleeper: sleeper[0]):
            if not future.done():
                future.set_result(None)

    def set(self, now: int) -> None:
        """Somebody sets the clock to this time, milliseconds since 1970; nobody wakes up of it."""
        self._now = now

    def sleeping(self, at_most: float = 30.0) -> list[float]:
        """For how long those sleep who sleep at most so many seconds (most jobs sleep longer)."""
        return sorted(long for _, long, future in self._sleepers if long <= at_most and not future.done())

    async def until_sleeping(self, count: int = 1, at_most: float = 30.0) -> None:
        """Until so many sleep, each for at most so many seconds."""
        async with asyncio.timeout(PATIENCE):
            while len(self.sleeping(at_most)) < count:
                self._slept.clear()
                await self._slept.wait()


class RecordingLog:
    """A log that keeps what it is told; an error that no test expected fails the test (conftest.py)."""

    everything: list[tuple[str, str, dict[str, Any]]]
    """(level, event, fields) since the server began."""

    def __init__(self) -> None:
        self.everything = []
        self.errors: list[str] = []

    def _say(self, level: str, event: str, fields: dict[str, Any]) -> None:
        self.everything.append((level, event, fields))
        if level in ("error", "critical"):
            error = fields.get("exc_info")
            if error is True:
                error = sys.exc_info()[1]
            told = "".join(traceback.format_exception(error)) if isinstance(error, BaseException) else ""
            self.errors.append(f"{event} {fields}\n{told}")

    def debug(self, event: str, **fields: Any) -> None:
        self._say("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._say("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._say("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._say("error", event, fields)

    def take_errors(self) -> list[str]:
        """The errors since the last call; a test that provokes some takes them."""
        taken, self.errors = self.errors, []
        return taken

    def events(self, event: str) -> list[dict[str, Any]]:
        """The fields of every entry with this event."""
        return [fields for _, name, fields in self.everything if name == event]


class Account(msgspec.Struct, frozen=True):
    """An account whose password became ``h``; as text it is its address."""

    address: str
    h: bytes = H

    def __str__(self) -> str:
        return self.address


class Serving:
    """A server that serves in this process."""

    def __init__(self, running: compose.Running, folder: Path, clock: Any, log: RecordingLog) -> None:
        self.running = running
        self.folder = folder
        self.clock = clock
        self.log = log
        self.services = running.services
        self.server = running.server
        self.domain = min(running.services.domains)
        self.fingerprint = running.fingerprint
        self.listen = (running.listen[0].host, running.listen[0].port)
        """Host and port of the listener that begins in clear."""
        self.listen_tls = (running.listen_tls[0].host, running.listen_tls[0].port)
        """Host and port of the listener that speaks TLS from the first octet."""
        self.operator: Session = compose.operator_session(running.services)
        """Speaks as the operator without a connection: ``await server.operator.call(AccountList())``."""

    def pass_time(self, seconds: float) -> None:
        """Advance the clock and sweep the conversations, as the server does once a second."""
        self.clock.advance(seconds)
        self.server.sweep()

    async def add_account(self, name: str, *, secret: bool = True, h: bytes = H, rounds: int = ITERATIONS) -> Account:
        """An account ``name`` (at the first domain, or with its own @domain) whose password became ``h``."""
        address = name if "@" in name else f"{name}@{self.domain}"
        salt = self.services.desk.salt(address)
        made = scram.verifier_from_h(h, salt, rounds)
        await self.operator.call(
            AccountAdd(
                address=parse_imid(address),
                stored=made.stored_key,
                server=made.server_key,
                i=rounds,
                secret=h if secret else None,
            )
        )
        return Account(address, h)

    async def unique_account(self, name: str = "alice", *, secret: bool = True) -> Account:
        """An account that no other test of the process has, named ``name-<number>``."""
        # Digits 0 and 1 look like letters; such names would be refused as confusable.
        digits = oct(next(_accounts))[2:].translate(str.maketrans("01234567", "23456789"))
        local, at, domain = name.partition("@")
        return await self.add_account(f"{local}-{digits}{at}{domain}", secret=secret)


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    domains: tuple[str, ...] = (DOMAIN,),
    clock: Any = None,
    log: RecordingLog | None = None,
    free: Callable[[Path], int] = free_on,
    bus: Bus | None = None,
    **settings: Any,
) -> AsyncIterator[Serving]:
    """A server on free ports of 127.0.0.1 over ``folder``; ``settings`` are fields of Configuration.

    ``free`` says how many octets its disk has; ``bus`` carries its news. It may be opened again over the same folder.
    The clock is a ManualClock unless another is given.
    """
    log = log or RecordingLog()
    clock = clock or ManualClock()
    settings.setdefault("storage", Storage(keep_free=0, reserve=0))  # no test depends on the disk that it runs on
    configuration = Configuration(domains=domains, listen=("127.0.0.1:0",), listen_tls=("127.0.0.1:0",), **settings)
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(
        lambda _, context: log.error("in the loop: " + context["message"], exc_info=context.get("exception"))
    )
    running = await compose.start(folder, configuration, log, clock, free, bus)
    try:
        yield Serving(running, folder, clock, log)
    finally:
        await running.stop()
        loop.set_exception_handler(before)


class Block(msgspec.Struct, frozen=True):
    """One 255 block: the message and part it belongs to, and its octets."""

    message: str
    part: str
    octets: bytes
    more: bool


class Answer(msgspec.Struct, frozen=True):
    """One whole reply of one pipeline."""

    lines: tuple[str, ...]
    """Every line as it came, without the pipeline's name (heads of blocks too)."""
    blocks: tuple[Block, ...] = ()

    @property
    def code(self) -> int:
        """The code of the final line."""
        return int(self.lines[-1][:3])

    @property
    def text(self) -> str:
        """What follows the code on the final line."""
        return self.lines[-1][4:]

    @property
    def word(self) -> str:
        """The bracket word of an error, else empty."""
        return self.text[1:].partition("]")[0] if self.text.startswith("[") else ""

    @property
    def rows(self) -> tuple[str, ...]:
        """The texts of the dashed lines that are no heads of blocks."""
        return tuple(line[5:] for line in self.lines if line[3:4] == "-" and not line.startswith("255"))

    @property
    def fields(self) -> Mapping[str, str]:
        """The unquoted ``name=value`` words of the final line."""
        return dict(word.split("=", 1) for word in self.text.split(" ") if "=" in word)

    def octets(self, part: str | None = None) -> bytes:
        """All octets of the blocks (of one part), joined."""
        return b"".join(block.octets for block in self.blocks if part is None or block.part == part)

    def __str__(self) -> str:
        return "\n".join(self.lines)


class Ended(Exception):
    """The server closed the connection; ``lines`` is what it had said before in the unfinished reply."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(f"The server closed the connection after {lines}")
        self.lines = lines


class Talk:
    """A raw conversation: text out, whole replies in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        """The octets as they come, for who does not want whole replies."""
        self.writer = writer
        self.greeting: Answer
        """The last greeting."""
        self.certificate = b""
        """The certificate that the server showed, DER."""
        self._lines: dict[str, list[str]] = defaultdict(list)
        self._blocks: dict[str, list[Block]] = defaultdict(list)
        self._ready: dict[str, deque[Answer]] = defaultdict(deque)

    # --- beginnings

    @classmethod
    async def clear(cls, server: Serving) -> "Talk":
        """A connection in clear that has read the first greeting."""
        return await cls._greeted(*await asyncio.open_connection(*server.listen))

    @classmethod
    async def direct(cls, server: Serving, context: ssl.SSLContext | None = None) -> "Talk":
        """TLS from the first octet."""
        streams = await asyncio.open_connection(
            *server.listen_tls, ssl=context or client_context(), server_hostname=server.domain
        )
        talk = await cls._greeted(*streams)
        talk._note_certificate()
        return talk

    @classmethod
    async def operating(cls, server: Serving) -> "Talk":
        """The operator's socket."""
        return await cls._greeted(*await asyncio.open_unix_connection(sock=connect_local(server.folder / SOCKET)))

    @classmethod
    async def _greeted(cls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> "Talk":
        talk = cls(reader, writer)
        talk.greeting = await talk.reply()
        return talk

    async def upgrade(self, hostname: str | None = DOMAIN, context: ssl.SSLContext | None = None) -> "Talk":
        """UPGRADE TLS, the handshake with that SNI, and the second greeting."""
        self.send("UPGRADE TLS")
        answer = await self.reply()
        assert answer.code == 204, answer
        await self.handshake(hostname, context)
        self.greeting = await self.reply()
        return self

    async def handshake(self, hostname: str | None = DOMAIN, context: ssl.SSLContext | None = None) -> None:
        """Only the handshake of TLS."""
        await self.writer.start_tls(context or client_context(), server_hostname=hostname)
        self._note_certificate()

    def _note_certificate(self) -> None:
        tls = self.writer.get_extra_info("ssl_object")
        self.certificate = tls.getpeercert(True)

    async def login(self, account: Account, device: str = "", h: bytes | None = None) -> Answer:
        """AUTH SCRAM-SHA-256-PLUS with the account's h (or another); the answer to AUTH RESPONSE."""
        exchange = scram.ClientExchange(
            account.address, scram.PLUS, server_end_point(self.certificate), scram.new_nonce
        )
        first = scram.encode_message(exchange.first())
        answer = await self.ask(
            f'AUTH SCRAM-SHA-256-PLUS {first} "{device}"' if device else f"AUTH {scram.PLUS} {first}"
        )
        if answer.code != 304:
            return answer
        exchange.challenge(scram.decode_message(answer.text))
        final = scram.encode_message(exchange.final(account.h if h is None else h))
        answer = await self.ask(f"AUTH RESPONSE {final}")
        if answer.code == 210:
            exchange.verify(scram.decode_message(answer.text.rpartition("v=")[2]))
        return answer

    # --- talking

    def send(self, text: str | bytes) -> None:
        """Send; text gets a line feed at its end unless it has one, octets go as they are."""
        if isinstance(text, str):
            text = (text if text.endswith("\n") else text + "\n").encode()
        self.writer.write(text)

    async def line(self) -> str:
        """The next line as it comes, without its line feed; raises Ended at the end."""
        try:
            async with asyncio.timeout(PATIENCE):
                octets = await self.reader.readline()
        except (ConnectionError, ssl.SSLError):
            octets = b""
        if not octets.endswith(b"\n"):
            raise Ended([line for lines in self._lines.values() for line in lines])
        return octets[:-1].decode()

    async def reply(self, pid: str = "*") -> Answer:
        """The next whole reply of a pipeline; those of others are kept until they are asked for."""
        while not self._ready[pid]:
            await self._step()
        return self._ready[pid].popleft()

    async def row(self, pid: str = "*") -> str:
        """The next line of a pipeline whose reply has not ended, such as an event of WATCH: its text."""
        while not self._lines[pid]:
            await self._step()
            if self._ready[pid]:
                raise AssertionError(f"The reply has ended: {self._ready[pid][0]}")
        return self._lines[pid].pop(0)[5:]

    async def replies(self, count: int, pid: str = "*") -> list[Answer]:
        """The next replies of a pipeline."""
        return [await self.reply(pid) for _ in range(count)]

    async def ask(self, text: str | bytes, pid: str = "*") -> Answer:
        """Send one command and read its reply."""
        self.send(text)
        return await self.reply(pid)

    async def _step(self) -> None:
        line = await self.line()
        pid = "*"
        head, colon, rest = line.partition(": ")
        if colon and " " not in head and not (head[:3].isdecimal() and head[3:4] in ("-", "")):
            pid, line = head, rest
        assert line[:3].isdecimal(), f"This is no reply line: {line!r}"
        assert line[3:4] in (" ", "-", ""), f"This is no reply line: {line!r}"
        self._lines[pid].append(line)
        if line.startswith("255-"):
            _, message, part, length, *more = line.split(" ")
            octets = await self.reader.readexactly(int(length) + 1)
            assert octets[-1:] == b"\n", "A block ended without a line feed"
            self._blocks[pid].append(Block(message, part, octets[:-1], "more=1" in more))
        if _is_final(line):
            self._ready[pid].append(Answer(tuple(self._lines.pop(pid)), tuple(self._blocks.pop(pid, ()))))

    async def rest(self) -> list[str]:
        """Every line until the server closes."""
        lines = []
        try:
            while True:
                lines.append(await self.line())
        except Ended:
            return lines

    async def deliver(self, *to: object, body: bytes = b"Hello", subject: str = "", more: str = "") -> Answer:
        """A message of one text part to these recipients, pipelined; the answer to DONE."""
        recipients = " ".join(f"TO {one}" for one in to)
        about = f' SUBJECT "{subject}"' if subject else ""
        self.send(f"DELIVER {recipients}{about} {more}".rstrip())
        self.send(f"DATA body TYPE text/plain LENGTH {len(body)} +CONTENT\n".encode() + body + b"DONE\n")
        return (await self.replies(3))[2]

    async def close(self) -> None:
        """Hang up; also safe when the server did."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (ConnectionError, ssl.SSLError):
            pass

    def reset(self) -> None:
        """Hang up with a TCP reset, as a machine that lost its power seems to."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SOL_SOCKET, SO_LINGER
        self.writer.transport.abort()


def _is_final(line: str) -> bool:
    """docs/protocol.md, "Replies": undashed, and 101, 303, 304, 2xx but 271, 4xx or 7xx."""
    code = line[:3]
    if line[3:4] == "-":
        return False
    return code in ("101", "303", "304") or (code[0] in "247" and code != "271")
