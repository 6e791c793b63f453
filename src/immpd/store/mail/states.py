"""State numbers: the one place where a mailbox's number rises.

Rule: numbers are taken in the order of mailboxes before a unit's other writes, and held to its
commit; a unit that changes n things takes n numbers, so each number stands for one change.
"""

from collections.abc import Mapping

from immpd.store.errors import MailboxClosed, NoMailbox
from immpd.store.units import Tx

_TAKE = "UPDATE mailbox_state SET state = state + ? WHERE mailbox = ? RETURNING mailbox, state, closed"


def take_states(tx: Tx, wanted: Mapping[int, int], *, to_closed: bool = True) -> dict[int, int]:
    """Take ``wanted[mailbox]`` numbers of each mailbox; return the number before the first of them.

    Raises NoMailbox if one of them does not exist, and without ``to_closed`` MailboxClosed where one is.
    """
    # Row locks are taken in the order of mailboxes, as Tx.lock does, so that two units never wait for each other.
    taken = tx.rows_of_many(_TAKE, [(count, mailbox) for mailbox, count in sorted(wanted.items())])
    if len(taken) != len(wanted):
        raise NoMailbox
    if not to_closed and any([closed for _, _, closed in taken]):
        raise MailboxClosed
    return {mailbox: state - wanted[mailbox] for mailbox, state, _ in taken}
