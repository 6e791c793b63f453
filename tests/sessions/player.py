"""Plays a written conversation against a server and compares every line.

What may stand between dashes:

    --- settings: limits.max_message = 65536 ---       before anything else
    --- alice connects ---                             the server greets in clear
    --- alice connects with TLS ---                    to the listener that speaks TLS from the first octet
    --- the operator connects ---                      to the operator's socket; the connection's name is operator
    --- handshake ---                                  TLS, on the connection that was named last
    --- alice is secured ---                           all of that up to the greeting inside TLS
    --- alice logs in ---                              … and SCRAM
    --- alice logs in on phone ---                     … with a device label
    --- desk: alice logs in ---                        … and the connection is called desk
    --- bob sends alice "Subject" "text" as <m> ---    a message; m is its id in Alice's mailbox
    --- dave has an account ---                        beside alice, bob and carol, who always have one
    --- 61 seconds pass ---
    --- alice hangs up ---
    --- the server hangs up ---                        and said nothing more

Rules: lines are compared in order within a pipeline, as the protocol promises, and in any order between
pipelines; a code that its command does not declare fails; a line that nobody expects fails.
"""

import hashlib
import re
from base64 import b64encode
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.serving import ITERATIONS, H
from tests.sessions.script import KINDS, PLACE, Script, Step
from tests.sessions.stage import DOMAIN, Connection, Stage

from immpd.protocol import scram
from immpd.protocol.codes import Code
from immpd.protocol.secret import secret_key

NEW_H = hashlib.sha256(b"what another password became").digest()
VERIFIERS = {h: scram.verifier_from_h(h, bytes(16), ITERATIONS) for h in (H, NEW_H)}

_PIPELINE = re.compile(r"([A-Za-z0-9\-_.]{1,32}): [0-9]{3}")
_READY = re.compile(r"(?:[^ ]+: )?271 .*")
_STEPS = {
    "settings": re.compile(r"settings: (.*)"),
    "connect": re.compile(r"(\w+) connects"),
    "connect_tls": re.compile(r"(\w+) connects with TLS"),
    "operator": re.compile(r"the operator connects"),
    "handshake": re.compile(r"handshake"),
    "secured": re.compile(r"(\w+) is secured"),
    "log_in": re.compile(r"(?:(\w+): )?(\w+) logs in(?: on (\w+))?"),
    "send": re.compile(r'(\w+) sends (\w+) "([^"]*)"(?: "([^"]*)")?(?: as <([a-z0-9-]+)>)?'),
    "account": re.compile(r"(\w+) has an account"),
    "pass": re.compile(r"([0-9]+) seconds pass"),
    "hang_up": re.compile(r"(\w+) hangs up"),
    "hung_up": re.compile(r"the server hangs up"),
}
ACCOUNTS = ("alice", "bob", "carol")


