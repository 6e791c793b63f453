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


@read_unit
def node_counters(tx: Tx, args: AfterNode) -> tuple[int, int, int, int, int, int, bool] | None:
    """Of the first node from ``args.node`` on: id, items kept and found, its newest, active subscribers, by mail.

    Then whether it was removed.
    """
    row = tx.one(
        "SELECT n.id, n.items, (SELECT count(*) FROM item i WHERE i.node = n.id), n.last_item, n.subscribers,"
        " n.by_mail, n.imid IS NULL FROM node n WHERE n.id >= :node ORDER BY n.id LIMIT 1",
        {"node": args.node},
    )
    return None if row is None else (row[0], row[1], row[2], row[3], row[4], row[5], bool(row[6]))


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
def count_some_subscribers(tx: Tx, args: CountSubscribers) -> tuple[int, int, int | None]:
    """A step: active, of these by mail, and where to go on."""
    rows = tx.rows(
        "SELECT id, state, form FROM subscription WHERE node = :node AND id > :after ORDER BY id LIMIT :n",
        {"node": args.node, "after": args.after, "n": STEP},
    )
    active = [form for _, state, form in rows if state == "active"]
    return len(active), active.count("message"), rows[-1][0] if len(rows) == STEP else None


async def verify_nodes(store: Store) -> list[tuple[int, str]]:
    """What is wrong, as (node, what)."""
    found: list[tuple[int, str]] = []
    at = 0
    while (kept := await store.read(node_counters(AfterNode(at)))) is not None:
        at = kept[0] + 1
        found += [(kept[0], said) for said in await _verify_node(store, kept[0])]
        await asyncio.sleep(0)
    return found


async def _verify_node(store: Store, node: int) -> list[str]:
    """Count until nothing changed under way."""
    for _ in range(TRIES):
        before = await store.read(node_counters(AfterNode(node)))
        if before is None or before[0] != node:
            return []
        newest, odd = await store.read(newest_of(AfterNode(node)))
        active = by_mail = 0
        after: int | None = 0
        while after is not None:
            some, mailed, after = await store.read(count_some_subscribers(CountSubscribers(node, after)))
            active += some
            by_mail += mailed
            await asyncio.sleep(0)
        if await store.read(node_counters(AfterNode(node))) != before:
            continue
        _, items, there, last, said_active, said_by_mail, removed = before
        wrong = []
        if odd:
            wrong.append(f"{odd} items do not add up")
        if removed:  # it is swept in steps, so nothing else needs to add up any more
            return wrong
        if items != there:
            wrong.append(f"says {items} items; has {there}")
        if newest > last:
            wrong.append(f"says its newest item is {last}; it is {newest}")
        if (active, by_mail) != (said_active, said_by_mail):
            said = f"says {said_active} subscribers, {said_by_mail} by mail; has {active}, {by_mail}"
            wrong.append(said)
        return wrong
    return ["could not be counted: it changes all the time"]
