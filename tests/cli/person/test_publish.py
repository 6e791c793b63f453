"""``immp publish``, ``feed``, ``subscribe`` and what belongs to them, against a real server."""

from pathlib import Path
from uuid import uuid4

import pytest
from tests.cli.running import Immp, profile_of
from tests.serving import Account, Serving

from immpd.cli.person.profile import Profiles

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
async def bob(server: Serving, account, home: Path) -> Account:
    """Another account that is logged in."""
    made = await account("bob")
    Profiles(home).save(made.address, profile_of(server, made))
    return made


def feed_of(owner: Account, name: str = "news") -> str:
    local, _, domain = owner.address.partition("@")
    return f"{local}/{name}@{domain}"


async def test_a_feed_from_its_making_to_its_end(alice: Account, bob: Account, immp: Immp, tmp_path: Path) -> None:
    node, mine, his = feed_of(alice), ("--profile", alice.address), ("--profile", bob.address)
    done = await immp("feed", "create", node, "--title", "News", *mine)
    assert (done.code, done.out) == (0, f"Created {node}\n")
    done = await immp("subscribe", f"immp://{node}?subscribe", *his)
    assert (done.code, done.out) == (0, f"News: subscribed; immp unsubscribe {node} leaves\n")
    done = await immp("publish", node, "-t", "One", "--json", *mine, stdin=b"hello")
    (row,) = done.rows
    assert (row["node"], row["outcome"], row["accepted"]) == (node, "delivered", 1)
    (tmp_path / "page.html").write_bytes(b"<p>Two")
    item = str(uuid4())
    for text in ("Published", "Published before"):
        done = await immp(
            "publish", node, "-t", "Two", "-f", tmp_path / "page.html", "--id", item, "--important", *mine
        )
        assert (done.code, done.out) == (0, f"{node}: {text} to 1 subscriber\n")
    shown = (await immp("items", "--json", *his)).rows
    assert [(one["title"], one["type"], one.get("body")) for one in shown] == [
        ("One", "text/plain", "hello"),
        ("Two", "text/html", "<p>Two"),
    ]
    assert (await immp("items", node, "-n", 1, *his)).out.splitlines()[2] == "hello"
    watched = await immp("watch", "--since", shown[0]["cursor"], "--count", 1, *his)
    assert watched.out == f"item  {item[-8:]}  {node}  !  Two\n"
    watched = await immp("watch", "--since", shown[0]["cursor"], "--count", 1, "--json", *his)
    assert watched.rows[1]["title"] == "Two"
    (cells,) = (await immp("subscriptions", *his)).cells
    assert cells[:3] == ["News", node, "notification"]
    (row,) = (await immp("subscriptions", "--json", *his)).rows
    assert (row["items"], row["state"]) == (2, "active")
    stats = await immp("feed", "stats", node, *mine)
    assert stats.out.splitlines()[0] == f"{node}  News: 1 subscriber, 2 items kept"
    assert stats.cells[1][2:] == ["1 have it", "Two"]
    done = await immp("push", bob.address, "-t", "Now", "--body", "", "--from", node, *mine)
    assert done.code == 0
    (row,) = (await immp("notifications", "--json", *his)).rows
    assert (row["from"], row["why"]) == (node, "subscribed")
    assert (await immp("subscribe", node, "--seen", *his)).code == 0
    done = await immp("items", "--dismiss", f"{node}#ffffffff", *his)
    assert (done.code, done.err) == (1, f"immp: There is no item ffffffff in {node}\n")
    assert (await immp("items", "--dismiss", f"{node}#{item[-8:]}", *his)).out == "Dismissed\n"
    stats = await immp("feed", "stats", node, *mine)
    assert stats.cells[1][2:] == ["1 have it, 1 saw it", "Two"]
    assert stats.cells[1][0] == item[-8:]
    done = await immp("feed", "retract", f"{node}#{stats.cells[1][0]}", *mine)
    assert done.out == "Retracted\n"
    states = [one["state"] for one in (await immp("feed", "stats", node, "--json", *mine)).rows]
    assert states == ["retracted", "published"]
    assert (await immp("subscribe", node, "--mail", "--folder", "archive", "--mute", *his)).code == 0
    (cells,) = (await immp("subscriptions", *his)).cells
    assert cells[2] == "message, muted to /ARCHIVE"
    (row,) = (await immp("subscriptions", "--json", *his)).rows
    done = await immp("unsubscribe", row["id"], *his)
    assert (done.code, done.out) == (0, "News: left\n")
    done = await immp("unsubscribe", node, *his)
    assert (done.code, done.err) == (1, "immp: There is no such subscription [NO-SUBSCRIPTION]\n")
    done = await immp("push", bob.address, "-t", "Now", "--body", "", "--from", node, *mine)
    assert done.code == 1
    assert "has left it [NO-SUBSCRIPTION]" in done.err
    assert (await immp("feed", "remove", node, *mine)).out == f"Removed {node}\n"
    assert (await immp("feed", "ls", *mine)).out == ""


