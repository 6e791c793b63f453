"""Leases and rounds of jobs, on every backend: one holder at a time, and none for longer than it says."""

import pytest
from tests.store.conftest import Kept
from tests.store.making import NOW

from immpd.model.news import Wake
from immpd.store.contract import Store
from immpd.store.jobs.leases import (
    LEASE,
    AskLease,
    Holder,
    Lease,
    any_lease,
    drop_leases,
    give_leases,
    lease_of_others,
    take_lease,
)
from immpd.store.jobs.rounds import RoundOver, end_round, round_due
from immpd.store.units import Tx, read_unit

ONE, OTHER = b"1" * 16, b"2" * 16


async def take(store: Store, holder: bytes, now: int = NOW, job: str = "job", subject: str = "") -> bool:
    """Whether this holder has it from now on."""
    ask = AskLease(Lease(job, subject, holder), now)
    taken = await store.write(take_lease(ask))
    assert (await store.read(lease_of_others(ask)) is None) == taken
    return taken


@read_unit
def subjects(tx: Tx, _: None) -> list[str]:
    return [row[0] for row in tx.rows("SELECT subject FROM job_lease ORDER BY subject")]


async def test_one_has_it_until_it_ends(store: Store) -> None:
    assert await take(store, ONE)
    assert not await take(store, OTHER, NOW + LEASE - 1)
    assert await store.read(lease_of_others(AskLease(Lease("job", "", OTHER), NOW + 1))) == NOW + LEASE
    assert await take(store, ONE, NOW + 10)  # renewed
    assert not await take(store, OTHER, NOW + LEASE)
    assert await take(store, OTHER, NOW + LEASE + 10)
    assert not await take(store, ONE, NOW + LEASE + 11)


async def test_of_a_divided_job_each_subject_is_leased_and_those_that_are_over_go(store: Store) -> None:
    assert await take(store, ONE, subject="a")
    assert await take(store, OTHER, subject="b")
    assert not await take(store, OTHER, subject="a")
    assert await take(store, ONE, job="other job")
    assert await take(store, OTHER, NOW + LEASE, subject="c")
    assert await store.read(subjects(None)) == ["", "c"]


async def test_who_leaves_gives_what_it_has_and_wakes_the_others(kept: Kept) -> None:
    for job in ("x", "y"):
        assert await take(kept.store, ONE, job=job)
    assert await take(kept.store, OTHER, job="z")
    kept.heard.take(Wake)
    await kept.store.write(give_leases(Holder(ONE)))
    assert sorted(kept.heard.take(Wake), key=lambda wake: wake.job) == [Wake("x"), Wake("y")]
    assert await take(kept.store, OTHER, job="x")
    assert not await take(kept.store, ONE, job="z")
    await kept.store.write(drop_leases(None))
    assert not await kept.store.read(any_lease(None))


@pytest.mark.parametrize("wrong", [2 * LEASE, 365 * 86_400_000])
async def test_a_lease_of_a_clock_that_was_far_ahead_counts_as_over(store: Store, wrong: int) -> None:
    assert await take(store, ONE, NOW + wrong)
    assert await take(store, OTHER)


async def test_only_its_holder_ends_a_round(store: Store) -> None:
    lease = Lease("job", "", ONE)
    assert await store.read(round_due("job")) == 0
    assert await take(store, ONE)
    for due in (NOW + 1, NOW + 2):
        assert await store.write(end_round(RoundOver(lease, due)))
        assert await store.read(round_due("job")) == due
    assert await take(store, OTHER, NOW + LEASE)
    assert not await store.write(end_round(RoundOver(lease, NOW + 3)))
    assert await store.read(round_due("job")) == NOW + 2
