"""Giving pages that the file no longer needs back to the file system, in steps."""

import msgspec

from immpd.store.units import Tx, freeing_unit, read_unit

PAGES = 200
"""Pages of one step: moving them takes some milliseconds."""


class Shrink(msgspec.Struct, frozen=True):
    """Arguments of ``shrink``."""

    pages: int = PAGES


@read_unit
def free_pages(tx: Tx, args: Shrink) -> int:
    """How many pages the file does not need."""
    row = tx.one("PRAGMA freelist_count")
    return 0 if row is None else int(row[0])


@freeing_unit
def shrink(tx: Tx, args: Shrink) -> None:
    """Take pages off the end of the file."""
    tx.rows(f"PRAGMA incremental_vacuum({args.pages})")
