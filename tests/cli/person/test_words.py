"""What people read is in words of ``immp``, and slips are met with a suggestion."""

from pathlib import Path

import pytest
from tests.cli.running import Immp
from tests.serving import Account

from immpd.cli.person.save import file_name
from immpd.cli.person.words import in_own_words, like
from immpd.client.composing import sendable_name


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("There is no folder /x; MBOX LIST shows them", "There is no folder /x; immp folders shows them"),
        ("The folder is not empty; +RECURSIVE removes it all", "The folder is not empty; --recursive removes it all"),
        ("PATH cannot be /x::y: There is no such filter", "/x::y: There is no such filter"),
        ("TTL is 1 to 60 seconds", "--ttl is 1 to 60 seconds"),
        ("[Not all of part 1 is shown; FETCH with PART 1 brings its 3.2 MiB]",
         "[Not all of part 1 is shown; immp read ID --part 1 brings its 3.2 MiB]"),
        ("The account has another password; log in again",
         "The password was changed elsewhere; immp login ADDRESS logs you in again"),
        ("There is no such node", "There is no such feed"),
        ("There is no mailbox node@a.test here", "There is no mailbox node@a.test here"),
        ("Nothing of the protocol", "Nothing of the protocol"),
    ],
)  # fmt: skip
def test_words_of_the_protocol_become_those_of_the_command_line(said: str, shown: str) -> None:
    assert in_own_words(said) == shown


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("ls", "INBOX::unraed"), "unread"),
        (("ls", "::!flaged"), "flagged"),
        (("ls", "INBOX::form:bob"), "from"),
        (("do", "MBOX", "INDX"), "MBOX INDEX"),
        (("do", "NOPP"), "NOOP"),
    ],
)
async def test_a_slip_is_met_with_what_may_have_been_meant(words: tuple[str, ...], meant: str, immp: Immp) -> None:
    done = await immp(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"; did you mean {meant}?\n"), done.err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("folder create x", "add"),
        ("folder mk x", "add"),
        ("folder remove x", "rm"),
        ("folder list", "ls"),
        ("feed add x", "create"),
        ("feed rm x", "remove"),
        ("token create x", "add"),
        ("token ls", "list"),
        ("delete x", "rm"),
        ("tokn", "token"),
    ],
)
async def test_another_word_for_a_command_leads_to_it(words: str, meant: str, immp: Immp) -> None:
    done = await immp(*words.split())
    assert (done.code, done.out) == (2, "")
    assert f'Did you mean "{meant}"?' in done.err, done.err


async def test_a_watch_tells_of_a_folder_that_is_not_there(alice: Account, immp: Immp) -> None:
    before = (await immp("do", "MBOX", "CHECK", "/inbox")).out.split("s=")[1].strip()
    assert (await immp("send", alice, "-s", "one", "-m", "x")).code == 0
    done = await immp("watch", "/inbxo", "INBOX", "--since", before, "--count", 1)
    assert (done.code, done.out.split()[0]) == (0, "mail")
    said = "There is no folder /inbxo yet, which is watched all the same; immp folders shows those there are"
    assert done.err.endswith(f"immp: {said}\n")


def test_only_what_is_near_is_suggested() -> None:
    assert like("Flaged", ("READ", "FLAGGED")) == "; did you mean FLAGGED?"
    assert like("todo", ("READ", "FLAGGED")) == ""


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("plan.pdf", "plan.pdf"),
        ("../../.ssh/authorized_keys", "authorized_keys"),
        ("C:\\temp\\a:b?.txt", "a_b_.txt"),
        (".bashrc", "bashrc"),
        ("a\nb\u202egnp.exe", "a_b_gnp.exe"),
        ("..", ""),
        ("x" * 300 + ".tar", "x" * 196 + ".tar"),
    ],
)
def test_names_of_saved_files_lead_nowhere(sent: str, name: str) -> None:
    assert file_name(sent) == name


def test_names_of_attachments_can_be_sent() -> None:
    names = ["plan.pdf", "/etc/x", "a\tb", "\udcff.txt", "", "dir/"]
    assert [sendable_name(name) for name in names] == ["plan.pdf", "x", "a_b", "?.txt", "", ""]


@pytest.mark.asyncio(loop_scope="module")
async def test_attachments_are_saved_and_nothing_is_overwritten(alice: Account, immp: Immp, tmp_path: Path) -> None:
    odd = tmp_path / "a\tb.txt"
    odd.write_bytes(b"odd")
    (tmp_path / "plan.pdf").write_bytes(bytes(range(256)) * 600)
    sent = await immp("send", alice, "-a", odd, "-a", tmp_path / "plan.pdf", "-m", "x")
    assert (sent.code, "is sent as a_b.txt" in sent.err) == (0, True)
    mail = (
        b"From: x@y.test\r\nContent-Type: application/pdf; name=plan.pdf\r\nContent-Disposition: attachment\r\n\r\nPDF"
    )
    await immp("send", alice, "--eml", "-", stdin=mail)
    folder = tmp_path / "got"
    for _ in range(2):
        assert (await immp("read", "INBOX::*", "--save", folder)).code == 2
        ids = [row["id"] for row in (await immp("ls", "--json")).rows]
        assert (await immp("read", *ids, "--save", folder)).code == 0
    names = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(names) == {"a_b.txt", "a_b-1.txt", "plan.pdf", "plan-1.pdf", "plan-2.pdf", "plan-3.pdf"}
    assert sorted(map(len, names.values())) == [3, 3, 3, 3, 153_600, 153_600]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["flag", "1234", "+Flaged"], "did you mean +FLAGGED?"),
        (["flag", "1234", "+UNREAD"], "did you mean -READ?"),
        (["settings", "push.repet=60"], "did you mean push.repeat?"),
        (["lss"], 'Did you mean "ls"'),
        (["ls", "--lmit", "3"], "Did you mean --limit?"),
    ],
)
async def test_slips_are_met_with_a_suggestion(words: list[str], hint: str, alice: Account, immp: Immp) -> None:
    done = await immp(*words)
    assert (done.code, done.out) == (2, "")
    assert hint in done.err


@pytest.mark.asyncio(loop_scope="module")
async def test_errors_name_commands_that_one_can_give(alice: Account, immp: Immp) -> None:
    assert "immp folders shows them" in (await immp("ls", "nowhere")).err
    await immp("send", alice, "-m", "x")
    await immp("flag", "INBOX::*", "+Flaged", "--keyword")
    assert (await immp("ls", "--json")).rows[0]["flags"] == ["Flaged"]


@pytest.mark.asyncio(loop_scope="module")
async def test_all_notifications_are_dismissed_at_once(alice: Account, immp: Immp) -> None:
    for _ in range(2):
        await immp("push", alice, "--body", "x")
    assert (await immp("notifications", "dismiss", "--all")).out == "2 notifications dismissed\n"
    assert (await immp("notifications")).out == ""
    assert (await immp("notifications", "dismiss", "--all")).out == "0 notifications dismissed\n"
    assert (await immp("notifications", "dismiss")).code == 2
