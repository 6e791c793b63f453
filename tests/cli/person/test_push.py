"""``immp push``, as people, scripts and devices use it, against a real server."""

import json
import stat
from pathlib import Path

import pytest
from tests.cli.running import Immp, profile_of
from tests.serving import Account, Serving

from immpd.cli.person.groups import GROUPS
from immpd.cli.person.profile import Profiles

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def rows(immp: Immp, *words: object) -> list[dict]:
    return (await immp("notifications", "list", "--json", *words)).rows


async def test_a_push_with_buttons_is_answered(server: Serving, alice: Account, account, home: Path, immp: Immp):
    bob = await account("bob")
    Profiles(home).save("bob", profile_of(server, bob), make_current=False)
    words = ["--answer", "Yes", "--answer", "no=Not now", "--action", "See=https://a.test/?a=b", "-l", "high"]
    pushed = await immp("push", alice, "-t", "Lunch?", *words, "--profile", "bob", "--json", stdin=b"At twelve.\n")
    (said,) = pushed.rows
    assert said["recipients"] == [
        {"recipient": str(alice), "outcome": "delivered", "code": 273, "text": "Delivered"},
    ]
    (row,) = await rows(immp)
    assert (row["title"], row["body"], row["level"], row["from"]) == ("Lunch?", "At twelve.", "high", str(bob))
    assert row["actions"] == [
        {"id": "yes", "label": "Yes"},
        {"id": "no", "label": "Not now"},
        {"id": "see", "label": "See", "url": "https://a.test/?a=b"},
    ]
    ((short, _, level, sender, text),) = (await immp("notifications")).cells
    assert (level, sender, text) == ("high", str(bob), "Lunch?  At twelve.  [yes: Yes] [no: Not now] [see: See]")
    shown = (await immp("notifications", "show", short)).out
    assert shown.endswith("At twelve.\n\n  yes  Yes\n  no  Not now\n  see  See  https://a.test/?a=b\n")
    status = ("notifications", "status", said["id"], "--profile", "bob")
    assert (await immp(*status)).cells == [[str(alice), "delivered", "", ""]]
    for wrong, word in (("maybe", "it has yes, no, see"), ("see", "https://a.test/?a=b")):
        refused = await immp("notifications", "answer", short, wrong)
        assert (refused.code, word in refused.err) == (1, True)
    assert (await immp("notifications", "answer", short, "not now")).out == "Answered\n"
    ((who, what, answer, _),) = (await immp(*status)).cells
    assert (who, what, answer) == (str(alice), "answered", "no")
    (told,) = (await immp(*status, "--json")).rows
    assert (told["status"], told["answer"]) == ("answered", "no")
    again = await immp("notifications", "answer", row["id"], "yes")
    assert (again.code, "ENDED" in again.err) == (1, True)
    assert await rows(immp) == []
    assert [one["status"] for one in await rows(immp, "--all")] == ["answered"]


async def test_an_update_a_dismissal_and_taking_back(alice: Account, immp: Immp):
    one, other = "0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60", "0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f61"
    said = [await immp("push", alice, "--body", body, "--id", one) for body in ("50 %", "50 %", "100 %")]
    assert [done.out for done in said] == [
        f"{alice}: {word}\n" for word in ("Delivered", "Delivered before", "Updated")
    ]
    assert (await immp("push", alice, "-t", "Disk", "--tag", "disk", "--body", "90 %")).code == 0
    assert (await immp("push", alice, "-t", "Disk", "--tag", "disk", "--body", "95 %", "--id", other)).code == 0
    assert [row["body"] for row in await rows(immp)] == ["95 %", "100 %"]
    assert (await immp("push", "--retract", other)).out == "Taken back\n"
    (left,) = await rows(immp)
    assert (await immp("notifications", "dismiss", left["id"][-8:], "--json")).rows == [{"text": "Dismissed"}]
    assert (await immp("push", "--retract", "0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f62")).code == 1


