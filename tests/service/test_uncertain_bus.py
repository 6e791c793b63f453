"""Whoever listens survives a bus between processes: what is late, doubled or lost is neither missed nor told twice."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
from tests.bus.uncertain import FATES, UncertainBus
from tests.server.quiet import until
from tests.service.accounts.test_sessions import ended, is_there, verifier
from tests.service.feeds.test_watching import a_node, event, publish, subscribe, titles, watching
from tests.serving import Serving, serving

BUSES = [pytest.param((seed, FATES), id=f"seed-{seed}") for seed in range(4)] + [
    pytest.param((0, ("lost",)), id="all-lost"),
    pytest.param((0, ("arrives", "doubled")), id="all-doubled"),
]


@pytest.fixture(params=BUSES)
async def uncertain(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Serving, UncertainBus]]:
    seed, fates = request.param
    bus = UncertainBus(Random(seed), fates)
    async with serving(tmp_path, bus=bus) as server:
        yield server, bus


def number(cursor: str) -> int:
    return int(cursor.split(".")[1])


async def test_a_watch_shows_every_change_once_and_in_order(uncertain, talk):
    server, _ = uncertain
    alice = await server.unique_account()
    watches, one = [await talk(alice, on=server) for _ in range(2)], await talk(alice, on=server)
    begun = [number(await watching(watch)) for watch in watches]
    for count in range(15):
        await one.deliver(alice, subject=f"{count}")
        one.send("MBOX FLAG /inbox::* +STAR" if count % 2 else "MBOX FLAG /inbox::* -STAR")
        assert (await one.reply()).code == 200
    last = (await one.ask("MBOX CHECK /inbox")).lines[0]
    newest = int(last.rpartition(".")[2])
    for watch, since in zip(watches, begun, strict=True):
        shown = [number((await event(watch))["cursor"]) for _ in range(newest - since)]
        assert shown == list(range(since + 1, newest + 1))


async def test_a_watch_shows_every_item_once_and_in_the_order_of_the_commits(uncertain, talk):
    server, _ = uncertain
    owners = [await server.unique_account("news") for _ in range(3)]
    publishing = [await talk(owner, on=server) for owner in owners]
    nodes = [await a_node(one, owner) for one, owner in zip(publishing, owners, strict=True)]
    readers = [await talk(await server.unique_account("reader"), on=server) for _ in range(3)]
    for at, reader in enumerate(readers):
        for node in nodes[at:]:
            await subscribe(reader, node)
        await watching(reader)
    for round_ in range(12):
        for at, one in enumerate(publishing):
            one.send(publish(nodes[at], f"{at}.{round_}"))
    for one in publishing:
        assert {(await one.reply()).code for _ in range(12)} == {273}
    for at, reader in enumerate(readers):
        seen = await titles(reader, 12 * (3 - at))
        for node in range(at, 3):
            assert [title for title in seen if title.startswith(f"{node}.")] == [f"{node}.{n}" for n in range(12)]
    # Nothing comes behind them, whatever is still under way on the wire.
    assert (await publishing[2].ask(publish(nodes[2], "The end"))).code == 273
    for reader in readers:
        assert (await event(reader))["title"] == "The end"


async def test_the_end_of_an_account_ends_its_sessions_and_nobody_elses(uncertain, talk):
    server, _ = uncertain
    gone, changed, stays = [await server.unique_account(name) for name in ("gone", "changed", "stays")]
    (one,), (changing, idle), (other,) = [
        [await talk(who, on=server) for _ in range(count)] for who, count in ((gone, 1), (changed, 2), (stays, 1))
    ]
    operator = await talk(how="operator", on=server)
    assert (await operator.ask(f"ACCOUNT DISABLE {gone}")).code == 200
    assert [line[:14] for line in await ended(one)] == ["751 [DISABLED]"]
    answer = await changing.ask(f"AUTH PASSWORD {verifier(server, changed)}")
    assert (answer.code, answer.fields["ended"]) == (200, "1")
    assert [line[:22] for line in await ended(idle)] == ["751 [PASSWORD-CHANGED]"]
    assert await is_there(changing)
    assert await is_there(other)


async def test_jobs_are_woken(uncertain, talk):
    server, _ = uncertain
    owner, reader = await server.unique_account("news"), await server.unique_account("reader")
    one, other = await talk(owner, on=server), await talk(reader, on=server)
    node = await a_node(one, owner)
    await subscribe(other, node, "+MAIL")
    await watching(other)
    assert (await one.ask(publish(node, "By mail"))).code == 273
    shown = await event(other)
    assert (shown["event"], shown["subject"]) == ("mail", "By mail")
    later = await talk(reader, on=server)
    assert (await later.ask(f"PUSH TO {reader} AT 2026-01-01T00:00:20Z LENGTH 2\nhi")).code == 273
    await until(lambda: server.clock.sleeping(20.5))
    server.clock.advance(20)
    assert (await event(other))["event"] == "notification"
