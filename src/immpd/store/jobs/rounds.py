"""Rounds: when a job that goes through everything now and then begins anew, whichever process does it."""

import msgspec

from immpd.store.units import Tx, freeing_unit, read_unit

from .leases import Lease, still_held


class RoundOver(msgspec.Struct, frozen=True):
    """Arguments of ``end_round``: the next one begins at ``due``, milliseconds UTC."""

    lease: Lease
    due: int


@read_unit
def round_due(tx: Tx, job: str) -> int:
    """When the next round of a job begins, milliseconds UTC; 0: there was none yet."""
    row = tx.one("SELECT due FROM job_round WHERE job = :job", {"job": job})
    return 0 if row is None else int(row[0])


@freeing_unit
def end_round(tx: Tx, args: RoundOver) -> bool:
    """Note that a round is over; False where another has the job by now, whose round goes on."""
    if not still_held(tx, args.lease):
        return False
    tx.execute(
        "INSERT INTO job_round (job, due) VALUES (:job, :due) ON CONFLICT (job) DO UPDATE SET due = excluded.due",
        {"job": args.lease.job, "due": args.due},
    )
    return True
