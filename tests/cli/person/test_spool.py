"""``immp push --spool``: nothing is lost while the server is away, and nothing is shown twice."""

import asyncio
import json
import os
import stat
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.cli.running import Immp, profile_of
from tests.serving import Account, Serving
from tests.way import Way

from immpd.cli.person.profile import Profiles
from immpd.cli.person.push_route import Card, Route
from immpd.cli.person.spool import MOST, Kept, Spool
from immpd.client import new_id


@pytest.fixture
async def way(server: Serving) -> AsyncIterator[Way]:
    one = Way()
    one.server = server
    await one.open()
    yield one
    await one.close()


@pytest.fixture
async def nas(server: Serving, alice: Account, immp: Immp, way: Way, tmp_path: Path) -> list[object]:
    """The words with which a device of alice notifies her."""
    assert (await immp("token", "add", "nas", "--out", tmp_path / "token")).code == 0
    where = ["--server", f"127.0.0.1:{way.port}", "--fingerprint", server.fingerprint]
    return ["push", alice, "--token-file", tmp_path / "token", *where, "--spool", tmp_path / "spool"]


def waiting(spool: Path) -> list[dict]:
    return [json.loads(path.read_bytes()) for path in sorted(spool.glob("*.json"))]


def aged(spool: Path, seconds: int, **changes: object) -> None:
    """What waits there, as it will be so many seconds later."""
    for path in spool.glob("*.json"):
        kept = msgspec.json.decode(path.read_bytes(), type=Kept)
        made, shown, tried = (at - seconds * 1000 for at in (kept.made, kept.shown, kept.tried))
        older = msgspec.structs.replace(kept, made=made, shown=shown, tried=tried, **changes)
        path.write_bytes(msgspec.json.encode(older))


async def bodies(immp: Immp) -> list[str]:
    return [row["body"] for row in (await immp("notifications", "--json")).rows][::-1]


async def test_what_the_server_could_not_take_follows_in_order(alice: Account, immp: Immp, nas, way: Way, tmp_path):
    spool = tmp_path / "spool"
    flush = ("push", "--spool", spool, "--flush")
    await way.close()
    for number in "12":
        done = await immp(*nas, "--body", number)
        assert (done.code, done.out) == (4, "")
        assert f"{alice}: kept, to be sent later: Cannot reach the server" in done.err
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in spool.glob("*.json")} == {0o600}
    secret = (tmp_path / "token").read_text().strip()
    assert all(secret not in json.dumps(one) for one in waiting(spool))
    await way.open()
    # A flush that nobody asks for waits longer after each failure, a new notification does not.
    assert ((await immp(*flush)).code, len(waiting(spool))) == (4, 2)
    third = await immp(*nas, "--body", "3", "--json")
    ((row),) = third.rows
    assert (third.code, row["outcome"], row["recipient"]) == (0, "delivered", str(alice))
    assert await bodies(immp) == ["1", "2", "3"]
    assert waiting(spool) == []
    assert ((await immp(*flush)).code, (await immp(*flush)).out) == (0, "")


async def test_a_flush_sends_what_is_due(alice: Account, immp: Immp, nas, way: Way, tmp_path):
    spool = tmp_path / "spool"
    await way.close()
    await immp(*nas, "--body", "1")
    await immp(*nas, "--body", "2")
    waits = [one["wait"] for one in waiting(spool)]
    assert waits[0] > 5  # the first was tried twice, the second only held up
    await way.open()
    aged(spool, 15)
    done = await immp("push", "--spool", spool, "--flush", "--json")
    assert [(row["outcome"], row["exit"]) for row in done.rows] == [("delivered", 0)] * 2
    assert await bodies(immp) == ["1", "2"]


async def test_a_lost_answer_shows_nothing_twice(
    server: Serving, alice: Account, immp: Immp, nas, way: Way, tmp_path: Path
):
    before = len(server.log.events("notification accepted"))
    way.cut = lambda: len(server.log.events("notification accepted")) > before
    done = await immp(*nas, "--body", "once", "--ttl", "1h")
    assert (done.code, len(waiting(tmp_path / "spool"))) == (4, 1)
    assert await bodies(immp) == ["once"]
    (seen,) = (await immp("notifications", "--json")).rows
    assert (await immp("notifications", "dismiss", seen["id"])).code == 0
    way.cut = lambda: False
    aged(tmp_path / "spool", 600)
    flushed = await immp("push", "--spool", tmp_path / "spool", "--flush")
    assert (flushed.code, flushed.out) == (0, f"{alice}: Delivered before\n")
    assert await bodies(immp) == []