async def test_a_long_text_is_shown_whole(alice: Account, immp: Immp):
    text = "".join(f"line {number}\n" for number in range(2000))
    assert (await immp("push", alice, "-t", "Log", stdin=text.encode())).code == 0
    (row,) = await rows(immp)
    assert "body" not in row
    assert (await immp("notifications", "show", row["id"])).out.endswith("\n\n" + text)
    assert (await immp("notifications", "show", row["id"], "--json")).rows[0]["body"] == text.rstrip("\n")


async def test_times(serve, home: Path, immp: Immp):
    server = await serve()
    alice = await server.add_account("alice")
    Profiles(home).save("alice", profile_of(server, alice))
    state = (await immp("do", "MBOX", "CHECK", "/inbox")).out.split("s=")[1].strip()
    at = ("--at", "2026-01-01T01:30:00+01:00", "--ttl", "1h30m")
    assert (await immp("push", alice, "--body", "later", *at)).code == 0
    assert await rows(immp) == []
    server.clock.advance(1800)
    (event,) = [row for row in (await immp("watch", "--since", state, "--count", 1, "--json")).rows if "push" in row]
    assert event["body"] == "later"
    (row,) = await rows(immp)
    assert row["expires"] == "2026-01-01T02:00:00Z"


async def test_a_device_needs_a_token_and_nothing_else(server: Serving, alice: Account, immp: Immp, home, tmp_path):
    host, port = server.listen
    token = tmp_path / "nas.token"
    made = await immp("token", "add", "nas", "--level", "high", "--every", "1d", "--out", token)
    assert (made.code, made.out) == (0, f"nas is in {token}\n")
    said = f"immp push {alice} --token-file FILE --server {host}:{port} --fingerprint {server.fingerprint}\n"
    assert made.err.endswith(said)
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert (await immp("token", "add", "nas2", "--out", token)).code == 2
    assert [cells[:3] for cells in (await immp("token")).cells] == [["nas", "high", "every 86400 s"]]
    Profiles(home).remove(alice.address)
    where = ("--token-file", token, "--server", f"{host}:{port}", "--fingerprint", server.fingerprint)
    before = sorted(path.read_bytes() for path in home.rglob("*") if path.is_file())
    done = await immp("push", alice, "-t", "Disk 3\nis failing", "-l", "critical", *where, stdin=b"Replace it \xff.")
    assert (done.code, done.out, done.err) == (0, f"{alice}: Delivered\n", "")
    assert sorted(path.read_bytes() for path in home.rglob("*") if path.is_file()) == before
    Profiles(home).save(alice.address, profile_of(server, alice))
    (row,) = await rows(immp)
    assert (row["title"], row["body"], row["level"]) == ("Disk 3 is failing", "Replace it \ufffd.", "high")
    assert row["from"] == str(alice).replace("@", "/nas@")
    assert (await immp("token", "remove", "nas")).out == "nas is removed\n"
    refused = await immp("push", alice, "--body", "x", *where)
    assert (refused.code, refused.out) == (3, "")
    said = f"immp: The token in {token} is not accepted: it was removed, or is not one of {alice}\n"
    assert refused.err == said


async def test_a_token_is_shown_to_a_known_key_only(server: Serving, alice: Account, immp: Immp, tmp_path):
    host, port = server.listen
    token = tmp_path / "token"
    (made,) = (await immp("token", "add", "device", "--json")).rows
    token.write_text(made["token"])
    where = ("--token-file", token, "--server", f"{host}:{port}")
    # The log-in has met the key. Another machine has not.
    assert (await immp("push", alice, "--body", "x", *where)).code == 0
    for path in tmp_path.glob("home/known-peers*"):
        path.unlink()
    done = await immp("push", alice, "--body", "x", *where)
    assert (done.code, server.fingerprint in done.err) == (5, True)
    other = await immp("push", alice, "--body", "x", *where, "--fingerprint", "a" * 64)
    assert (other.code, other.out) == (5, "")
    assert [row["used"] != "" for row in (await immp("token", "list", "--json")).rows] == [True]
    assert len(await rows(immp)) == 1


