"""Each benchmark: what is measured, against which goal and which yardstick.

Rules: one server a data folder, warmed up; three runs, the median by its rate counts; every rate stands beside the
CPU use of both sides, so that one sees which was the limit; a refusal ends the benchmark, so that none is counted.
"""

import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .bystander import bystander
from .stage import BIN, BUILD, DOMAIN, BenchError, H, Server, add_node, bare_server, data_folder, fill_inbox, serving
from .yardstick import store_alone

CONNECTIONS = 100


class Result(NamedTuple):
    """One line of the table."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    most: bool = False
    """The goal is an upper bound."""
    p50: float | None = None
    p99: float | None = None
    server: float | None = None
    """Cores that the server used."""
    generator: float | None = None
    others: float | None = None
    """Cores that neither of them used but somebody did: the measurement was disturbed."""
    yardstick: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.most else self.value >= self.goal


class Settings(NamedTuple):
    """How long and how often."""

    seconds: float = 2.0
    runs: int = 3
    mailboxes: tuple[int, ...] = (1, 100, 10_000)
    outstanding: tuple[int, ...] = (1, 8)


Report = Callable[[Result], None]


def measured(server: Server, settings: Settings, *groups: str, field: str = "per_second") -> dict[str, Any]:
    """The median run by ``field`` of its first group, which is also found as ``first``."""
    runs = []
    if "count=" in groups[0]:
        server.load(*groups)  # a counted run has no time before it that does not count
    for at in range(settings.runs):
        run = server.load(*groups, seconds=settings.seconds, warmup=0.3 if at else min(1.0, settings.seconds))
        run["first"] = run["groups"][0]
        runs.append(run)
    runs.sort(key=lambda run: run["first"][field])
    return runs[len(runs) // 2]


def line(name: str, run: dict[str, Any], field: str, unit: str, **more: Any) -> Result:
    """The table's line of a run."""
    first = run["first"]
    return Result(
        name, first[field], unit, p50=first["p50_ms"], p99=first["p99_ms"], server=run["server_cpu"],
        generator=run["generator_cpu"], others=run["all_cpu"] - run["server_cpu"] - run["generator_cpu"], **more,
    )  # fmt: skip


# --- deliveries

_GOALS = {(1, 1): 12_000, (1, 8): 22_000, (100, 1): 11_000, (100, 8): 18_000, (10_000, 1): 7_000, (10_000, 8): 12_000}


def deliver(settings: Settings, report: Report) -> None:
    """2 KiB from 100 connections, 1 and 8 outstanding on each, to 1, 100 and 10,000 mailboxes, each in one command."""
    for count in settings.mailboxes:
        with data_folder(count) as folder, serving(folder) as server:
            for depth in settings.outstanding:
                alone = store_alone(folder.parent, 2048, CONNECTIONS * depth, settings.seconds / 2)
                run = measured(server, settings, f"deliver,conns={CONNECTIONS},depth={depth},to={count}")
                goal = _GOALS.get((count, depth))
                name = f"deliver 2 KiB to {count:,}, {depth} outstanding"
                report(line(name, run, "per_second", "msg/s", goal=goal, yardstick=alone))
            server.check_received(count)


def parts(settings: Settings, report: Report) -> None:
    """As deliver, but by DELIVER, DATA and DONE; the yardstick is the same in one command, on the same server."""
    for count in settings.mailboxes:
        with data_folder(count) as folder, serving(folder) as server:
            for depth in settings.outstanding:
                group = f"deliver,conns={CONNECTIONS},depth={depth},to={count}"
                short = measured(server, settings, group)["first"]["per_second"]
                run = measured(server, settings, f"{group},parts=1")
                name = f"deliver 2 KiB in parts to {count:,}, {depth} outstanding"
                report(line(name, run, "per_second", "msg/s", yardstick=short))
            server.check_received(count)


