"""``immp reply``, ``forward``, ``thread`` and ``draft``, against a real server."""

from pathlib import Path

import pytest
from tests.cli.running import Immp, profile_of
from tests.serving import Account, Serving

from immpd.cli.person.profile import Profiles
from immpd.cli.person.send import delivered
from immpd.client import Client, ConnectionLost, new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
async def bob(server: Serving, account, alice: Account, home: Path) -> Account:
    """Another account, whose log-in is the profile ``bob``."""
    made = await account("bob")
    Profiles(home).save("bob", profile_of(server, made), make_current=False)
    return made


async def _newest(immp: Immp, folder: str = "INBOX", *words: str) -> str:
    return (await immp("ls", folder, "-n", 1, "--json", *words)).rows[0]["id"]


AS_BOB = ("--profile", "bob")


async def test_an_answer_and_its_conversation(alice: Account, bob: Account, immp: Immp) -> None:
    await immp("send", bob, "-s", "Lunch", "-m", "At noon?")
    question = await _newest(immp, "INBOX", *AS_BOB)
    done = await immp("reply", question[-8:], "--quote", *AS_BOB, stdin=b"Yes\n")
    assert (done.code, done.out) == (0, f"{alice}: Delivered\n")
    assert (await immp("ls", "--json", *AS_BOB)).rows[0]["flags"] == ["ANSWERED"]
    answer = await _newest(immp)
    (message,) = (await immp("read", answer, "--json")).rows
    assert message["envelope"]["subject"] == "Re: Lunch"
    assert message["parts"][0]["data"].endswith(f"{alice} wrote:\n> At noon?\n\nYes\n")
    assert [cells[5] for cells in (await immp("thread", answer[-8:])).cells] == ["Lunch", "Re: Lunch"]
    assert [row["folder"] for row in (await immp("thread", answer, "--json")).rows] == ["/SENT", "/INBOX"]


async def test_an_answer_to_all_goes_to_the_others_too(alice: Account, bob: Account, immp: Immp) -> None:
    await immp("send", bob, alice, "-s", "Plan", "-m", "x")
    sent = await immp("reply", await _newest(immp, "INBOX", *AS_BOB), "--all", "-m", "y", "--json", *AS_BOB)
    assert [one["recipient"] for one in sent.rows[0]["recipients"]] == [str(alice)]


async def test_oneself_is_nobody_to_answer(alice: Account, immp: Immp) -> None:
    await immp("send", alice, "-m", "x")
    done = await immp("reply", await _newest(immp), "-m", "y")
    assert (done.code, "nobody to answer" in done.err) == (1, True)


async def test_a_forwarded_message_keeps_its_attachments(
    alice: Account, bob: Account, immp: Immp, tmp_path: Path
) -> None:
    (tmp_path / "plan.pdf").write_bytes(b"%PDF" * 30_000)
    await immp("send", alice, "-s", "Plan", "-a", tmp_path / "plan.pdf", "-m", "See there.")
    assert (await immp("forward", await _newest(immp), bob, stdin=b"For you")).code == 0
    (message,) = (await immp("read", await _newest(immp, "INBOX", *AS_BOB), "--json", *AS_BOB)).rows
    assert message["parts"][0]["data"].startswith("For you\n\n---------- Forwarded message ----------")
    assert [(part["name"], part["length"]) for part in message["parts"][1:]] == [("plan.pdf", 120_000)]


async def test_a_draft_is_saved_changed_and_sent(alice: Account, bob: Account, immp: Immp, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    saved = await immp("draft", "save", "-s", "Later", "-a", tmp_path / "a.txt", stdin=b"Dear Bob")
    short = saved.out.split()[1]
    assert [(cells[1], cells[4]) for cells in (await immp("draft")).cells] == [(short, "Later")]
    nobody = await immp("draft", "send", short)
    assert (nobody.code, "no recipient" in nobody.err) == (2, True)
    # Options alone keep the text; a piped one replaces it.
    changed = await immp("draft", "edit", short, "--to", bob, "--json")
    (id,) = [row["id"] for row in changed.rows]
    (id,) = [row["id"] for row in (await immp("draft", "edit", id, "--json", stdin=b"Dear Bob,\nbye")).rows]
    ((row),) = (await immp("draft", "list", "--json")).rows
    assert (row["id"], row["flags"]) == (id, ["READ", "DRAFT"])
    assert (await immp("draft", "send", id)).out == f"{bob}: Delivered\n"
    assert (await immp("draft", "list")).out == ""
    (message,) = (await immp("read", await _newest(immp, "INBOX", *AS_BOB), "--json", *AS_BOB)).rows
    assert [part["data"] for part in message["parts"]] == ["Dear Bob,\nbye", "one"]


async def test_an_answer_may_wait_as_a_draft(alice: Account, bob: Account, immp: Immp) -> None:
    await immp("send", bob, "-s", "Lunch", "-m", "At noon?")
    question = await _newest(immp, "INBOX", *AS_BOB)
    saved = await immp("reply", question, "-m", "Yes", "--draft", "--json", *AS_BOB)
    assert (await immp("draft", "send", saved.rows[0]["id"], *AS_BOB)).code == 0
    assert (await immp("ls", "--json", *AS_BOB)).rows[0]["flags"] == ["ANSWERED"]
    assert (await immp("ls", "--json")).rows[0]["subject"] == "Re: Lunch"


async def test_where_the_connection_is_lost_it_is_sent_once_more_and_comes_once(alice: Account) -> None:
    id, lost = new_id(), []

    async def deliver(me: Client):
        done = await me.send(alice.address, "x", "x", id=id)
        if not lost:
            lost.append(done)
            raise ConnectionLost("gone")
        return done

    done = await delivered(deliver, None)
    assert [row.text for one in (lost[0], done) for row in one.rows] == ["Delivered", "Delivered before"]


@pytest.mark.parametrize(
    "words",
    [
        ["reply", "zz", "-m", "x"],
        ["reply", "1234", "-a", "/no/such/file", "-m", "x"],
        ["forward", "1234", "-m", "x"],
        ["thread"],
        ["draft", "edit", "zz", "-m", "x"],
    ],
)
async def test_usage_errors_are_found_at_once(words: list[str], alice: Account, immp: Immp) -> None:
    done = await immp(*words)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
