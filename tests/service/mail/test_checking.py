"""MBOX CHECK of a view: what it counts, and that nobody waits for it."""

import json

import pytest
from tests.service.driving import account, answers, services_in
from tests.service.filling import fill

from immpd.model.imid import parse_imid
from immpd.protocol.commands import MboxCheck, MboxFlag, MboxIndex
from immpd.service.outcome import Step
from immpd.store.mail.messages import SCAN_FLAGS

MANY = 9000
"""More than two pages of what is counted."""


async def shown(session, path, **how):
    octets = (await answers(session, MboxIndex(path=parse_imid(path), json=True, **how)))[1]
    return [json.loads(line[5:]) for line in octets.splitlines()]


@pytest.fixture(scope="module")
async def alice(tmp_path_factory):
    async with services_in(tmp_path_factory.mktemp("checking")) as services:
        session = await account(services, "alice@demo.test")
        await fill(services, "alice@demo.test", MANY)
        ids = [row["id"] for row in (await shown(session, "/inbox", reverse=True, limit=4500))[::3]]
        for at in range(0, len(ids), 200):
            path = parse_imid("/inbox#" + ",".join(ids[at : at + 200]))
            await session.call(MboxFlag(path=path, flags=(("FLAGGED", True), ("READ", at % 400 == 0), ("todo", True))))
        yield session


@pytest.mark.parametrize(
    "view",
    ["*", "unread", "read", "flagged", "!flagged,unread", "keyword:todo,read", "from:a", "since:2000-01-01", "mine"],
)
async def test_a_view_has_as_many_messages_as_index_shows(alice, view):
    (row,) = (await alice.call(MboxCheck(path=parse_imid(f"/inbox::{view}")))).rows
    rows = await shown(alice, f"/inbox::{view}")
    assert (row.t, row.u) == (len(rows), sum("READ" not in one["flags"] for one in rows))


async def test_each_step_of_counting_is_short(alice):
    """It looks at a bounded number of messages, whatever the folder holds."""
    outcome, steps = alice.begin(MboxCheck(path=parse_imid("/inbox::!keyword:todo,!flagged")), None), 0
    while isinstance(outcome, Step):
        outcome, steps = outcome.then(await alice.services.store.read(outcome.unit)), steps + 1
    assert steps == 1 + 1 + MANY // SCAN_FLAGS
    assert outcome.rows[0].t == MANY - 1500