def paced(settings: Settings, report: Report) -> None:
    """2 KiB to 100 mailboxes at half and 80 % of the peak rate: begun by the clock, timed from when they were due."""
    count, depth = 100, 8
    with data_folder(count) as folder, serving(folder) as server:
        group = f"deliver,conns={CONNECTIONS},depth={depth},to={count}"
        peak = measured(server, settings, group)["first"]["per_second"]
        for share in (0.5, 0.8):
            rate = int(peak * share)
            run = measured(server, settings, f"{group},rate={rate}", field="p99_ms")
            note = f"{run['first']['per_second']:,.0f} msg/s, {share:.0%} of {peak:,.0f}"
            report(line(f"deliver 2 KiB to {count} at {share:.0%} of the peak, p99", run, "p99_ms", "ms", note=note))
        server.check_received(count)


def chained(settings: Settings, report: Report) -> None:
    """As deliver with 8 outstanding, but all in the default pipeline, where one waits for the commit of the other."""
    count, depth = 1, 8
    with data_folder(count) as folder, serving(folder) as server:
        alone = store_alone(folder.parent, 2048, CONNECTIONS, settings.seconds / 2)
        run = measured(server, settings, f"deliver,conns={CONNECTIONS},depth={depth},chained=1,parts=1,to={count}")
        report(line(f"deliver 2 KiB to 1, {depth} in one pipeline", run, "per_second", "msg/s", yardstick=alone))
        server.check_received(count)


def deliver50(settings: Settings, report: Report) -> None:
    """50 KiB from 100 connections."""
    size = 50 << 10
    for count in settings.mailboxes:
        with data_folder(count) as folder, serving(folder) as server:
            alone = store_alone(folder.parent, size, CONNECTIONS, settings.seconds / 2)
            run = measured(server, settings, f"deliver,conns={CONNECTIONS},to={count},size={size}")
            report(line(f"deliver 50 KiB to {count:,}", run, "per_second", "msg/s", goal=3_000, yardstick=alone))
            server.check_received(count)


def beside(settings: Settings, report: Report) -> None:
    """Deliveries while one connection floods NOOPs and another fetches without end; yardstick: the quiet server."""
    with data_folder(2) as folder, serving(folder) as server:
        server.load("deliver,conns=20,depth=8,to=1,count=10000")
        others = ("noop,depth=500,user=u1", "range,user=u0,args=+RAW -READ")
        for depth in settings.outstanding:
            main = f"deliver,conns={CONNECTIONS},depth={depth},to=1"
            quiet = measured(server, settings, main)["first"]["per_second"]
            run = measured(server, settings, main, *others)
            flood, fetched = run["groups"][1:]
            note = f"beside {flood['per_second']:,.0f} NOOP/s, {fetched['items_per_second']:,.0f} messages/s fetched"
            name = f"deliver 2 KiB beside floods, {depth} outstanding"
            report(line(name, run, "per_second", "msg/s", goal=quiet / 2, yardstick=quiet, note=note))
        server.check_received(1)


def unit(settings: Settings, report: Report) -> None:
    """The store's delivery unit without protocol and network (deliver_unit.py)."""
    import uvloop

    from .deliver_unit import PRODUCERS, make_mailboxes, open_sqlite, run_unit

    async def run(folder: Path, count: int) -> None:
        store = await open_sqlite(folder)
        boxes = await make_mailboxes(store, count)
        for depth in settings.outstanding:
            alone = store_alone(folder, 2048, PRODUCERS * depth, settings.seconds / 2)
            got = await run_unit(store, boxes, depth, settings.seconds)
            name = f"delivery unit to {count:,}, {depth} outstanding"
            report(Result(name, got["per_second"], "units/s", p50=got["p50_ms"], p99=got["p99_ms"], yardstick=alone))
        await store.close()

    with data_folder(0, 0) as folder:
        for count in settings.mailboxes:
            (made := folder.parent / f"unit{count}").mkdir()
            uvloop.run(run(made, count))


# --- notifications


