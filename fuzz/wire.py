"""Hostile clients on real sockets, several at once, with a peaceful one beside them (docs/protocol.md throughout)."""

import asyncio
import json
import random
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
from tests.process import ServerProcess
from tests.serving import Account, Ended, Talk

from immpd.client import Client
from immpd.protocol.states import State

from .expecting import Expected
from .finding import Found, Run, smallest
from .hostile import ACCOUNTS, cut, program

PEACEFUL_ONE = "ann@demo.test"
AT_ONCE = 6
"""Hostile connections beside each other."""
PATIENCE = 60.0
"""Seconds until a hostile connection must have its answers: three failed log-ins are delayed."""
PEACEFUL = 10.0
"""Seconds in which the peaceful client must have each answer."""
MOST_MEMORY = 400 << 20
"""Octets of the server's resident memory."""
LAST = b"\n\n\nQUIT\n"
"""Ends a line, base64 lines, and the session, where the sides are in step."""


class Trial(msgspec.Struct, frozen=True):
    """One hostile connection: what is sent in which state, and whether it waits for its answers."""

    state: State
    octets: bytes
    seed: int
    stays: bool

    @classmethod
    def chosen(cls, seed: int) -> "Trial":
        """What follows from a seed."""
        chosen = random.Random(seed)
        state = chosen.choices((State.CLEAR, State.UNAUTHENTICATED, State.USER), (1, 2, 5))[0]
        return cls(state, program(chosen), seed, chosen.random() < 0.9)


class Arena:
    """A server, the accounts on it, and what its log has said so far."""

    domain = "demo.test"

    def __init__(self, folder: Path) -> None:
        self.process = ServerProcess(folder)
        self.accounts: list[Account] = []
        self.peaceful: Client
        self._log_read = 0
        self._stack = AsyncExitStack()

    @property
    def listen(self) -> tuple[str, int]:
        """Host and port where connections begin in clear."""
        host, _, port = self.process.listen.rpartition(":")
        return host, int(port)

    @property
    def listen_tls(self) -> tuple[str, int]:
        """Host and port where they are TLS from the first octet."""
        host, _, port = self.process.listen_tls.rpartition(":")
        return host, int(port)

    async def begin(self) -> None:
        """Make the accounts and start the server."""
        self.process.set_up(*ACCOUNTS, PEACEFUL_ONE)
        await self.process.start()
        for address in ACCOUNTS:
            async with self.process.client(address) as me:
                assert me.secret is not None
                self.accounts.append(Account(address, me.secret.h))
        self.peaceful = await self._stack.enter_async_context(self.process.client(PEACEFUL_ONE))

    async def attack(self, trial: Trial) -> None:
        """One hostile connection from beginning to end; raises Found."""
        chosen = random.Random(trial.seed)
        talk = await (Talk.clear(self) if trial.state is State.CLEAR else Talk.direct(self))
        try:
            if trial.state is State.USER:
                answer = await talk.login(chosen.choice(self.accounts), chosen.choice(("", "phone")))
                assert answer.code == 210, answer
            expected = Expected(trial.state, trial.octets + LAST)
            async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
                writing = group.create_task(self._send(talk, [*cut(trial.octets, chosen), LAST]))
                if trial.stays and expected.ends:
                    await self._read(talk, expected)
                else:
                    await writing  # and away, in the middle of whatever it is
        except TimeoutError:
            raise Found(f"no answer within {PATIENCE:.0f} s to {expected.pending[:10]}") from None
        except ExceptionGroup as group_of:
            raise group_of.exceptions[0] from None
        finally:
            talk.writer.transport.abort()

    @staticmethod
    async def _send(talk: Talk, pieces: list[bytes]) -> None:
        try:
            for piece in pieces:
                talk.writer.write(piece)
                await talk.writer.drain()
        except OSError:
            pass  # it has hung up; what it said before is what counts

    @staticmethod
    async def _read(talk: Talk, expected: Expected) -> None:
        reset = False
        try:
            while line := await talk.reader.readline():
                if expected.upgrades and line[:1] == b"\x15":
                    return  # an alert of TLS, in place of the handshake
                await talk.reader.readexactly(expected.line(line))
                await asyncio.sleep(0)  # thousands may lie there already, and the peaceful client is timed
        except OSError:
            reset = True
        except ValueError as error:
            raise Found(f"a reply line without end: {error}") from None
        except asyncio.IncompleteReadError:
            raise Found("hung up in the middle of a block") from None
        expected.end(reset=reset)

    async def peace(self, number: int) -> None:
        """What a peaceful client does meanwhile: send to itself, read, delete."""
        subject = f"peace {number}"
        try:
            for work in (self.peaceful.noop, self._mail_to_myself):
                async with asyncio.timeout(PEACEFUL):
                    await (work() if work is self.peaceful.noop else self._mail_to_myself(subject))
        except TimeoutError:
            raise Found(f"the peaceful client had no answer in {PEACEFUL:.0f} s") from None

    async def _mail_to_myself(self, subject: str) -> None:
        me = self.peaceful
        await me.send(PEACEFUL_ONE, subject, "hello " * 50)
        rows = [row async for row in me.index("/INBOX") if row.subject == subject]
        if len(rows) != 1 or rows[0].size != 300:
            raise Found(f"the peaceful client sees {rows} of its message")
        await me.delete(f"/INBOX#{rows[0].id}", purge=True)

    def look(self) -> None:
        """The process stands, its log tells of no failure, its memory is bounded; raises Found."""
        with self.process.log.open("rb") as log:
            log.seek(self._log_read)
            said = log.read()
        self._log_read += len(said)
        bad = [line for line in said.splitlines() if not line.startswith(b"{") or _level(line) in ("error", "critical")]
        if bad or not self.process.running:
            raise Found(f"the server {'logged' if bad else 'died'}: {b' '.join(bad).decode()[:5000]}")
        assert self.process.process is not None
        pages = int(Path(f"/proc/{self.process.process.pid}/statm").read_text().split()[1])
        if pages * 4096 > MOST_MEMORY:
            raise Found(f"the server holds {pages >> 8} MiB")

    async def end(self) -> None:
        """The server stops when it is asked to, and its store is sound; raises Found."""
        await self._stack.aclose()
        code = await self.process.stop()
        told = self.process.command("check")
        if code or "sound" not in told:
            raise Found(f"the server ended with {code}; check says {told}")


