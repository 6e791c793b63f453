"""What a node keeps of its items, and what goes when: too many, too old, named by no digest any more.

Rules: retracted and replaced items stay for a while as marks, so that whoever comes by learns of it, and take no
place of what is kept; nothing goes that is still on its way; a step is bounded (docs/protocol.md, "Feeds").
"""

import msgspec

from immpd.model.feed import Node
from immpd.store.units import Tx, freeing_unit

from .nodes import DAY

MOST_MARKS = 1000
"""Rows of one node that only say what was retracted or replaced, or what a digest is still to name."""
TRIMMED_AT_ONCE = 8
RETRACTED, REPLACED, _TITLE_ONLY = 1, 2, 3
"""What ``retracted`` of an item's row says."""
NAMED = f"kind = 'item' AND retracted IN (0, {_TITLE_ONLY})"
"""What a digest names: what is kept, and what is not but was when the last one was sent."""
_KEPT = "i.kind = 'item' AND i.retracted = 0"


class ForgetItems(msgspec.Struct, frozen=True):
    """Arguments of ``forget_items``: what is too old or too many, of the node after ``after``."""

    now: int
    after: int = 0
    limit: int = 500


def count_rows(tx: Tx, node: Node, seq: int, kept: int, marks: int) -> None:
    """The node has so many items and marks more; what it need not keep any longer goes, a few at once."""
    kept, marks = node.items + kept, node.marks + marks
    if kept > node.keep:
        many = min(kept - node.keep, TRIMMED_AT_ONCE)
        named = _keep_titles(tx, node, many)
        kept, marks = kept - named - _forget_oldest(tx, node.id, _KEPT, many - named), marks + named
    if marks > MOST_MARKS:
        marks -= _forget_oldest(tx, node.id, f"NOT ({_KEPT})", min(marks - MOST_MARKS, TRIMMED_AT_ONCE))
    tx.execute("UPDATE node SET last_item = ?, items = ?, marks = ? WHERE id = ?", (seq, kept, marks, node.id))


def _keep_titles(tx: Tx, node: Node, many: int) -> int:
    """Of the oldest items keep the title where a digest is still to name it; so many are kept no longer."""
    return tx.executemany(
        f"UPDATE item SET retracted = {_TITLE_ONLY}, length = 0, body = :none WHERE seq IN (SELECT i.seq FROM item i"  # noqa: S608
        f" WHERE i.node = :node AND {_KEPT} AND NOT EXISTS (SELECT 1 FROM fan_out f WHERE f.item = i.seq)"
        " ORDER BY i.seq LIMIT :many)"
        " AND seq > (SELECT min(digested) FROM subscription WHERE node = :node AND due IS NOT NULL)",
        [{"node": node.id, "many": many, "none": b""}],
    )


def _forget_oldest(tx: Tx, node: int, which: str, many: int, **more: int) -> int:
    """Forget such items of a node, but none that is on its way; so many, without what goes with them."""
    gone = tx.rows(
        f"DELETE FROM item WHERE seq IN (SELECT i.seq FROM item i WHERE i.node = :node AND {which}"  # noqa: S608
        " AND NOT EXISTS (SELECT 1 FROM fan_out f WHERE f.item = i.seq) ORDER BY i.seq LIMIT :many) RETURNING seq",
        {"node": node, "many": many, **more},
    )
    return len(gone)


@freeing_unit
def forget_items(tx: Tx, args: ForgetItems) -> tuple[int, bool]:
    """One step through the nodes: the node that was looked at (0: the end), and whether it has more to forget.

    What waits for the owner is forgotten at the same age.
    """
    found = tx.one(
        "SELECT id FROM node WHERE id > :after AND imid IS NOT NULL ORDER BY id LIMIT 1", {"after": args.after}
    )
    if found is None:
        return 0, False
    node = int(found[0])
    tx.lock("node", (node,))
    row = tx.one("SELECT keep, age, items FROM node WHERE id = :node", {"node": node})
    if row is None:
        return node, False
    keep, age, items = row
    before = args.now - age * DAY
    expired = tx.executemany(
        "DELETE FROM waiting_item WHERE node = :node AND uuid IN"
        " (SELECT uuid FROM waiting_item WHERE node = :node AND created < :before LIMIT :limit)",
        [{"node": node, "before": before, "limit": args.limit}],
    )
    too_many = min(max(0, items - keep), args.limit)
    oldest = f"SELECT i.seq FROM item i WHERE i.node = :node AND {_KEPT} ORDER BY i.seq LIMIT :too_many"  # noqa: S608
    which = f"{_KEPT} AND (i.created < :before OR i.seq IN ({oldest}))"
    kept = _forget_oldest(tx, node, which, args.limit, before=before, too_many=too_many)
    marks = _forget_oldest(tx, node, f"NOT ({_KEPT}) AND i.created < :before", args.limit, before=before)
    if kept or marks:
        tx.execute("UPDATE node SET items = items - ?, marks = marks - ? WHERE id = ?", (kept, marks, node))
    return node, args.limit in (kept, marks, expired)