async def test_time_to_live_counts_from_when_it_was_made(alice: Account, immp: Immp, nas, way: Way, tmp_path: Path):
    spool = tmp_path / "spool"
    await way.close()
    await immp(*nas, "--body", "fresh", "--ttl", "1h")
    aged(spool, 1800)
    await way.open()
    assert (await immp("push", "--spool", spool, "--flush")).code == 0
    (row,) = (await immp("notifications", "--json")).rows
    assert row["created"] == "2026-01-01T00:00:00Z"  # where the server's time stands still
    assert "2026-01-01T00:29:00Z" < row["expires"] <= "2026-01-01T00:30:00Z"
    await way.close()
    await immp(*nas, "--body", "stale", "--ttl", "1h")
    aged(spool, 3601)
    await way.open()
    over = await immp("push", "--spool", spool, "--flush")
    assert (over.code, "set aside: Its time is over. Cannot reach" in over.err) == (1, True)
    assert (waiting(spool), await bodies(immp)) == ([], ["fresh"])
    (aside,) = waiting(spool / "refused")
    assert (aside["to"], "Its time is over" in aside["why"]) == (str(alice), True)


async def test_what_is_refused_is_set_aside_and_holds_nothing_up(
    server: Serving, alice: Account, immp: Immp, way: Way, home: Path, tmp_path: Path
):
    spool = tmp_path / "spool"
    Profiles(home).save("far", profile_of(server, alice, server=f"127.0.0.1:{way.port}"), make_current=False)
    words = ("--spool", spool, "--profile", "far")
    await way.close()
    kept = await immp("push", "nobody@a.test", alice, "--body", "1", "--json", *words)
    assert [row["outcome"] for row in kept.rows] == ["kept", "kept"]
    await way.open()
    done = await immp("push", alice, "--body", "2", *words)
    assert (done.code, done.out) == (0, f"{alice}: Delivered\n")
    assert "An earlier notification to nobody@a.test is set aside: There is no mailbox" in done.err
    assert await bodies(immp) == ["1", "2"]
    (aside,) = waiting(spool / "refused")
    assert "NO-RECIPIENT" in aside["why"]
    refused = await immp("push", "nobody@a.test", "--body", "3", *words)
    assert (refused.code, "nobody@a.test: set aside: There is no mailbox" in refused.err) == (1, True)


async def test_a_token_that_was_removed_loses_nothing(alice: Account, immp: Immp, nas, tmp_path: Path):
    spool = tmp_path / "spool"
    await immp("token", "remove", "nas")
    for body in "12":
        assert (await immp(*nas, "--body", body)).code == 3
    assert len(waiting(spool)) == 2
    (tmp_path / "token").unlink()
    assert (await immp(*nas, "--body", "3")).code == 2
    await immp("token", "add", "nas", "--out", tmp_path / "token")
    assert (await immp(*nas, "--body", "3")).code == 0
    assert await bodies(immp) == ["1", "2", "3"]


async def test_a_recipient_who_has_not_answered_holds_up_nobody_else(serve, home: Path, immp: Immp, tmp_path: Path):
    server = await serve(domains=("a.test", "site.test"))
    for name in ("alice", "bob", "shop@site.test"):
        Profiles(home).save(name.partition("@")[0], profile_of(server, await server.add_account(name)))
    words = ("--spool", tmp_path / "spool", "--profile", "shop")
    assert (await immp("push", "alice@a.test", "--body", "1", *words)).code == 0
    waits = await immp("push", "alice@a.test", "--body", "2", *words)
    assert (waits.code, "REQUEST-PENDING" in waits.err) == (75, True)
    assert (await immp("push", "bob@a.test", "--body", "3", *words)).code == 0
    assert (await immp("requests", "accept", "site.test", "--profile", "alice")).code == 0
    assert (await immp("push", "--spool", tmp_path / "spool", "--flush")).code == 75
    aged(tmp_path / "spool", 86_401, ttl=2 * 86_400)
    assert (await immp("push", "--spool", tmp_path / "spool", "--flush")).code == 0
    rows = (await immp("notifications", "--json", "--profile", "alice")).rows
    assert [row["body"] for row in rows] == ["2", "1"]


async def test_several_processes_send_each_once(
    server: Serving, alice: Account, immp: Immp, nas, way: Way, tmp_path: Path
):
    await way.close()
    for number in range(12):
        await immp(*nas, "--body", number)
    await way.open()
    before = len(server.log.events("notification accepted"))
    command = [str(Path(sys.executable).parent / "immp"), *map(str, nas), "--body"]
    processes = [
        await asyncio.create_subprocess_exec(
            *command, f"new {n}", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=os.environ
        )
        for n in range(3)
    ]
    said = [await one.communicate() for one in processes]
    assert [one.returncode for one in processes] == [0, 0, 0], said
    assert [out.decode() for out, _ in said] == [f"{alice}: Delivered\n"] * 3
    assert len(server.log.events("notification accepted")) - before == 15
    got = await bodies(immp)
    assert (got[:12], sorted(got[12:])) == ([str(n) for n in range(12)], ["new 0", "new 1", "new 2"])