def _level(line: bytes) -> str:
    return str(json.loads(line).get("level"))


async def _seen(arena: Arena, trial: Trial) -> Found | None:
    """What one connection shows where it is alone."""
    try:
        if not arena.process.running:
            await arena.process.start()
        await arena.attack(trial)
        arena.look()
    except Found as found:
        return found
    except Ended:  # it died, and takes no connection now
        return None
    return None


async def _made_small(run: Run, arena: Arena, trial: Trial, found: Found) -> Found:
    """The fewest octets of a trial that still show it."""
    run.say(f"found with {len(trial.octets)} octets, making them fewer: {found}")

    async def fails(octets: bytes) -> bool:
        seen = await _seen(arena, msgspec.structs.replace(trial, octets=octets))
        return seen is not None and str(seen).partition(":")[0] == str(found).partition(":")[0]

    octets = await smallest(trial.octets, fails) if await fails(trial.octets) else trial.octets
    return Found(f"{trial.state.name}, {trial.seed}: {found}", octets)


async def wire(run: Run) -> str:
    """Every reply is one that the protocol has for that command; nobody else is disturbed; nothing is left behind."""
    sent = trials = 0
    with tempfile.TemporaryDirectory() as folder:
        arena = Arena(Path(folder))
        try:
            await arena.begin()
            for number in run.rounds():
                several = [Trial.chosen(run.chosen.getrandbits(48)) for _ in range(AT_ONCE)]
                outcomes = await asyncio.gather(
                    *[arena.attack(one) for one in several], arena.peace(number), return_exceptions=True
                )
                for trial, outcome in zip((*several, None), outcomes, strict=True):
                    if isinstance(outcome, Found):
                        raise outcome if trial is None else await _made_small(run, arena, trial, outcome)
                    if outcome is not None:
                        raise outcome
                try:
                    arena.look()
                except Found as found:
                    for trial in several:
                        if await _seen(arena, trial) is not None:
                            raise await _made_small(run, arena, trial, found) from None
                    raise
                sent += sum(len(one.octets) for one in several)
                trials += AT_ONCE
            await arena.end()
        finally:
            if arena.process.running:
                await arena.process.kill()
    return f"{trials} hostile connections, {sent >> 20} MiB"
