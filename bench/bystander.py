"""What somebody else waits while one account does the heaviest that it can: NOOP of another user beside each command.

Rules: the bystander is the load generator, which sends the next NOOP when the last is answered; the busy account has
six connections that repeat one command until the time is over; the yardstick is the same bystander beside nobody.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path
from typing import Any

from immpd.model.imid import parse_imid
from immpd.protocol import commands as c

from .stage import BUILD, DOMAIN, BenchError, H, Idle, Server, data_folder, fill_inbox, serving

MESSAGES = 100_000
FOLDERS = 950
FEEDS = 1_000
CONNECTIONS = 6
WATCHES = 200
MOST_MS = 50
NOOP = "noop,user=u1"
_INBOX, _EVERY, _OTHER = parse_imid("/INBOX"), parse_imid("/INBOX::*"), parse_imid("/ARCHIVE")

Request = Callable[[], Any]


def _toggles() -> Request:
    """MBOX FLAG that always has something to change."""
    on = False

    def request() -> c.MboxFlag:
        nonlocal on
        on = not on
        return c.MboxFlag(path=_EVERY, flags=tuple((f"k{n}", on) for n in range(20)))

    return request


def scenes(epoch: str) -> Iterator[tuple[str, str, Request, int]]:
    """Each command: its name, who is busy with it, what makes the request, and how many watch and do not read."""
    yield "NOOP, pipelined", "u0", c.Noop, 0
    yield f"MBOX LIST of {FOLDERS}", "u0", c.MboxList, 0
    yield "MBOX CHECK +RECURSIVE", "u0", lambda: c.MboxCheck(path=parse_imid("/all"), recursive=True), 0
    yield "MBOX INDEX", "u0", lambda: c.MboxIndex(path=_INBOX), 0
    yield "MBOX INDEX, nothing found", "u0", lambda: c.MboxIndex(path=parse_imid("/INBOX::from:nobody")), 0
    yield "MBOX FETCH", "u0", lambda: c.MboxFetch(path=_EVERY, read=False), 0
    yield "MBOX FETCH +MIME", "u0", lambda: c.MboxFetch(path=_EVERY, mime=True, read=False), 0
    yield "MBOX FLAG", "u0", _toggles(), 0
    yield f"MBOX FLAG, {WATCHES} unread watches", "u0", _toggles(), WATCHES
    yield "MBOX COPY", "u0", lambda: c.MboxCopy(path=_EVERY, to=_OTHER), 0
    yield "MBOX MOVE", "u0", lambda: c.MboxMove(path=parse_imid("/ARCHIVE::*"), to=parse_imid("/DRAFTS")), 0
    yield "MBOX DELETE", "u0", lambda: c.MboxDelete(path=parse_imid("/DRAFTS::*")), 0
    yield "MBOX DELETE +PURGE", "u0", lambda: c.MboxDelete(path=parse_imid("/TRASH::*"), purge=True), 0
    yield f"PUBLISH LIST of {FEEDS}", "u2", c.PublishList, 0
    yield f"SUBSCRIBE LIST of {FEEDS}", "u0", c.SubscribeList, 0
    yield f"SUBSCRIBE SINCE of {FEEDS}", "u0", c.SubscribeSince, 0
    yield "WATCH, catching up", "u0", lambda: c.Watch(since=f"{epoch}.1.0"), 0


def bystander(settings: Any, report: Callable[[Any], None]) -> None:
    """The worst NOOP of another user beside each command."""
    with data_folder(3) as folder:
        fill_inbox(folder, "u0", MESSAGES)
        with serving(folder, {"IMMPD_LIMITS__MAX_NODES": str(FEEDS)}) as server:
            asyncio.run(_all(server, settings, report))


async def _all(server: Server, settings: Any, report: Callable[[Any], None]) -> None:
    from .scenarios import line

    quiet = await _worst(server, settings)
    async with AsyncExitStack() as stack:
        me, publisher = [await _connected(stack, server, name) for name in ("u0", "u2")]
        await me.call(c.MboxCreate(path=parse_imid("/all")))
        for number in range(FOLDERS):
            await me.call(c.MboxCreate(path=parse_imid(f"/all/folder-{number}")))
        for number in range(FEEDS):
            node = parse_imid(f"u2/feed{number}@{DOMAIN}")
            await publisher.call(c.PublishCreate(node=node))
            await me.call(c.Subscribe(to=node))
            await publisher.publish(node, f"Item {number}", b"x" * 100)
        epoch = (await me.call(c.MboxCheck(path=_INBOX))).rows[0].s.partition(".")[0]
    for name, who, request, watches in scenes(epoch):
        idle = Idle(server, f"idle,conns={watches},user=u0,args=WATCH") if watches else nullcontext()
        with idle:
            run = await _beside(server, settings, who, request)
        title = f"worst NOOP beside {name}"
        report(line(title, run, "max_ms", "ms", goal=MOST_MS, most=True, yardstick=quiet["first"]["max_ms"]))


async def _worst(server: Server, settings: Any) -> dict[str, Any]:
    """The median run of the bystander by its worst NOOP."""
    runs = []
    for _ in range(settings.runs):
        run = await asyncio.to_thread(server.load, NOOP, seconds=settings.seconds, warmup=0.3)
        runs.append({**run, "first": run["groups"][0]})
    runs.sort(key=lambda run: run["first"]["max_ms"])
    return runs[len(runs) // 2]


async def _beside(server: Server, settings: Any, who: str, request: Request) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        busy = [await _connected(stack, server, who) for _ in range(CONNECTIONS)]
        tasks = [asyncio.create_task(_repeat(one, request)) for one in busy]
        try:
            return await _worst(server, settings)
        finally:
            for task in tasks:
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    raise BenchError(f"{who}: {error}")
                task.cancel()
            await asyncio.wait(tasks)


async def _repeat(me: Any, request: Request) -> None:
    """One command after the other, for ever; many at once where each is short."""
    while True:
        made = request()
        if isinstance(made, c.Noop):
            await asyncio.gather(*[me.call(made) for _ in range(500)])
            continue
        async with me.stream(made) as items:
            async for _ in items:
                pass


async def _connected(stack: AsyncExitStack, server: Server, name: str) -> Any:
    from immpd.client import connect
    from immpd.net.fingerprints import KnownPeers

    home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=BUILD)))
    where = f"127.0.0.1:{server.port}"
    return await stack.enter_async_context(
        connect(f"{name}@{DOMAIN}", server=where, h=H, known=KnownPeers(home), direct=True)
    )