def push(settings: Settings, report: Report) -> None:
    """200 octets from one sender to one recipient who watches and dismisses each: alone, and 32 at once."""
    size, depth = 200, 32
    watch = "notified,user=u0"
    with data_folder(1, 1) as folder, serving(folder) as server:
        run = measured(server, settings, f"push,size={size}", watch)
        acknowledged, shown = run["groups"]
        for name, group in (("watch", shown), ("acknowledgement", acknowledged)):
            for field, goal in (("p50_ms", 3), ("p99_ms", 10)):
                title = f"PUSH {size} B until its {name}, {field[:3]}"
                report(line(title, {**run, "first": group}, field, "ms", goal=goal, most=True))
        alone = store_alone(folder.parent, size, depth, settings.seconds / 2)
        run = measured(server, settings, f"push,size={size},depth={depth}", f"{watch},depth={depth}")
        note = "each dismissed by its recipient"
        report(line(f"PUSH {size} B, {depth} outstanding", run, "per_second", "push/s", yardstick=alone, note=note))


# --- reading and talking


def noop(settings: Settings, report: Report) -> None:
    """NOOP, pipelined."""
    group = "noop,conns=8,depth=500"
    with bare_server() as bare:
        yard = measured(bare, settings, group)["first"]["per_second"]
    with data_folder(0) as folder, serving(folder) as server:
        run = measured(server, settings, group)
        report(line("NOOP pipelined", run, "per_second", "cmd/s", goal=300_000, yardstick=yard))


class _Reading(NamedTuple):
    name: str
    group: str
    field: str
    unit: str
    goal: float | None


_RANGE = (
    _Reading("range FETCH -READ", "range,user=u0,args=+RAW -READ", "items_per_second", "msg/s", 200_000),
    _Reading("range FETCH, marking as read", "unread,user=u0,args=+RAW,count=3", "items_per_second", "msg/s", None),
)
_SINGLE = (
    _Reading("single FETCH pipelined", "fetch,conns=8,depth=64,user=u0,args=+RAW -READ", "per_second", "cmd/s", 40_000),
    _Reading("single FETCH one at a time", "fetch,user=u0,args=+RAW -READ", "per_second", "cmd/s", 6_000),
)
_INDEX = (_Reading("INDEX +JSON", "index,user=u0,args=+JSON", "items_per_second", "rows/s", 400_000),)


def _read(settings: Settings, report: Report, readings: tuple[_Reading, ...]) -> None:
    """Read in an INBOX of 10,000 messages of 2 KiB."""
    with bare_server() as bare:
        yards = [measured(bare, settings, one.group, field=one.field)["first"][one.field] for one in readings]
    with data_folder(1) as folder, serving(folder) as server:
        server.load("deliver,conns=20,depth=8,count=10000")
        for one, yard in zip(readings, yards, strict=True):
            run = measured(server, settings, one.group, field=one.field)
            report(line(one.name, run, one.field, one.unit, goal=one.goal, yardstick=yard))


def range_(settings: Settings, report: Report) -> None:
    """FETCH of a whole folder, with -READ and without."""
    _read(settings, report, _RANGE)


def single(settings: Settings, report: Report) -> None:
    """FETCH of single messages, pipelined and one at a time."""
    _read(settings, report, _SINGLE)


def index(settings: Settings, report: Report) -> None:
    """INDEX of a whole folder as JSON."""
    _read(settings, report, _INDEX)


def login(settings: Settings, report: Report) -> None:
    """SCRAM-SHA-256-PLUS on a fresh TLS session; the yardstick is a fresh TLS session with one NOOP."""
    group = "login,conns=16"
    with bare_server() as bare:
        yard = measured(bare, settings, group)["first"]["per_second"]
    with data_folder(0) as folder, serving(folder) as server:
        run = measured(server, settings, group)
        report(line("SCRAM log-in, fresh TLS", run, "per_second", "log-ins/s", goal=700, yardstick=yard))


# --- feeds

NODE = f"u0/feed@{DOMAIN}"
_FANOUT = {100: 80_000, 1_000: 70_000, 5_000: 60_000}
BURST = 120_000