async def test_what_a_stranger_may(serve, home: Path, immp: Immp):
    server = await serve(domains=("a.test", "site.test", "spam.test"))
    people = {name: await server.add_account(name) for name in ("alice", "shop@site.test", "eve@spam.test")}
    for name, one in people.items():
        Profiles(home).save(name.partition("@")[0], profile_of(server, one))
    as_alice, as_shop, as_eve = (("--profile", name) for name in ("alice", "shop", "eve"))
    alice = people["alice"]
    # One gets through and asks, the next waits: 75, which a script can tell from a refusal.
    assert (await immp("push", alice, "-t", "Your order", "--body", "", *as_shop)).code == 0
    waits = await immp("push", alice, "-t", "Your order", "--body", "2", *as_shop)
    assert (waits.code, "REQUEST-PENDING" in waits.err) == (75, True)
    ((short, _, origin, sender, title),) = (await immp("requests", *as_alice)).cells
    assert (origin, sender, title) == ("site.test", "shop@site.test", "Your order")
    (row,) = (await immp("requests", "list", "--json", *as_alice)).rows
    assert (row["id"][-8:], row["title"]) == (short, "Your order")
    assert (await immp("requests", "accept", short, *as_alice)).out == "site.test may notify you\n"
    assert (await immp("push", alice, "-t", "Your order", "--body", "2", *as_shop)).code == 0
    assert (await immp("push", alice, "--body", "Buy!", *as_eve)).code == 0
    assert (await immp("requests", "decline", "spam.test", *as_alice)).code == 0
    refused = await immp("push", alice, "--body", "Buy!", *as_eve)
    assert (refused.code, "DECLINED" in refused.err) == (1, True)
    known = (await immp("origins", "--json", *as_alice)).rows
    assert [(row["origin"], row["allowed"]) for row in known] == [("site.test", True), ("spam.test", False)]
    assert (await immp("origins", "forget", "spam.test", *as_alice)).code == 0
    assert (await immp("origins", "allow", "eve@spam.test", "--level", "low", *as_alice)).code == 0
    assert (await immp("origins", "deny", "site.test", *as_alice)).code == 0
    assert [cells[:2] for cells in (await immp("origins", "list", *as_alice)).cells] == [
        ["eve@spam.test", "up to low"],
        ["site.test", "denied"],
    ]
    assert (await immp("push", alice, "--body", "x", *as_shop)).code == 1
    assert (await immp("requests", "decline", "ffff", *as_alice)).code == 1


async def test_a_grant_opens_the_door_once(serve, home: Path, immp: Immp):
    server = await serve(domains=("a.test", "site.test"))
    for name in ("alice", "shop@site.test"):
        Profiles(home).save(name.partition("@")[0], profile_of(server, await server.add_account(name)))
    as_alice, as_shop = ("--profile", "alice"), ("--profile", "shop")
    made = await immp("grant", "add", "--for", "site.test", "--until", "2026-02-01T00:00:00Z", *as_alice)
    grant = made.out.strip()
    ((address, domain, uses, until),) = (await immp("grant", *as_alice)).cells
    assert (address, domain, uses, until) == (grant, "site.test", "1 use", "until 2026-02-01")
    assert (await immp("push", grant, "--body", "Confirm", "--answer", "OK", *as_shop)).out == f"{grant}: Delivered\n"
    again = await immp("push", grant, "--body", "Buy", *as_shop)
    assert (again.code, "BAD-GRANT" in again.err) == (1, True)
    (other,) = (await immp("grant", "add", "--uses", 3, "--json", *as_alice)).rows
    assert [row["uses"] for row in (await immp("grant", "list", "--json", *as_alice)).rows] == [3]
    assert (await immp("grant", "remove", other["address"], *as_alice)).code == 0
    assert (await immp("grant", "list", *as_alice)).out == ""


