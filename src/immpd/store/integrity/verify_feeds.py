"""The feeds' part of the store's check: every counter of a node is what counting finds.

Rules: as in verify.py; what changed under way is counted again before it is reported.
"""

import asyncio

import msgspec

from immpd.store.contract import Store
from immpd.store.units import Tx, read_unit

STEP = 5000
"""Rows counted in one step."""
TRIES = 20


class AfterNode(msgspec.Struct, frozen=True):
    """Arguments of ``node_counters``."""

    node: int


class CountSubscribers(msgspec.Struct, frozen=True):
    """Arguments of ``count_some_subscribers``: those after ``after``."""

    node: int
    after: int = 0


class NodeCounters(msgspec.Struct, frozen=True):
    """What a node says of itself, and what counting its rows finds."""

    id: int
    items: int
    marks: int
    last_item: int
    subscribers: int
    by_mail: int
    removed: int
    kept: int
    """Items that there are."""
    rows: int
    """Rows of any kind that there are."""


@read_unit
def node_counters(tx: Tx, args: AfterNode) -> NodeCounters | None:
    """Of the first node from ``args.node`` on."""
    row = tx.one(
        "SELECT n.id, n.items, n.marks, n.last_item, n.subscribers, n.by_mail, n.imid IS NULL,"
        " (SELECT count(*) FROM item i WHERE i.node = n.id AND i.kind = 'item' AND i.retracted = 0),"
        " (SELECT count(*) FROM item i WHERE i.node = n.id)"
        " FROM node n WHERE n.id >= :node ORDER BY n.id LIMIT 1",
        {"node": args.node},
    )
    return None if row is None else NodeCounters(*row)


@read_unit
def newest_of(tx: Tx, args: AfterNode) -> tuple[int, int]:
    """The newest item of a node, 0 where it has none, and the sums of items that do not add up."""
    row = tx.one("SELECT coalesce(max(seq), 0) FROM item WHERE node = :node", {"node": args.node})
    odd = tx.one(
        "SELECT count(*) FROM item i WHERE i.node = :node AND (i.pending < 0 OR (i.pending > 0 AND NOT EXISTS"
        " (SELECT 1 FROM fan_out f WHERE f.item = i.seq)))",
        {"node": args.node},
    )
    return (0 if row is None else row[0]), (0 if odd is None else odd[0])


@read_unit
def count_some_subscribers(tx: Tx, args: CountSubscribers) -> tuple[int, int, int, int | None]:
    """A step: active, of these by mail, those with a wrong folder or no next digest, and where to go on."""
    rows = tx.rows(
        "SELECT s.id, s.state, s.form, s.folder <> 0 AND f.id IS NULL,"
        " s.state <> 'left' AND s.form IN ('hourly', 'daily') AND s.due IS NULL FROM subscription s"
        " LEFT JOIN folder f ON f.id = s.folder AND f.mailbox = s.mailbox"
        " WHERE s.node = :node AND s.id > :after ORDER BY s.id LIMIT :n",
        {"node": args.node, "after": args.after, "n": STEP},
    )
    active = [form for _, state, form, _, _ in rows if state == "active"]
    astray = sum([row[3] or row[4] for row in rows])
    return len(active), active.count("message"), astray, rows[-1][0] if len(rows) == STEP else None


async def verify_nodes(store: Store) -> list[tuple[int, str]]:
    """What is wrong, as (node, what)."""
    found: list[tuple[int, str]] = []
    at = 0
    while (kept := await store.read(node_counters(AfterNode(at)))) is not None:
        at = kept.id + 1
        found += [(kept.id, said) for said in await _verify_node(store, kept.id)]
        await asyncio.sleep(0)
    return found


async def _verify_node(store: Store, node: int) -> list[str]:
    """Count until nothing changed under way."""
    for _ in range(TRIES):
        before = await store.read(node_counters(AfterNode(node)))
        if before is None or before.id != node:
            return []
        newest, odd = await store.read(newest_of(AfterNode(node)))
        active = by_mail = astray = 0
        after: int | None = 0
        while after is not None:
            some, mailed, lost, after = await store.read(count_some_subscribers(CountSubscribers(node, after)))
            active += some
            by_mail += mailed
            astray += lost
            await asyncio.sleep(0)
        if await store.read(node_counters(AfterNode(node))) != before:
            continue
        wrong = []
        if odd:
            wrong.append(f"{odd} items do not add up")
        if before.removed:  # it is swept in steps, so nothing else needs to add up any more
            return wrong
        if (before.items, before.items + before.marks) != (before.kept, before.rows):
            told = f"says {before.items} items and {before.marks} marks"
            wrong.append(f"{told}; has {before.kept} and {before.rows - before.kept}")
        if newest > before.last_item:
            wrong.append(f"says its newest item is {before.last_item}; it is {newest}")
        if astray:
            wrong.append(f"{astray} subscriptions have a folder that is not in their mailbox, or get no digest")
        if (active, by_mail) != (before.subscribers, before.by_mail):
            told = f"says {before.subscribers} subscribers, {before.by_mail} by mail"
            wrong.append(f"{told}; has {active}, {by_mail}")
        return wrong
    return ["could not be counted: it changes all the time"]
