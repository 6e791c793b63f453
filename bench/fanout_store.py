"""Two ways to give an item to many subscribers, in the store alone: ``python -m bench.fanout_store [COUNT...]``.

``rows``    a row a subscriber, written in steps of at most 1,000 before the item counts as delivered;
``cursor``  the item once; a subscriber reads what lies behind its cursor (store/feeds/items.py).

For each number of subscribers: the time of one publish until it could be acknowledged, the most that one step holds
the store, the growth of the file, and what it costs a subscriber who was away to read ten items.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import uvloop

from immpd.model.feed import NodeOptions
from immpd.store.accounts.directory import NewAccount, add_account
from immpd.store.contract import Store
from immpd.store.feeds.item_pages import ItemsSince, items_since
from immpd.store.feeds.items import PublishItem, publish
from immpd.store.feeds.nodes import NewNode, create_node
from immpd.store.feeds.subscriptions import OPEN
from immpd.store.sqlite.engine import open_sqlite
from immpd.store.units import Tx, write_unit

from .stage import BUILD

NODE = "news/updates@bench.test"
BODY = b"x" * 200
PUBLISHES = 5
STEP = 1000


class Some(msgspec.Struct, frozen=True):
    """Subscriptions of the mailboxes from ``first`` on, or a step of writing rows for them.

    Of ``subscribe_some`` ``item`` is the number in the first one's name.
    """

    first: int
    count: int
    item: int = 0
    form: str = "notification"
    name: str = "u%d"


@write_unit
def make_table(tx: Tx, _: Some) -> None:
    """The table of the other design."""
    tx.execute(
        "CREATE TABLE received (mailbox INTEGER NOT NULL, item INTEGER NOT NULL, PRIMARY KEY (mailbox, item))"
        " WITHOUT ROWID"
    )


@write_unit
def subscribe_some(tx: Tx, args: Some) -> None:
    """Subscriptions straight into the table: a mailbox each."""
    tx.executemany(
        "INSERT INTO subscription (uuid, node, mailbox, subscriber, state, form, form_from, push_from, push_end,"
        f" first, folder, muted, since) VALUES (?, 1, ?, ?, 'active', ?, 1, 1, {OPEN}, 1, 0, 0, 0)",
        [
            (os.urandom(16), n, f"{args.name % (n - args.first + args.item)}@bench.test", args.form)
            for n in range(args.first, args.first + args.count)
        ],
    )
    by_mail = args.count if args.form == "message" else 0
    tx.execute("UPDATE node SET subscribers = subscribers + ?, by_mail = by_mail + ?", (args.count, by_mail))


@write_unit
def write_rows(tx: Tx, args: Some) -> None:
    """A row a subscriber, for a step of them."""
    tx.executemany(
        "INSERT INTO received (mailbox, item) VALUES (?, ?)",
        [(n, args.item) for n in range(args.first, args.first + args.count)],
    )


def item(number: int) -> PublishItem:
    return PublishItem(
        NODE, 1, "news@bench.test", "bench.test", number.to_bytes(16), False, "News", "text/plain", "normal", BODY,
        int(time.time() * 1000),
    )  # fmt: skip


async def prepared(folder: Path, count: int) -> Store:
    store = await open_sqlite(folder)
    folders = tuple(os.urandom(16) for _ in range(6))
    account = NewAccount("news@bench.test", "bench.test", "news", "news", 0, b"", 1, b"", b"", folders)
    await store.write(add_account(account))
    await store.write(create_node(NewNode(NODE, 1, 0, NodeOptions(), 10)))
    await store.write(make_table(Some(0, 0)))
    for first in range(1, count + 1, STEP):
        await store.write(subscribe_some(Some(first, min(STEP, count + 1 - first))))
    return store


def size(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.iterdir() if one.is_file())


async def measure(folder: Path, count: int) -> None:
    store = await prepared(folder, count)
    before = size(folder)
    cursor, rows, longest = [], [], 0.0
    for number in range(PUBLISHES):
        began = time.perf_counter()
        await store.write(publish(item(number)))
        cursor.append(time.perf_counter() - began)
    grown_cursor = (size(folder) - before) / PUBLISHES
    before = size(folder)
    for number in range(PUBLISHES if count <= 10_000 else 1):
        began = time.perf_counter()
        for first in range(1, count + 1, STEP):
            step = time.perf_counter()
            await store.write(write_rows(Some(first, min(STEP, count + 1 - first), number)))
            longest = max(longest, time.perf_counter() - step)
        rows.append(time.perf_counter() - began)
    grown_rows = (size(folder) - before) / len(rows)
    read = []
    for mailbox in range(1, min(count, 1000) + 1):
        began = time.perf_counter()
        page = await store.read(items_since(ItemsSince(mailbox, 0, 10)))
        read.append(time.perf_counter() - began)
        assert len(page.items) == PUBLISHES
    print(
        f"| {count:,} | {statistics.median(cursor) * 1000:.2f} ms | {max(grown_cursor, 0) / 1024:.0f} KiB"
        f" | {statistics.median(rows) * 1000:,.0f} ms | {longest * 1000:.1f} ms | {grown_rows / 1024:,.0f} KiB"
        f" | {statistics.median(read) * 1e6:.0f} µs |"
    )
    await store.close()


def main() -> None:
    print("| subscribers | cursor: publish | grows | rows: publish | longest step | grows | catch up, 5 items |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    BUILD.mkdir(parents=True, exist_ok=True)
    for count in [int(one) for one in sys.argv[1:]] or [5_000, 1_000_000]:
        folder = Path(tempfile.mkdtemp(prefix="fanout-", dir=BUILD))
        try:
            uvloop.run(measure(folder, count))
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