async def test_a_group_alone_lists(alice: Account, immp: Immp):
    for number in "12":
        assert (await immp("push", alice, "--body", number)).code == 0
    assert len((await immp("notifications")).cells) == 2
    assert [cells[4] for cells in (await immp("notifications", "-n", 1)).cells] == ["2"]
    for group, words in GROUPS.items():
        told = await immp(group, "--help")
        assert (told.code, all(name in told.out for name in words.commands)) == (0, True)


async def test_help_documents_the_exit_codes(immp: Immp):
    text = " ".join((await immp("push", "--help")).out.split())
    for code in (
        "0 delivered",
        "1 refused",
        "2 the command line",
        "3 the log-in",
        "4 the server is away",
        "5 it",
        "75 not",
    ):
        assert code in text


async def test_nobody_there(alice: Account, immp: Immp):
    refused = await immp("push", "nobody@a.test", "--body", "x")
    assert (refused.code, "NO-RECIPIENT" in refused.err) == (1, True)
    partly = await immp("push", alice, "nobody@a.test", "--body", "x", "--json")
    assert partly.code == 1
    assert [one["outcome"] for one in json.loads(partly.out)["recipients"]] == ["delivered", "refused"]


@pytest.mark.parametrize(
    "words",
    [
        ["push", "--body", "x"],
        ["push", "no address", "--body", "x"],
        ["push", "a@a.test", "--body", "x", "--action", "Open"],
        ["push", "a@a.test", "--body", "x", "--action", "Open=file:///etc"],
        ["push", "a@a.test", "--body", "x" * 2001, "--answer", "OK"],
        ["push", "a@a.test", "--body", "x", *["--answer", "A"] * 5],
        ["push", "a@a.test", "--body", "x", "--level", "loud"],
        ["push", "a@a.test", "--body", "x", "--tag", "x" * 65],
        ["push", "a@a.test", "--body", "x", "--ttl", "soon"],
        ["push", "a@a.test", "--body", "x", "--at", "tomorrow"],
        ["push", "a@a.test", "--body", "x", "--server", "a.test:1025"],
        ["push", "a@a.test", "b@a.test", "--body", "x", "--token-file", "/no/such"],
        ["push", "a@a.test", "--body", "x", "--token-file", "/no/such"],
        ["push", "a@a.test", "--body", "x", "--token-file", "/dev/null"],
        ["push", "a@a.test", "--body", "x", "--retract", "0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60"],
        ["notifications", "show", "zz"],
        ["notifications", "dismiss"],
        ["notifications", "status", "1234"],
        ["token", "add", "nas", "--every", "often"],
        ["token", "add", "nas", "--out", "/no/such/folder/token"],
        ["grant", "add", "--until", "soon"],
        ["grant", "remove", "no address"],
        ["requests", "accept", "zz"],
    ],
)
async def test_usage_errors_are_one_line(words: list[str], alice: Account, immp: Immp):
    done = await immp(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("immp: ")
    assert done.err.count("\n") == 1


@pytest.mark.usefixtures("alice")
async def test_what_one_sets_for_the_account(immp: Immp):
    done = await immp("settings", "push.repeat=300", "push.seen=YES", "--json")
    (said,) = done.rows
    assert said == {"push.quiet": "", "push.repeat": "300", "push.promote": "", "push.seen": "yes"}
    assert ["push.repeat", "300"] in (await immp("settings")).cells
    assert (await immp("settings", "push.repeat=", "push.seen=", "--json")).rows[0] == dict.fromkeys(said, "")
    refused = await immp("settings", "push.quiet=never")
    assert (refused.code, "[BAD-SETTING]" in refused.err) == (1, True)
    assert (await immp("settings", "push.repeat")).code == 2