async def test_a_process_that_is_killed_loses_nothing(
    server: Serving, alice: Account, immp: Immp, nas, way: Way, tmp_path: Path
):
    reached = asyncio.Event()
    before = len(server.log.events("notification accepted"))

    def silent() -> bool:
        if len(server.log.events("notification accepted")) > before:
            reached.set()
        return reached.is_set()

    way.hold = silent
    command = [str(Path(sys.executable).parent / "immp"), *map(str, nas), "--body", "once"]
    process = await asyncio.create_subprocess_exec(*command, env=os.environ, stderr=asyncio.subprocess.DEVNULL)
    await asyncio.wait_for(reached.wait(), 30)
    process.kill()
    await process.wait()
    way.hold = lambda: False
    assert len(waiting(tmp_path / "spool")) == 1
    done = await immp(*nas, "--body", "next")
    assert (done.code, done.out) == (0, f"{alice}: Delivered\n")
    assert (await bodies(immp), waiting(tmp_path / "spool")) == (["once", "next"], [])
    assert len(server.log.events("notification accepted")) == before + 3


async def test_a_server_that_falls_silent(server: Serving, alice: Account, immp: Immp, nas, way: Way, tmp_path: Path):
    before = len(server.log.events("notification accepted"))
    way.hold = lambda: len(server.log.events("notification accepted")) > before
    done = await immp(*nas, "--body", "once", "--timeout", "1s")
    assert (done.code, "did not answer within 1 s" in done.err) == (4, True)
    way.hold = lambda: False
    assert (await immp(*nas, "--body", "next", "--timeout", "1s")).code == 0
    assert await bodies(immp) == ["once", "next"]


async def test_what_cannot_be_kept_is_sent_all_the_same(
    server: Serving, alice: Account, immp: Immp, nas, way: Way, tmp_path: Path
):
    await way.close()
    await immp(*nas, "--body", "first")
    spool = Spool(tmp_path / "spool")
    (name,) = spool.names()
    kept = spool.read(name)
    assert kept is not None
    for path in (f"{number:010d}-00000000.json" for number in range(2, MOST + 1)):
        (spool.folder / path).write_bytes(msgspec.json.encode(kept))
    full = await immp(*nas, "--body", "one more")
    assert (full.code, "is full" in full.err) == (2, True)
    assert len(spool.names()) == MOST
    host, port = server.listen
    sent = await immp(*[f"{host}:{port}" if one == f"127.0.0.1:{way.port}" else one for one in nas], "--body", "sent")
    assert (sent.code, sent.out, "cannot be kept" in sent.err) == (0, f"{alice}: Delivered\n", True)
    assert await bodies(immp) == ["sent"]
    await way.open()
    nowhere = [*nas[:-1], "/proc/no/such/folder"]  # as a disk that takes nothing
    sent = await immp(*nowhere, "--body", "sent, too")
    assert (sent.code, sent.out, "cannot be kept" in sent.err) == (0, f"{alice}: Delivered\n", True)
    await way.close()
    assert (await immp(*nowhere, "--body", "lost")).code == 2


async def test_what_makes_no_spool(alice: Account, immp: Immp, nas, tmp_path: Path):
    spool = tmp_path / "spool"
    spool.mkdir(mode=0o777)
    spool.chmod(0o777)
    done = await immp(*nas, "--body", "x")
    assert (done.code, "writable by you alone" in done.err) == (2, True)
    spool.chmod(0o700)
    (spool / "0000000001-00000000.json").write_text("{")
    (spool / ".0000000002-00000000.json.half.new").write_text("{")
    done = await immp(*nas, "--body", "x")
    assert (done.code, "cannot be read" in done.err) == (0, True)
    assert [path.name for path in (spool / "refused").iterdir()] == ["0000000001-00000000.json"]
    assert [path.name for path in spool.iterdir() if path.name.endswith((".json", ".new"))] == []
    assert (await immp("push", "--flush")).code == 2
    assert (await immp("push", alice, "--flush", "--spool", spool)).code == 2


def test_a_clock_that_is_put_back_makes_nothing_wait_longer():
    now = time.time_ns() // 1_000_000
    kept = Kept(to="a@a.test", card=Card(id=new_id()), route=Route(), made=now, ttl=60, shown=now, tried=now, wait=5)
    assert (kept.is_due(now), kept.is_due(now + 5000), kept.is_due(now - 1)) == (False, True, True)
    assert (kept.left(now - 10_000), kept.left(now + 59_999), kept.left(now + 60_000)) == (60, 1, 0)
