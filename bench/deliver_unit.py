"""How many messages a second the delivery unit puts on disk, against a yardstick of the same run.

    python bench/deliver_unit.py [--seconds 2] [--folder DIR]

Each message: a body of 2 KiB, its own version-7 ID (retry key), durable (WAL, synchronous=FULL). 100 producers
keep 1 or 8 messages outstanding each. ``pages`` is what a message adds to the WAL, in pages of 8 KiB; unlike times it
is the same on every machine, but for how many messages a commit holds. The yardstick is plain apsw, one INSERT of the
same body for each message, committed in batches of the same size (what stood outstanding) on the same disk.
"""

import argparse
import asyncio
import os
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import apsw
import uvloop

from immpd.store.accounts.directory import NewAccount, add_account
from immpd.store.mail.deliver import Delivered, Delivery, Target, deliver
from immpd.store.sqlite.engine import SqliteStore, open_sqlite
from immpd.store.units import Unit

PRODUCERS = 100
ENVELOPE = (
    b'{"id":"0190b4c0-0000-7000-8000-000000000000","from":"bob@b.example","to":["alice@a.example"],'
    b'"date":"2026-01-01T00:00:00Z","subject":"Minutes of the meeting","origin":"b.example",'
    b'"received-from":"b.example","received-date":"2026-01-01T00:00:01Z","verified":true}'
)
PARTS = b'[{"id":1,"name":"message.txt","type":"text/plain; charset=utf-8","length":2048}]'
ROW = (
    b'{"from":"bob@b.example","to":["alice@a.example"],"subject":"Minutes of the meeting",'
    b'"date":"2026-01-01T00:00:00Z","size":2048,"thread":"0190b4c0-0000-7000-8000-000000000000","parts":1,"importance":"normal","verified":true'
)
NAMES = ("INBOX", "DRAFTS", "SENT", "JUNK", "TRASH", "ARCHIVE")


def fresh_id() -> bytes:
    now = int(time.time() * 1000)
    rest = os.urandom(10)
    return now.to_bytes(6) + bytes([0x70 | rest[0] & 15, rest[1], 0x80 | rest[2] & 63]) + rest[3:]


async def make_mailboxes(store: SqliteStore, count: int) -> list[tuple[int, int]]:
    made = await asyncio.gather(
        *[
            store.write(
                add_account(
                    NewAccount(
                        f"u{n}@a.example", "a.example", f"u{n}", f"u{n}", 0, b"s" * 16, 600_000, b"k" * 32, b"k" * 32,
                        tuple(os.urandom(16) for _ in NAMES),
                    )
                )
            )
            for n in range(count)
        ]
    )  # fmt: skip
    first = store._writer.execute("SELECT id, mailbox FROM folder WHERE role = 'inbox'")
    inbox = {mailbox: folder for folder, mailbox in first}
    return [(account.mailbox, inbox[account.mailbox]) for account in made]


def a_delivery(box: tuple[int, int], body: bytes) -> Unit[tuple[Delivered, ...]]:
    """Another message, with its own ID and body, into INBOX of a mailbox (both by number)."""
    mailbox, inbox = box
    unique = fresh_id()
    return deliver(
        Delivery(
            "bob@b.example", 1_767_225_600_000, len(body), ROW, PARTS, ENVELOPE, unique + body[16:], unique + unique,
            (Target(mailbox, inbox, inbox, fresh_id(), 0, unique[:6] + unique[2:16]),), 1_767_225_601_000,
        )
    )  # fmt: skip


async def run_unit(
    store: SqliteStore, boxes: list[tuple[int, int]], outstanding: int, seconds: float
) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    waits: list[float] = []
    body = os.urandom(2048)
    done_count = 0
    end = time.perf_counter() + seconds
    left = PRODUCERS * outstanding
    finished = loop.create_future()

    def one() -> None:
        unit = a_delivery(random.choice(boxes), body)
        began = time.perf_counter()

        def done(result: object, error: BaseException | None) -> None:
            nonlocal done_count, left
            if error is not None:
                raise error
            done_count += 1
            now = time.perf_counter()
            waits.append(now - began)
            if now < end:
                one()
            else:
                left -= 1
                if not left:
                    finished.set_result(None)

        store.submit(unit, done)

    began = time.perf_counter()
    written, pages = 0, store._wal.pages

    def grown(_connection: apsw.Connection, _name: str, now: int) -> int:
        nonlocal pages, written
        written += now - pages if now > pages else now
        pages = now
        return told(_connection, _name, now)

    told = store._wal.grew
    store._writer.set_wal_hook(grown)
    for _ in range(PRODUCERS * outstanding):
        one()
    longest = 0.0

    async def watch_loop() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, time.perf_counter() - before - 0.001)

    watcher = asyncio.create_task(watch_loop())
    await finished
    watcher.cancel()
    took = time.perf_counter() - began
    waits.sort()
    return {
        "per_second": done_count / took,
        "p50_ms": statistics.median(waits) * 1000,
        "p99_ms": waits[int(len(waits) * 0.99)] * 1000,
        "loop_held_ms": longest * 1000,
        "pages": written / done_count,
    }


def yardstick(folder: Path, batch: int, seconds: float) -> float:
    path = folder / f"yardstick{batch}.sqlite3"
    connection = apsw.Connection(str(path))
    for pragma in ("page_size = 8192", "journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute("CREATE TABLE body (id INTEGER PRIMARY KEY, octets BLOB)")
    body = os.urandom(2048)
    count = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(batch):
            connection.execute("INSERT INTO body (octets) VALUES (?)", (fresh_id() + body[16:],))
        connection.execute("COMMIT")
        count += batch
    took = time.perf_counter() - began
    connection.close()
    return count / took


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=2.0)
    arguments.add_argument("--folder", type=Path, default=None)
    arguments.add_argument("--mailboxes", type=int, nargs="*", default=[1, 100, 10_000])
    chosen = arguments.parse_args()
    base = Path(tempfile.mkdtemp(prefix="immpd-bench-", dir=chosen.folder))
    try:
        print(f"{'mailboxes':>9} {'outstanding':>11} {'units/s':>9} {'yardstick/s':>11} {'ratio':>6} "
              f"{'p50 ms':>7} {'p99 ms':>7} {'loop held ms':>12} {'pages':>6}")  # fmt: skip
        for count in chosen.mailboxes:
            folder = base / str(count)
            folder.mkdir()
            store = await open_sqlite(folder)
            boxes = await make_mailboxes(store, count)
            for outstanding in (1, 8):
                plain = yardstick(folder, PRODUCERS * outstanding, chosen.seconds / 2)
                got = await run_unit(store, boxes, outstanding, chosen.seconds)
                rate = got["per_second"]
                print(f"{count:>9} {outstanding:>11} {rate:>9.0f} {plain:>11.0f} {rate / plain:>6.2f} "
                      f"{got['p50_ms']:>7.2f} {got['p99_ms']:>7.2f} {got['loop_held_ms']:>12.2f} "
                      f"{got['pages']:>6.2f}")  # fmt: skip
            await store.close()
    finally:
        shutil.rmtree(base)


if __name__ == "__main__":
    uvloop.run(main())
