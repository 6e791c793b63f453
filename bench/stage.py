"""What a benchmark plays on: a data folder with accounts, a server process, the load generator.

Rules: the server is the installed ``immpd serve`` in a process of its own, with its defaults but for the bounds that
would refuse a benchmark; accounts are put in before it starts, all with one h; the generator is compiled from load.c
when that is newer; whoever starts a process ends it.
"""

import asyncio
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "bench"
BIN = Path(sys.executable).parent
DOMAIN = "bench.test"
H = bytes(range(32))
ROUNDS = 600_000
SETTINGS = {
    "IMMPD_BOUNDS__PER_ADDRESS": "20000",
    "IMMPD_BOUNDS__CONNECTIONS": "20000",
    "IMMPD_BOUNDS__PER_ACCOUNT": "20000",
    "IMMPD_LIMITS__MAX_MESSAGE": str(2 << 30),
    "IMMPD_LIMITS__PUSHES_PER_MINUTE": "100000000",
    "IMMPD_LIMITS__ITEMS_PER_MINUTE": "100000000",
    "IMMPD_LOG__LEVEL": "warning",
}
PATIENCE = 30.0


class BenchError(Exception):
    """A benchmark cannot be run; the text says what is missing or went wrong."""


def load_binary() -> Path:
    """The load generator, compiled if need be; raises BenchError that names what is missing."""
    source, made = HERE / "load.c", BUILD / "load"
    if made.exists() and made.stat().st_mtime >= source.stat().st_mtime:
        return made
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise BenchError("There is no C compiler; Debian and Ubuntu: apt-get install gcc libc6-dev libssl-dev")
    BUILD.mkdir(parents=True, exist_ok=True)
    probe = subprocess.run(
        [compiler, "-E", "-x", "c", "-"], input=b"#include <openssl/ssl.h>\n", capture_output=True, check=False
    )
    if probe.returncode:
        raise BenchError("OpenSSL's headers (openssl/ssl.h) are missing; Debian and Ubuntu: apt-get install libssl-dev")
    words = [compiler, "-O2", "-Wall", "-Wextra", "-o", str(made), str(source), "-lssl", "-lcrypto"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(words)} failed:\n{done.stderr}")
    return made


def allow_many_files() -> None:
    """5,000 connections need as many open files, here and in the processes started from here."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def add_accounts(folder: Path, names: list[str]) -> None:
    """Accounts with their mailboxes, straight into the store, by the unit that ACCOUNT ADD uses."""
    import structlog

    from immpd.app.compose import opened
    from immpd.app.configuration import read_configuration
    from immpd.model.imid import skeleton
    from immpd.protocol.scram import verifier_from_h
    from immpd.store.accounts.directory import ROLES, NewAccount, add_account

    async with opened(folder, read_configuration(folder, {}), structlog.get_logger()) as services:

        def new(name: str) -> NewAccount:
            address = f"{name}@{DOMAIN}"
            salt = services.desk.salt(address)
            verifier = verifier_from_h(H, salt, ROUNDS)
            return NewAccount(
                address, DOMAIN, name, skeleton(name), services.clock.now(), salt, ROUNDS,
                verifier.stored_key, verifier.server_key, tuple(services.ids.octets() for _ in ROLES),
            )  # fmt: skip

        for at in range(0, len(names), 1000):
            await asyncio.gather(*[services.store.write(add_account(new(name))) for name in names[at : at + 1000]])


def add_node(
    folder: Path, imid: str, subscriptions: int = 0, first: int = 1_000_000, form: str = "notification"
) -> None:
    """A node of the account that its name begins with, and subscriptions of mailboxes from ``first`` on: s0, s1, …"""
    asyncio.run(_add_node(folder, imid, subscriptions, first, form))


async def _add_node(folder: Path, imid: str, subscriptions: int, first: int, form: str) -> None:
    from immpd.model.feed import NodeOptions
    from immpd.store.accounts.directory import ByAddress, account_by_address
    from immpd.store.feeds.nodes import NewNode, create_node
    from immpd.store.sqlite.engine import open_sqlite

    from .fanout_store import STEP, Some, subscribe_some

    store = await open_sqlite(folder)
    owner = await store.read(account_by_address(ByAddress(f"{imid.partition('/')[0]}@{DOMAIN}")))
    assert owner is not None
    await store.write(create_node(NewNode(imid, owner.id, 0, NodeOptions(title="Feed"), 10)))
    for at in range(0, subscriptions, STEP):
        await store.write(subscribe_some(Some(first + at, min(STEP, subscriptions - at), at, form, "s%d")))
    await store.close()


def fill_inbox(folder: Path, name: str, messages: int) -> None:
    """So many messages of 200 octets in an account's INBOX, by the unit that deliveries use."""
    asyncio.run(_fill_inbox(folder, name, messages))


