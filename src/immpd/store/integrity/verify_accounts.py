"""The store checks its accounts: whether a mailbox takes messages is what the account says.

Rule: as in ``verify``: it only reads, in bounded steps between which others work.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec

from immpd.store.contract import Store
from immpd.store.units import Tx, read_unit

STEP = 1000
"""Accounts looked at in one step."""


class AccountsAfter(msgspec.Struct, frozen=True):
    """Arguments of ``check_accounts``: go on after this key."""

    id: int = -1


class CheckedAccounts(msgspec.Struct, frozen=True):
    """(address, what is wrong with it) of a step, and where to go on (None: the end)."""

    wrong: list[tuple[str, str]]
    next: AccountsAfter | None


@read_unit
def check_accounts(tx: Tx, args: AccountsAfter) -> CheckedAccounts:
    """The mailbox of a disabled or removed account is closed, every other one is open."""
    rows = tx.rows(
        "SELECT a.id, a.address, a.disabled, a.removed, s.closed FROM account a"
        " LEFT JOIN mailbox_state s ON s.mailbox = a.mailbox WHERE a.id > :after ORDER BY a.id LIMIT :n",
        {"after": args.id, "n": STEP},
    )
    wrong = []
    for _, address, disabled, removed, closed in rows:
        shut = bool(disabled) or removed is not None
        if closed is not None and bool(closed) != shut:
            wrong.append(
                (address, f"is {'shut' if shut else 'in use'}, and its mailbox {'closed' if closed else 'open'}")
            )
    return CheckedAccounts(wrong, AccountsAfter(rows[-1][0]) if len(rows) == STEP else None)


async def verify_accounts(store: Store) -> AsyncIterator[tuple[str, str]]:
    """(address, what is wrong with it) of all accounts."""
    after: AccountsAfter | None = AccountsAfter()
    while after is not None:
        step = await store.read(check_accounts(after))
        for one in step.wrong:
            yield one
        after = step.next
        await asyncio.sleep(0)  # others first