class Player:
    """One conversation while it is played."""

    def __init__(self, script: Script, folder: Path) -> None:
        self.script = script
        first = script.steps[0] if script.steps else None
        found = _STEPS["settings"].fullmatch(first.text) if first is not None and first.side == "-" else None
        self.stage = Stage(folder, found[1] if found is not None else "")
        self.names: dict[str, str] = {}
        self.current = ""
        self.pending: list[bytes] = []

    async def play(self) -> set[tuple[str, Code]]:
        """Play it all; returns which command was answered with which code. AssertionError names the line."""
        await self.stage.open(ACCOUNTS)
        try:
            await self.go_on(self.script)
            await self.end()
        finally:
            await self.stage.close()
        return {pair for connection in self.stage.connections.values() for pair in connection.seen}

    async def go_on(self, script: Script) -> None:
        """Play the steps of a script where the last one ended."""
        steps = script.steps
        if not self.stage.connections and not any(step.side == "-" and _opens(step.text) for step in steps):
            await self.log_in("alice", "alice", None)
        at = 0
        while at < len(steps):
            step = steps[at]
            at += 1
            try:
                octets: list[Step] = []
                while step.side == "S" and at < len(steps) and steps[at].side == "S" and steps[at].raw:
                    octets.append(steps[at])
                    at += 1
                followed = at < len(steps) and steps[at].side == "C" and steps[at].who in ("", step.who)
                await self.step(step, octets, followed)
            except Exception as error:
                place = f"{script.path}:{step.number}: {step.side} {step.text[:200]}"
                raise AssertionError(f"{place}\n  {type(error).__name__}: {error}") from error

    async def step(self, step: Step, octets: list[Step], followed: bool) -> None:
        if step.who:
            self.current = step.who
        if step.side == "-":
            await self.happen(step.text)
        elif step.side == "C":
            said = self.fill(step.text)
            self.pending.append(said.encode("latin-1") if step.raw else said.encode() + b"\n")
            if not followed:
                await self.connection.send(b"".join(self.pending))
                self.pending = []
        else:
            assert not step.raw, "octets of a block stand below its 255"
            await self.hear(step.text, octets)

    @property
    def connection(self) -> Connection:
        return self.stage.connections[self.current]

    # --- lines

    async def hear(self, wanted: str, octets: list[Step]) -> None:
        """Compare the next line of its pipeline."""
        connection = self.connection
        match = _PIPELINE.match(wanted)
        pid = match[1] if match else ""
        reply = await connection.next(pid)
        if reply is not None and _READY.fullmatch(reply.line) and not _READY.fullmatch(wanted):
            # Whether the server has to wait for octets depends on how they were cut on their way.
            reply = await connection.next(pid)
        if reply is None:
            raise AssertionError(f"the server hung up; unread: {connection.left()}")
        self.compare(wanted, reply.line)
        if reply.octets is not None:
            self.compare("".join(step.text for step in octets), reply.octets.decode("latin-1"))
        else:
            assert not octets, "this line is no head of a block"

    def compare(self, wanted: str, got: str) -> None:
        """Whether what came is what was written; names what was left open."""
        pattern = ""
        at = 0
        named: list[tuple[str, str]] = []
        for place in PLACE.finditer(wanted):
            kind, name = place.groups()
            pattern += re.escape(wanted[at : place.start()])
            at = place.end()
            groups = {name: number for number, (_, name) in enumerate(named, 1)}
            if (name or kind) in groups:
                pattern += f"(?:\\{groups[name or kind]})"
            elif kind in KINDS:
                if name is not None and name in self.names:
                    pattern += re.escape(self.names[name])
                else:
                    pattern += f"({KINDS[kind]})"
                    named.append((kind, name or ""))
            elif name is None and kind in self.names:
                pattern += re.escape(self.names[kind])
            else:
                pattern += re.escape(place[0])
        match = re.fullmatch(pattern + re.escape(wanted[at:].rstrip(" ")), got.rstrip(" "), re.DOTALL)
        if match is None:
            raise AssertionError(f"expected {self.known(wanted)[:2000]!r}\n  got      {got[:2000]!r}")
        for (kind, name), value in zip(named, match.groups(), strict=True):
            if name:
                self.names[name] = value
            self.understand(kind, value)

    def known(self, text: str) -> str:
        return PLACE.sub(lambda place: self.names.get(place[2] or place[1], place[0]), text)

    def understand(self, kind: str, value: str) -> None:
        """SCRAM's messages from the server."""
        exchange = self.connection.exchange
        if kind == "server-first":
            assert exchange is not None
            exchange.challenge(scram.decode_message(value))
        elif kind == "server-final":
            assert exchange is not None
            exchange.verify(scram.decode_message(value))

    def fill(self, text: str) -> str:
        """What the client says, with its names and proofs."""

        def value(place: re.Match[str]) -> str:
            kind, name = place.groups()
            if name is None and kind in self.names:
                return self.names[kind]
            made = self.proof(kind, name, text)
            return place[0] if made is None else made

        return PLACE.sub(value, text)

    def proof(self, kind: str, name: str | None, line: str) -> str | None:
        """What a client computes for its log-in, None for other text."""
        connection = self.connection
        if kind in ("client-first", "client-first-able"):
            mechanism = scram.PLUS if "-PLUS" in line.upper() else scram.PLAIN
            able = mechanism == scram.PLUS or kind == "client-first-able"
            binding = connection.binding if able else None
            connection.exchange = scram.ClientExchange(f"{name}@{DOMAIN}", mechanism, binding, scram.new_nonce)
            return scram.encode_message(connection.exchange.first())
        h = NEW_H if name == "new" else H
        if kind == "client-final":
            assert connection.exchange is not None
            return scram.encode_message(connection.exchange.final(h))
        if kind == "secret-answer":
            return secret_key(h, UUID(self.names["n1"]), int(self.names["n2"]))
        values = {"stored-key": VERIFIERS[h].stored_key, "server-key": VERIFIERS[h].server_key, "h": h}
        return b64encode(values[kind]).decode() if kind in values else None

    # --- what happens between lines

    async def happen(self, text: str) -> None:
        for kind, pattern in _STEPS.items():
            match = pattern.fullmatch(text)
            if match is not None:
                await getattr(self, f"_{kind}")(*match.groups())
                return
        raise AssertionError(f"there is no such step: {text}")

    async def _settings(self, _: str) -> None:
        assert len(self.stage.connections) == 0, "settings come before anything else"

    async def _connect(self, name: str) -> None:
        await self.stage.connect(name)
        self.current = name

    async def _connect_tls(self, name: str) -> None:
        await self.stage.connect(name, direct=True)
        self.current = name

    async def _operator(self) -> None:
        await self.stage.connect("operator", operator=True)
        self.current = "operator"
        await self.skip("101")

    async def _handshake(self) -> None:
        await self.connection.handshake()

    async def _secured(self, name: str) -> None:
        await self._connect(name)
        await self.skip("101")
        await self.connection.send(b"UPGRADE TLS\n")
        await self.skip("204")
        await self.connection.handshake()
        await self.skip("101")

    async def _log_in(self, connection: str | None, account: str, device: str | None) -> None:
        await self.log_in(connection or account, account, device)

    async def log_in(self, name: str, account: str, device: str | None) -> None:
        await self._secured(name)
        first = self.fill(f"AUTH SCRAM-SHA-256-PLUS <client-first:{account}>")
        await self.connection.send(f"{first} {device or ''}".rstrip().encode() + b"\n")
        challenge = await self.skip("304")
        self.understand("server-first", challenge.split()[1])
        await self.connection.send(self.fill("AUTH RESPONSE <client-final>").encode() + b"\n")
        self.understand("server-final", (await self.skip("210")).rpartition("v=")[2])

    async def _send(self, sender: str, recipient: str, subject: str, text: str | None, name: str | None) -> None:
        before = self.current
        body = (text or subject).encode() + b"\n"
        await self.log_in("-sender", sender, None)
        head = f'DELIVER TO {recipient}@{DOMAIN} SUBJECT "{subject}"\nDATA body LENGTH {len(body)} +CONTENT\n'
        await self.connection.send(head.encode() + body + b"DONE\nQUIT\n")
        await self.skip("203")
        await self.stage.connections.pop("-sender").close()
        if name is not None:
            await self.log_in("-recipient", recipient, None)
            await self.connection.send(b"MBOX INDEX /inbox LIMIT 1\nQUIT\n")
            self.names[name] = (await self.skip("250")).split()[1]
            await self.stage.connections.pop("-recipient").close()
        self.current = before

    async def _account(self, name: str) -> None:
        await self.stage.serving.add_account(name)

    async def _pass(self, seconds: str) -> None:
        self.stage.serving.pass_time(float(seconds))

    async def _hang_up(self, name: str) -> None:
        await self.stage.connections[name].close()
        self.stage.connections[name].ended = True

    async def _hung_up(self) -> None:
        reply = await self.connection.next("")
        assert reply is None, f"the server did not hang up but says {reply.line}"
        assert not self.connection.left(), f"unread: {self.connection.left()}"

    async def skip(self, code: str) -> str:
        """Pass over lines of the default pipeline up to one with this code; returns it."""
        while True:
            reply = await self.connection.next("")
            assert reply is not None, "the server hung up"
            if reply.line.startswith(code):
                return reply.line
            assert reply.line[0] in "123", reply.line

    async def end(self) -> None:
        """Nobody says anything that was not expected, and the server's log has no error."""
        for name, connection in self.stage.connections.items():
            if not connection.ended:
                await connection.send(b"AS the-end NOOP\n")
                reply: Any = await connection.next("the-end")
                assert reply is not None, f"{self.script.path}: {name}: the server hung up; it said {connection.left()}"
            left = connection.left()
            assert not left, f"{self.script.path}: nobody expects on the connection {name}: {left}"
        errors = self.stage.serving.log.take_errors()
        assert not errors, f"{self.script.path}: the server logged:\n" + "\n".join(errors)


def _opens(text: str) -> bool:
    return any(_STEPS[kind].fullmatch(text) for kind in ("connect", "connect_tls", "operator", "secured", "log_in"))


async def play(script: Script, folder: Path) -> set[tuple[str, Code]]:
    """Play a conversation on a server of its own in ``folder``."""
    return await Player(script, folder).play()