async def _fill_inbox(folder: Path, name: str, messages: int) -> None:
    from immpd.store.accounts.directory import FindRecipient, recipient
    from immpd.store.sqlite.engine import open_sqlite

    from .deliver_unit import a_delivery

    store = await open_sqlite(folder)
    found = await store.read(recipient(FindRecipient(f"{name}@{DOMAIN}")))
    assert found is not None
    for at in range(0, messages, 1000):
        some = [a_delivery((found.mailbox, found.inbox), bytes(200)) for _ in range(min(1000, messages - at))]
        await asyncio.gather(*[store.write(unit) for unit in some])
    await store.close()


@contextmanager
def data_folder(mailboxes: int, senders: int = 100) -> Iterator[Path]:
    """A new data folder on this checkout's disk with accounts u0, u1, … and s0, s1, …; removed at the end."""
    BUILD.mkdir(parents=True, exist_ok=True)
    base = Path(tempfile.mkdtemp(prefix="data-", dir=BUILD))
    try:
        folder = base / "data"
        folder.mkdir(mode=0o700)
        (folder / "immpd.toml").write_text(
            f'domains = ["{DOMAIN}"]\nlisten = ["127.0.0.1:0"]\nlisten_tls = ["127.0.0.1:0"]\n'
        )
        names = [f"u{n}" for n in range(mailboxes)] + [f"s{n}" for n in range(senders)]
        asyncio.run(add_accounts(folder, names))
        yield folder
    finally:
        shutil.rmtree(base)


class Server:
    """A running server (or yardstick): its process, its port of direct TLS, and what it took to start."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, *, bare: bool, started_ms: float) -> None:
        self.process = process
        self.port = port
        self.bare = bare
        self.started_ms = started_ms
        self.acknowledged = 0
        """Deliveries that it answered for."""

    def rss_kib(self, field: str = "VmRSS") -> int:
        """Resident memory in KiB; ``VmHWM`` is the most it ever was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field + ":"))

    def load(self, *group_texts: str, seconds: float = 2.0, warmup: float = 0.5) -> dict[str, Any]:
        """Run the generator against it; its result. Raises BenchError with what it said."""
        words = [*self.load_words(*group_texts), "--seconds", str(seconds), "--warmup", str(warmup)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(done.stderr.strip() or f"the load generator ended with {done.returncode}")
        result: dict[str, Any] = json.loads(done.stdout)
        self.acknowledged += sum(group["finished"] for group in result["groups"] if group["role"] == "deliver")
        return result

    def check_received(self, mailboxes: int) -> None:
        """Raises BenchError unless as many messages lie in INBOX of u0, u1, … as were acknowledged."""
        came = self.load(f"count,conns={mailboxes},user=u%d")["groups"][0]["items"]
        if came != self.acknowledged:
            raise BenchError(f"{self.acknowledged:,} deliveries were acknowledged, {came:,} messages are there")

    def load_words(self, *group_texts: str) -> list[str]:
        """The generator's command line."""
        words = [str(load_binary()), "--port", str(self.port), "--domain", DOMAIN, "--h", H.hex()]
        words += ["--pid", str(self.process.pid), *(["--bare"] if self.bare else [])]
        for text in group_texts:
            words += ["--group", text]
        return words

    def idle(self, count: int, args: str = "") -> "Idle":
        """So many idle connections of as many log-ins."""
        return Idle(self, f"idle,conns={count},user=s%d,args={args}")


class Idle:
    """Idle connections, open while the context lasts."""

    def __init__(self, server: Server, group: str) -> None:
        self._words = server.load_words(group)

    def __enter__(self) -> None:
        self._process = subprocess.Popen(
            self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"READY\n":
            raise BenchError((self._process.communicate()[1] or b"").decode().strip())

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def _ended(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def serving(folder: Path, environment: dict[str, str] | None = None) -> Iterator[Server]:
    """``immpd serve`` on a folder, as a process."""
    ready, log = folder.parent / "ready.json", folder.parent / "server.log"
    ready.unlink(missing_ok=True)
    began = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [BIN / "immpd", "serve", "--data", folder, "--ready-file", ready],
            env={**os.environ, **SETTINGS, **(environment or {})}, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        while not ready.exists():
            if process.poll() is not None or time.perf_counter() - began > PATIENCE:
                raise BenchError(f"the server did not start: {log.read_text()}")
            time.sleep(0.002)
        took = (time.perf_counter() - began) * 1000
        where = json.loads(ready.read_text())["listen_tls"]
        yield Server(process, int(where.rpartition(":")[2]), bare=False, started_ms=took)
        if process.poll() is not None:
            raise BenchError(f"the server ended by itself: {log.read_text()}")
        said = log.read_text()
        if "error" in said:
            raise BenchError(f"the server logged errors: {said[:2000]}")
    finally:
        _ended(process)


@contextmanager
def bare_server() -> Iterator[Server]:
    """The yardstick's server (yardstick.py), as a process."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, HERE / "yardstick.py"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchError("the yardstick's server did not start")
        yield Server(process, int(line), bare=True, started_ms=(time.perf_counter() - began) * 1000)
    finally:
        _ended(process)