def fanout(settings: Settings, report: Report) -> None:
    """Items of 200 octets to those who watch: the next when all have the last, then as fast as they are taken."""
    for count, goal in _FANOUT.items():
        with data_folder(1, count) as folder:
            add_node(folder, NODE)
            with serving(folder) as server:
                watch, publish = f"watch,conns={count},args={NODE}", f"publish,user=u0,size=200,args={NODE}"
                run = measured(server, settings, watch, f"{publish},paced=1")
                published = run["groups"][1]
                note = f"273 after {published['p50_ms']:.2f} / {published['p99_ms']:.2f} ms"
                report(
                    line(
                        f"items to {count:,} who watch, one by one", run, "per_second", "items/s", goal=goal, note=note
                    )
                )
                run = measured(server, settings, watch, f"{publish},depth=16")
                report(line(f"items to {count:,} who watch, bursts", run, "per_second", "items/s", goal=BURST))


def subscribers(settings: Settings, report: Report) -> None:
    """Publishing to 1,000,000 subscriptions, nobody watching."""
    count = 1_000_000
    with data_folder(1) as folder:
        add_node(folder, NODE, count)
        with serving(folder) as server:
            run = measured(server, settings, f"publish,user=u0,size=200,args={NODE}", field="p50_ms")
            first = run["first"]
            note = f"{first['per_second']:,.0f} items/s"
            report(
                Result(
                    f"273 with {count:,} subscribers", first["p99_ms"], "ms", goal=50, most=True, p50=first["p50_ms"],
                    p99=first["p99_ms"], server=run["server_cpu"], generator=run["generator_cpu"],
                    others=run["all_cpu"] - run["server_cpu"] - run["generator_cpu"], note=note,
                )
            )  # fmt: skip


def mailed(settings: Settings, report: Report) -> None:
    """An item of 2 KiB to 5,000 who get messages: from PUBLISH until the last has it."""
    count = 5_000
    with data_folder(1, count) as folder:
        add_node(folder, NODE, count, first=2, form="message")
        with serving(folder) as server:
            times = [asyncio.run(_mailed(server, count)) for _ in range(settings.runs + 1)][1:]
            seconds = statistics.median(times)
            note = f"{count:,} in {seconds * 1000:,.0f} ms"
            report(Result("item to 5,000 as messages", count / seconds, "messages/s", note=note))


async def _mailed(server: Server, count: int) -> float:
    from immpd.client import connect
    from immpd.net.fingerprints import KnownPeers

    with tempfile.TemporaryDirectory(dir=BUILD) as home:
        where, known = f"127.0.0.1:{server.port}", KnownPeers(Path(home))
        async with connect(f"u0@{DOMAIN}", server=where, h=H, known=known, direct=True) as me:
            began = time.perf_counter()
            await me.publish(NODE, "Minutes", b"x" * 2048)
            pending = True
            while pending:
                await asyncio.sleep(0.01)
                row = (await me.node(NODE, limit=1)).rows[0]
                pending = bool(row.pending)
            if row.accepted != count:
                raise BenchError(f"{row.accepted} of {count} have the item")
            return time.perf_counter() - began


# --- memory and time of start


def idle(settings: Settings, report: Report) -> None:
    """Resident memory of an idle, authenticated connection at 5,000 accounts, with and without WATCH."""
    count = 5_000
    with bare_server() as bare:
        yard = _memory_of_each(bare, count, "")
    for name, args in (("idle connection, 5,000", ""), ("idle connection with WATCH, 5,000", "WATCH")):
        with data_folder(0, count) as folder, serving(folder) as server:
            value = _memory_of_each(server, count, args)
            report(Result(name, value, "KiB RSS", goal=30, most=True, yardstick=yard))
    with data_folder(1, count) as folder:
        add_node(folder, NODE, count, first=2)  # the mailboxes behind that of the owner
        with serving(folder) as server:
            value = _memory_of_each(server, count, "WATCH")
            report(Result("watching one feed, 5,000", value, "KiB RSS", goal=30, most=True, yardstick=yard))


def _memory_of_each(server: Server, count: int, args: str) -> float:
    with server.idle(100, args):
        time.sleep(0.3)
    before = server.rss_kib()
    with server.idle(count, args):
        time.sleep(1.0)
        return (server.rss_kib() - before) / count