async def test_a_moderated_list_and_its_members(alice: Account, bob: Account, immp: Immp) -> None:
    node, mine, his = feed_of(alice, "club"), ("--profile", alice.address), ("--profile", bob.address)
    await immp("feed", "create", node, "--access", "members", "--list", "--moderated", *mine)
    done = await immp("subscribe", node, "--mail", *his)
    assert (done.code, done.err) == (1, "immp: There is no such feed [NO-NODE]\n")
    assert (await immp("feed", "set", node, "--access", "approve", "-t", "The club", *mine)).out == f"Changed {node}\n"
    done = await immp("subscribe", node, "--mail", "--folder", "archive", *his)
    assert done.out == "The club: the owner has to let you in\n"
    assert (await immp("feed", "members", node, *mine)).cells[0][:2] == [bob.address, "waiting"]
    done = await immp("feed", "members", node, "--accept", bob.address, *mine)
    assert done.out == f"{bob.address} is subscribed to {node}\n"
    done = await immp("publish", node, "-t", "Hello", "-m", "Everybody", "--json", *his)
    (row,) = done.rows
    assert row["outcome"] == "queued"
    (cells,) = (await immp("feed", "stats", node, *mine)).cells[1:]
    assert row["id"].endswith(cells[0])
    done = await immp("feed", "accept", f"{node}#{cells[0]}", *mine)
    assert done.out == f"{node}: Published to 1 subscriber\n"
    done = await immp("feed", "members", node, "--add", "carol@a.test", "--publisher", "dave@a.test", *mine)
    assert done.out == f"carol@a.test is a member of {node}\ndave@a.test is a publisher of {node}\n"
    roles = [(row["address"], row["role"]) for row in (await immp("feed", "members", node, "--json", *mine)).rows]
    assert roles == [("carol@a.test", "member"), ("dave@a.test", "publisher"), (bob.address, "subscriber")]
    done = await immp("feed", "members", node, "--remove", bob.address, *mine)
    assert done.out == f"{bob.address} is removed from {node}\n"
    assert (await immp("subscriptions", *his)).out == ""


@pytest.mark.usefixtures("alice")
async def test_what_is_wrong_on_the_line(immp: Immp) -> None:
    for words, said in (
        (("publish", "x/y@a.test", "-m", "a", "-f", "b"), "--message and --file exclude each other"),
        (("subscribe", "x/y@a.test", "--push", "--mail"), "--push, --mail and --digest exclude each other"),
        (("feed", "retract", "x/y@a.test"), "Name one item: FEED#ID, with the id or at least 4"),
        (("items", "--dismiss", "x/y@a.test#no"), "Name one item: FEED#ID, with the id or at least 4"),
        (("unsubscribe", "nonsense"), "A subscription is named by its node, account/name@domain, or by its id"),
        (("publish", "nobody", "-m", "a"), "There is no @"),
        (("publish", "x/y@a.test", "-f", "/nowhere/at/all"), "/nowhere/at/all: No such file or directory"),
    ):
        done = await immp(*words)
        assert done.code == 2
        assert said in done.err
    done = await immp("publish", "x/y@a.test", "-m", "a")
    assert (done.code, done.err) == (1, "immp: There is no such feed [NO-NODE]\n")
    done = await immp("items", "x/y@a.test")
    assert (done.code, done.err) == (1, "immp: There is no such subscription [NO-SUBSCRIPTION]\n")
