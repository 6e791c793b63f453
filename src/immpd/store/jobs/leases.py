"""Leases: which process does a job, or a subject of it, at present.

Rules: a lease ends by itself, so a process that was killed keeps nobody waiting for longer; taking one that is
somebody's changes nothing; the times of all processes are those of clocks that agree within seconds, and what two
do at once all the same does no harm, for a step may run twice (docs/why/jobs.md). They are units that free, so that
jobs which make room run where room is short.
"""

import msgspec

from immpd.model.news import Wake
from immpd.store.units import Tx, freeing_unit, read_unit

LEASE = 30_000
"""Milliseconds that a lease lasts unless it is renewed."""
_SWEPT = 100


class Lease(msgspec.Struct, frozen=True):
    """What is leased, and to whom."""

    job: str
    subject: str
    """Empty: all of the job."""
    holder: bytes
    """The random number of a process."""


class AskLease(msgspec.Struct, frozen=True):
    """Arguments of ``take_lease`` and ``lease_of_others``; ``now`` in milliseconds UTC."""

    lease: Lease
    now: int


class Holder(msgspec.Struct, frozen=True):
    """Arguments of ``give_leases``."""

    holder: bytes


_KEY = "job = :job AND subject = :subject"


def _row(lease: Lease, now: int) -> dict[str, object]:
    return {
        "job": lease.job,
        "subject": lease.subject,
        "holder": lease.holder,
        "now": now,
        "until": now + LEASE,
    }


@read_unit
def lease_of_others(tx: Tx, args: AskLease) -> int | None:
    """Until when another has it, milliseconds UTC; None: nobody else has."""
    row = tx.one(
        f"SELECT until FROM job_lease WHERE {_KEY} AND holder <> :holder AND until > :now AND until <= :until",  # noqa: S608
        _row(args.lease, args.now),
    )
    return None if row is None else int(row[0])


@freeing_unit
def take_lease(tx: Tx, args: AskLease) -> bool:
    """Take it, or renew it; False where another has it.

    One that lasts longer than any can was given by a clock that went wrong, and counts as over.
    """
    key = _row(args.lease, args.now)
    taken = tx.one(
        "INSERT INTO job_lease (job, subject, holder, until) VALUES (:job, :subject, :holder, :until)"
        " ON CONFLICT (job, subject) DO UPDATE SET holder = excluded.holder, until = excluded.until"
        " WHERE job_lease.holder = :holder OR job_lease.until <= :now OR job_lease.until > :until RETURNING until",
        key,
    )
    if taken is not None and args.lease.subject:
        key["limit"] = _SWEPT
        tx.execute(
            "DELETE FROM job_lease WHERE job = :job AND subject IN"
            " (SELECT subject FROM job_lease WHERE job = :job AND until <= :now LIMIT :limit)",
            key,
        )
    return taken is not None


def still_held(tx: Tx, lease: Lease) -> bool:
    """Whether nobody else has taken it; nobody will until the commit. For units that only its holder may run."""
    key = {"job": lease.job, "subject": lease.subject, "holder": lease.holder}
    return tx.one(f"UPDATE job_lease SET until = until WHERE {_KEY} AND holder = :holder RETURNING 1", key) is not None  # noqa: S608


@freeing_unit
def give_leases(tx: Tx, args: Holder) -> None:
    """Give all of a process to whoever wants them."""
    rows = tx.rows("DELETE FROM job_lease WHERE holder = :holder RETURNING job", {"holder": args.holder})
    tx.tell(*[Wake(job) for job in dict.fromkeys(row[0] for row in rows)])


@read_unit
def any_lease(tx: Tx, _: None) -> bool:
    """Whether there is one of anybody, over or not."""
    return tx.one("SELECT 1 FROM job_lease LIMIT 1") is not None


@freeing_unit
def drop_leases(tx: Tx, _: None) -> None:
    """Drop all, where nobody lives who could have one."""
    tx.execute("DELETE FROM job_lease")