def start(settings: Settings, report: Report) -> None:
    """From the command to serving, without mail and with much; the yardstick is a Python that does nothing."""
    for name, messages in (("start to serving", 0), ("start to serving, 1,000,000 messages", 1_000_000)):
        with data_folder(100) as folder:
            if messages:
                fill_inbox(folder, "u0", messages)
            times = []
            for _ in range(settings.runs + 1):
                with serving(folder) as server:
                    times.append(server.started_ms)
            value = statistics.median(times[1:])
            report(Result(name, value, "ms", goal=500, most=True, yardstick=_python_alone(settings)))


def ls(settings: Settings, report: Report) -> None:
    """``immp ls`` of 50 messages, from the command to its end; the yardstick is a Python that does nothing."""
    with data_folder(0) as folder, serving(folder) as server:
        environment = _person(folder)
        server.load("deliver,conns=4,to=1,count=50")
        words = [str(BIN / "immp"), "ls"]
        times = [_ms(words, environment) for _ in range(2 * settings.runs + 1)]
        value = statistics.median(times[1:])
        report(Result("immp ls", value, "ms", goal=300, most=True, yardstick=_python_alone(settings)))


def _python_alone(settings: Settings) -> float:
    return statistics.median([_ms([sys.executable, "-c", "pass"]) for _ in range(2 * settings.runs + 1)])


def _ms(words: list[str], environment: dict[str, str] | None = None, given: str = "") -> float:
    """Milliseconds that a command takes; raises BenchError where it fails."""
    began = time.perf_counter()
    done = subprocess.run(words, env=environment, input=given, capture_output=True, text=True, check=False)
    took = (time.perf_counter() - began) * 1000
    if done.returncode:
        raise BenchError(f"{' '.join(words)}: {(done.stderr or done.stdout).strip()}")
    return took


def _person(folder: Path) -> dict[str, str]:
    """The environment of somebody who is logged in as u0, by the installed commands."""
    ready = json.loads((folder.parent / "ready.json").read_text())
    environment = {**os.environ, "IMMP_HOME": str(folder.parent / "home")}
    address, password = f"u0@{DOMAIN}", secrets.token_hex()
    add = [str(BIN / "immpd"), "account", "add", address, "--data", str(folder), "--password-stdin"]
    _ms(add, environment, password + "\n")
    where = ["--server", ready["listen"], "--fingerprint", ready["fingerprint"]]
    _ms([str(BIN / "immp"), "login", address, *where, "--password-stdin"], environment, password + "\n")
    return environment


def big(settings: Settings, report: Report) -> None:
    """1 GiB in and out of one server, and the most memory that it took."""
    size = 1 << 30
    with data_folder(1, 0) as folder, serving(folder) as server:
        before = server.rss_kib() / 1024
        group = server.load(f"big,user=u0,size={size},count=1")["groups"][0]
        if group["octets"] != size:
            raise BenchError(f"1 GiB went in, {group['octets']} octets came out")
        most = server.rss_kib("VmHWM") / 1024
        report(Result("1 GiB in", size / 2**20 / group["in_s"], "MiB/s"))
        report(Result("1 GiB out", size / 2**20 / group["out_s"], "MiB/s"))
        note = f"{before:.0f} MiB before"
        report(Result("memory of the server for 1 GiB", most, "MiB RSS", goal=200, most=True, note=note))


ALL: dict[str, Callable[[Settings, Report], None]] = {
    "deliver": deliver,
    "parts": parts,
    "paced": paced,
    "chained": chained,
    "deliver50": deliver50,
    "beside": beside,
    "bystander": bystander,
    "unit": unit,
    "push": push,
    "range": range_,
    "single": single,
    "index": index,
    "noop": noop,
    "idle": idle,
    "login": login,
    "ls": ls,
    "fanout": fanout,
    "subscribers": subscribers,
    "mailed": mailed,
    "start": start,
    "big": big,
}
