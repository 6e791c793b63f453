"""``immp`` as a person and a script use it, against a real server."""

import asyncio
import json
import os
import re
import signal
import stat
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from tests.cli.running import Immp, profile_of
from tests.serving import ITERATIONS, Account, H, Serving

from immpd.cli.person import main as person
from immpd.cli.person.groups import GROUPS
from immpd.cli.person.profile import Profiles
from immpd.net.fingerprints import KnownPeers
from immpd.protocol import scram

pytestmark = pytest.mark.asyncio(loop_scope="module")


# --- log-in


async def test_login_keeps_what_the_next_command_needs(server: Serving, home: Path, immp: Immp) -> None:
    host, port = server.listen
    salt = server.services.desk.salt("carol@a.test")
    await server.add_account("carol", h=scram.salted_password("secret", salt, ITERATIONS))
    where = ("--server", f"{host}:{port}")
    done = await immp("login", "Carol@a.test", *where, "--password-stdin", "--device", "desk", stdin=b"secret\n")
    assert (done.code, done.out) == (0, "Logged in as carol@a.test on desk\n")
    assert server.fingerprint in done.err
    (kept,) = (home / "profiles").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert b"secret" not in kept.read_bytes()
    whoami = await immp("whoami", "--json")
    assert (whoami.rows, whoami.err) == ([{"account": "carol@a.test", "device": "desk", "domain": "a.test"}], "")
    # Another password: the new one is kept, the old one no longer does.
    assert (await immp("passwd", "--password-stdin", stdin=b"wrong\nmuch better\n")).code == 3
    assert (await immp("passwd", "--password-stdin", stdin=b"secret\nmuch better\n")).code == 0
    assert (await immp("whoami")).out == "carol@a.test on desk\n"
    again = await immp("login", "carol@a.test", *where, "--password-stdin", stdin=b"secret\n")
    assert (again.code, again.out) == (3, "")
    assert again.err == "immp: The account or the password is wrong [AUTH-FAILED]\n"
    assert (await immp("logout")).code == 0
    assert (await immp("whoami")).code == 3


async def test_without_log_in_there_is_one_clear_line(immp: Immp) -> None:
    done = await immp("ls")
    assert (done.code, done.out, done.err) == (3, "", "immp: You are not logged in; immp login ADDRESS does it\n")


async def test_several_log_ins(server: Serving, account, alice: Account, home: Path, immp: Immp) -> None:
    bob = await account("bob")
    Profiles(home).save("work", profile_of(server, bob), make_current=False)
    assert (await immp("whoami")).out.startswith(alice.address)
    for name in ("work", bob.address):
        assert (await immp("whoami", "--profile", name)).out.startswith(bob.address)
    assert (await immp("whoami", "--account", "nobody@a.test")).code == 3
    (home / "current-profile").unlink()
    nobody = await immp("whoami")
    assert (nobody.code, "work" in nobody.err) == (3, True)


async def test_another_key_is_refused_with_both_values(server: Serving, alice: Account, home: Path, immp: Immp) -> None:
    assert (await immp("whoami")).code == 0
    peers = home / "known-peers.json"
    peers.write_text(peers.read_text().replace(server.fingerprint, "a" * 64))
    done = await immp("whoami")
    assert (done.code, done.out) == (5, "")
    assert "a" * 64 in done.err
    assert server.fingerprint in done.err
    host, port = server.listen
    where = ("--server", f"{host}:{port}", "--password-stdin")
    wrong = await immp("login", alice, *where, "--fingerprint", "SHA256:" + "b" * 64, stdin=b"x\n")
    assert (wrong.code, "b" * 64 in wrong.err) == (5, True)
    assert (await immp("login", alice, *where, "--fingerprint", "nonsense", stdin=b"x\n")).code == 2
    peers.write_text("{")
    assert (await immp("whoami")).code == 5


async def test_a_key_that_the_administrator_told_is_accepted(
    server: Serving, alice: Account, home: Path, immp: Immp
) -> None:
    known = KnownPeers(home)
    known.remember("a.test", "a" * 64, "first-sight", datetime.now(UTC))
    salt = server.services.desk.salt("dora@a.test")
    await server.add_account("dora", h=scram.salted_password("p", salt, ITERATIONS))
    host, port = server.listen
    colons = ":".join(server.fingerprint[at : at + 2].upper() for at in range(0, 64, 2))
    where = ("--server", f"{host}:{port}", "--password-stdin", "--fingerprint", colons)
    assert (await immp("login", "dora@a.test", *where, stdin=b"p\n")).code == 0
    assert (await immp("whoami")).code == 0
    assert [(key.fingerprint, key.verified) for key in known.keys("a.test")] == [(server.fingerprint, "administrator")]


async def test_what_is_said_of_a_key_is_so(server: Serving, alice: Account, home: Path, immp: Immp) -> None:
    host, port = server.listen
    where = ("--server", f"{host}:{port}", "--password-stdin")
    # At a wrong domain the key is shown, and not kept, because nobody logged in.
    wrong = await immp("login", "alice@wrong.test", *where, stdin=b"x\n")
    assert (wrong.code, "It is kept when the log-in succeeds" in wrong.err) == (3, True)
    assert KnownPeers(home).domains() == ()
    assert "It is kept from now on" in (await immp("raw", "x@a.test", *where[:2], stdin=b"QUIT\n")).err
    assert KnownPeers(home).domains() == ("a.test",)
    # A key that was given by hand is wrong, and has not changed; how a changed one is accepted is said, and works.
    given = await immp("login", alice, *where, "--fingerprint", "b" * 64, stdin=b"x\n")
    assert ("changed" in given.err, f"given was {'b' * 64}" in given.err) == (False, True)
    peers = home / "known-peers.json"
    peers.write_text(peers.read_text().replace(server.fingerprint, "a" * 64))
    changed = (await immp("whoami")).err
    assert f"has changed: known is {'a' * 64}, shown was {server.fingerprint}" in changed
    assert changed.endswith(f"Then: immp login ADDRESS --fingerprint {server.fingerprint}\n")
    salt = server.services.desk.salt("eve@a.test")
    await server.add_account("eve", h=scram.salted_password("p", salt, ITERATIONS))
    assert (await immp("login", "eve@a.test", *where, "--fingerprint", server.fingerprint, stdin=b"p\n")).code == 0
    assert (await immp("whoami")).code == 0


async def test_a_server_that_is_not_there(server: Serving, alice: Account, home: Path, immp: Immp) -> None:
    listener = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    Profiles(home).save("gone", profile_of(server, alice, server=f"127.0.0.1:{port}"))
    done = await immp("ls")
    assert (done.code, done.err.startswith("immp: Cannot reach the server 127.0.0.1")) == (4, True)
    # In the system's words, whatever asyncio puts around them.
    assert (await immp("login", alice, "--server", f"localhost:{port}", "--password-stdin", stdin=b"x\n")).err == (
        f"immp: Cannot reach the server localhost:{port}: Connection refused\n"
    )
    assert (await immp("ls", "--profile", "gone")).err == (
        f"immp: Cannot reach the server 127.0.0.1:{port}: Connection refused\n"
    )


async def test_a_port_that_does_not_begin_with_tls_is_named_so(server: Serving, alice: Account, immp: Immp) -> None:
    host, port = server.listen
    where = ("--server", f"{host}:{port}", "--direct", "--password-stdin")
    done = await immp("login", alice, *where, stdin=b"x\n")
    said = "The TLS handshake failed: what answers there does not begin with TLS"
    assert done.err == f"immp: {said}; a port that begins in clear (1025) wants no --direct\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("logout", "bob"), "immp logout has no use for bob (immp logout --help tells more)"),
        (("draft", "edit"), "immp draft edit needs ID (immp draft edit --help tells more)"),
        (("ls", "-n", "x"), "-n: x is no whole number (immp ls --help tells more)"),
        (("ls", "--limit", "0"), 'Invalid value "0" for --limit. 1 or more is wanted (immp ls --help tells more)'),
        (
            ("watch", "--count", "0"),
            'Invalid value "0" for --count. 1 or more is wanted (immp watch --help tells more)',
        ),
        (("notifications", "status", "zz"), "ID: zz is no UUID (immp notifications status --help tells more)"),
        (("draft", "edti"), 'Unknown command "edti". Did you mean "edit"? (immp draft --help tells more)'),
        (("push", "a@a.test"), "There is nothing to say: give -t TITLE, --body TEXT, or a text on standard input"),
    ],
)
async def test_what_is_wrong_with_a_command_line_is_said_in_words(
    immp: Immp, words: tuple[str, ...], said: str
) -> None:
    done = await immp(*words)
    assert (done.code, done.err) == (2, f"immp: {said}\n")


async def test_a_filter_alone_is_of_the_inbox(alice: Account, immp: Immp) -> None:
    assert (await immp("send", alice, "-s", "new", "-m", "x")).code == 0
    assert (await immp("ls", "::unread")).out == (await immp("ls", "INBOX::unread")).out != ""


async def test_without_a_terminal_no_password_is_asked_for(alice: Account, home: Path) -> None:
    command = (sys.executable, "-m", "immpd.commands.immp", "login", alice.address)
    here = {**os.environ, "IMMP_HOME": str(home)}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=here, start_new_session=True
    )
    out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert err == (
        b"immp: There is no terminal to ask for the password at; --password-stdin reads it from standard input\n"
    )


async def test_a_password_changed_elsewhere_asks_to_log_in(
    server: Serving, alice: Account, home: Path, immp: Immp
) -> None:
    Profiles(home).save(alice.address, profile_of(server, alice, salt=b"another salt...."))
    done = await immp("ls")
    assert (done.code, "log in again" in done.err) == (3, True)
    Profiles(home).save(alice.address, profile_of(server, alice, h=bytes(32)))
    done = await immp("ls")
    assert (done.code, done.err.endswith(f"immp login {alice.address} logs in again\n")) == (3, True)


# --- sending and reading


async def test_send_ls_and_read(alice: Account, immp: Immp, tmp_path: Path) -> None:
    (tmp_path / "plan.pdf").write_bytes(bytes(range(256)) * 400)
    sent = await immp(
        "send", alice, "-s", "Lunch", "-a", tmp_path / "plan.pdf", "--important", stdin="Zwölf?\n".encode()
    )
    assert (sent.code, sent.out) == (0, f"{alice}: Delivered\n")
    ((marks, short, _, sender, subject, size),) = (await immp("ls")).cells
    assert (marks.split(), sender, subject, size) == (["●", "!"], alice.address, "Lunch", "100.0 KiB")
    (row,) = (await immp("ls", "--json")).rows
    assert row["id"].endswith(short)
    text = (await immp("read", short)).out
    assert "Subject: Lunch" in text
    assert "Zwölf?" in text
    assert "plan.pdf" in text
    assert [one["flags"] for one in (await immp("ls", "INBOX::read", "--json")).rows] == [["READ", "IMPORTANT"]]
    target = tmp_path / "got.pdf"
    assert (await immp("read", row["id"], "--part", 2, "-o", target)).code == 0
    assert target.read_bytes() == (tmp_path / "plan.pdf").read_bytes()
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]
    (message,) = (await immp("read", f"INBOX#{row['id']}", "--json")).rows
    assert message["envelope"]["subject"] == "Lunch"
    assert "Content-Type: multipart/mixed" in (await immp("read", short, "--mime")).out
    raw = (await immp("read", short, "--raw")).octets
    assert raw == "Zwölf?\n".encode() + target.read_bytes()
    assert (await immp("read", short, "--part", 9)).code == 1


async def test_times_are_shown_in_one_zone(alice: Account, immp: Immp, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        await immp("send", alice, "-m", "Date: 2026-01-01T00:00:00Z", "-s", "x")
    monkeypatch.setenv("TZ", "Etc/GMT-5")
    time.tzset()
    try:
        for words, zone in (([], "\\+05"), (["--utc"], "UTC")):
            text = (await immp("read", "INBOX::*", *words)).out
            assert len(re.findall(rf"(?m)^Date: \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d {zone}$", text)) == 2
            assert text.count("\nDate: 2026-01-01T00:00:00Z\n") == 2
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_reading_may_leave_it_unread(alice: Account, immp: Immp, tmp_path: Path) -> None:
    await immp("send", alice, "-m", "x")
    ((_, short, *_),) = (await immp("ls")).cells
    await immp("read", short, "--keep-unread", "-o", tmp_path / "x.txt")
    assert "x" in (tmp_path / "x.txt").read_text().splitlines()
    assert len((await immp("ls", "::unread".join(["INBOX", ""]), "--json")).rows) == 1


async def test_copies_and_several_recipients(alice: Account, account, immp: Immp) -> None:
    bob, carol = await account("bob"), await account("carol")
    sent = await immp("send", bob, alice, "--cc", carol, "--bcc", alice, "-m", "x", "--json")
    (row,) = sent.rows
    assert [one["recipient"] for one in row["recipients"]] == [str(bob), str(alice), str(carol)]


async def test_a_recipient_that_is_refused_makes_it_1(alice: Account, immp: Immp) -> None:
    sent = await immp("send", alice, "nobody@a.test", "-m", "x")
    assert (sent.code, sent.out) == (1, f"{alice}: Delivered\n")
    assert "nobody@a.test" in sent.err
    assert (await immp("send", "nobody@a.test", "-m", "x")).code == 1


async def test_sending_again_with_the_same_id(alice: Account, immp: Immp) -> None:
    one = str(uuid4())
    assert (await immp("send", alice, "-m", "x", "--id", one)).out.endswith("Delivered\n")
    assert (await immp("send", alice, "-m", "x", "--id", one)).out.endswith("Delivered before\n")


async def test_a_whole_mail(alice: Account, immp: Immp, tmp_path: Path) -> None:
    mail = f"From: {alice}\r\nSubject: Old\r\n\r\nx\r\n".encode()
    (tmp_path / "old.eml").write_bytes(mail)
    await immp("send", alice, "--eml", tmp_path / "old.eml")
    await immp("send", alice, "--eml", "-", stdin=mail)
    assert [cells[4] for cells in (await immp("ls")).cells] == ["Old", "Old"]
    assert (await immp("send", alice, "--eml", "-", "-m", "x")).code == 2


@pytest.mark.parametrize(
    "words",
    [
        ["send", "-m", "x"],
        ["send", "no address", "-m", "x"],
        ["send", "a@a.test", "-a", "/no/such/file", "-m", "x"],
        ["send", "a@a.test", "-s", "two\nlines", "-m", "x", "--id", "7"],
        ["read"],
        ["read", "zz"],
        ["read", "1234", "--raw", "--mime"],
        ["read", "1234", "5678", "-o", "x"],
        ["flag", "1234"],
        ["flag", "+READ"],
        ["mv", "1234"],
        ["rm"],
        ["ls", "--limit", "many"],
        ["ls", "--bogus"],
        ["ls", "a", "b"],
        ["nonsense"],
        ["login", "alice"],
        ["login", "alice@a.test", "--password-stdin"],
        ["do"],
        ["do", "BOGUS"],
        ["do", "MBOX", "INDEX"],
        ["do", "AS", "x", "NOOP"],
    ],
)
async def test_usage_errors_are_one_line(words: list[str], alice: Account, immp: Immp) -> None:
    done = await immp(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("immp: ")
    assert done.err.count("\n") == 1


async def test_text_that_is_not_utf_8(alice: Account, immp: Immp) -> None:
    done = await immp("send", alice, stdin=b"\xff\xfe")
    assert (done.code, "UTF-8" in done.err) == (2, True)


async def test_nothing_in_a_mail_commands_the_terminal(alice: Account, immp: Immp) -> None:
    evil = "\x1b]0;owned\x07 \u202egnp.exe \x9b31m tab\there"
    await immp("send", alice, "-s", "\u202egnp", stdin=evil.encode())
    await immp("do", "DELIVER", "TO", alice, ";", "DATA", "x\u202e", "LENGTH", "1", "+CONTENT", ";", "DONE", stdin=b"x")
    said = [
        await immp("ls"),
        await immp("ls", "--json"),
        await immp("read", "INBOX::*", "--keep-unread"),
        await immp("read", "INBOX::*", "--json"),
    ]
    for done in said:
        assert done.code == 0
        assert not set(done.out) & set("\x1b\x07\x9b\u202e")
    assert re.search("tab +here", said[2].out)


# --- changing


async def test_flags_and_folders(alice: Account, immp: Immp) -> None:
    for subject in "ab":
        await immp("send", alice, "-s", subject, "-m", "x")
    b, a = [cells[1] for cells in (await immp("ls")).cells]
    assert (await immp("flag", a, b, "+FLAGGED", "-READ", "+todo")).out == "2 changed\n"
    assert [row["flags"] for row in (await immp("ls", "--json")).rows] == [["FLAGGED", "todo"]] * 2
    assert (await immp("folder", "add", "My plans/2026")).code == 0
    assert (await immp("cp", a, "My plans/2026")).out == "1 copied\n"
    assert (await immp("mv", b, "archive", "--json")).rows == [{"n": 1}]
    assert len((await immp("ls", "My plans/2026")).cells) == 1
    assert (await immp("folder", "rename", "my plans", "Plans")).code == 0
    refused = await immp("folder", "rm", "plans/2026")
    assert (refused.code, "NOT-EMPTY" in refused.err) == (1, True)
    assert (await immp("folder", "rm", "plans", "--recursive")).code == 0
    assert (await immp("rm", b, "--folder", "archive")).out == "1 deleted\n"
    assert (await immp("rm", "TRASH::*", "--purge")).code == 0
    assert {row["path"] for row in (await immp("folder", "ls", "--json")).rows} >= {"/INBOX", "/TRASH"}
    assert (await immp("ls", "/")).out == (await immp("folders")).out
    assert (await immp("ls", "nowhere")).code == 1


async def test_no_unread_messages_are_a_number_too(alice: Account, immp: Immp) -> None:
    assert (await immp("folders")).cells[0] == ["/INBOX", "0", "0"]


async def test_ids_may_be_short_but_not_ambiguous(alice: Account, immp: Immp) -> None:
    for _ in range(3):
        await immp("send", alice, "-m", "x")
    ids = [row["id"] for row in (await immp("ls", "--json")).rows]
    ambiguous = await immp("rm", ids[0][:6])
    assert (ambiguous.code, "means 3 messages" in ambiguous.err) == (1, True)
    assert (await immp("rm", "ffffffff")).code == 1
    assert (await immp("rm", f"inbox#{ids[0][-12:]},{ids[1]}")).out == "2 deleted\n"
    assert len((await immp("ls", "--all")).cells) == 1


async def test_everywhere_stands_who_is_proven_and_what_a_mail_claims_is_marked(
    server: Serving, account, alice: Account, home: Path, immp: Immp, tmp_path: Path
) -> None:
    bob = await account("bob")
    Profiles(home).save("bob", profile_of(server, bob), make_current=False)
    (tmp_path / "forged.eml").write_text(f"From: Alice <{alice}>\nSender: {alice}\nSubject: Urgent\n\nPay.\n")
    before = (await immp("do", "MBOX", "CHECK", "/inbox")).out.split("s=")[1].strip()
    assert (await immp("send", alice, "--eml", tmp_path / "forged.eml", "--profile", "bob")).code == 0
    marked = f"{bob} (unproven: Alice <{alice}>)"
    ((_, short, _, sender, subject, _),) = (await immp("ls")).cells
    assert (sender, subject) == (marked, "Urgent")
    assert (await immp("watch", "--since", before, "--count", 1)).out == f"mail  {short}  /INBOX  {marked}  Urgent\n"
    assert (await immp("read", short)).out.startswith(f"From: {marked}\nTo: {alice}\n")
    assert (await immp("do", "MBOX", "INDEX", "/inbox")).out.splitlines()[0].endswith(f" {marked}  Urgent")
    mail = f"Sender: {bob}\nFrom: Alice <{alice}>\nX-IMMP-Unproven-Sender: {alice}\nSubject: Urgent\n\nPay.\n"
    assert (await immp("read", short, "--mime")).out == mail


# --- watching


async def test_a_watch_says_what_a_notification_says(alice: Account, immp: Immp) -> None:
    card = b'{"title":"Confirm?","body":"You\\nregistered","actions":[{"id":"ok","label":"Yes"}]}'
    push = ("do", "PUSH", "TO", str(alice), "TYPE", "application/immp-notification+json", "LENGTH", 0)
    assert (await immp(*push, stdin=card)).code == 0
    before = (await immp("do", "MBOX", "CHECK", "/inbox")).out.split("s=")[1].strip()
    shown = (await immp("watch", "--since", before, "--count", 1)).out
    assert shown.endswith(f"normal  {alice}  Confirm?  You registered  [ok: Yes]\n")
    row = json.loads((await immp("do", "PUSH", "LIST", "LIMIT", 1)).out.splitlines()[0].removeprefix("261- "))
    assert (await immp("do", "PUSH", "ANSWER", row["id"], "ok")).code == 0
    seen = (await immp("watch", "--since", before, "--count", 2)).out.splitlines()
    assert seen == [f"cleared  {row['id'][-8:]}  answered", f"answer  {row['push']}  {alice}  ok"]


async def test_watch_goes_on_behind_what_was_acknowledged(alice: Account, immp: Immp) -> None:
    first = (await immp("do", "MBOX", "CHECK", "/inbox")).out.split("s=")[1].strip()
    await immp("send", alice, "-s", "one", "-m", "x")
    await immp("send", alice, "-s", "two", "-m", "x")
    seen = await immp("watch", "INBOX", "--since", first, "--name", "t", "--ack", "--count", 1)
    assert (seen.code, seen.out.split()[0], seen.out.split()[-1]) == (0, "mail", "one")
    rest = await immp("watch", "INBOX", "--name", "t", "--count", 1, "--json")
    assert [(row["event"], row.get("subject")) for row in rest.rows] == [("watching", None), ("mail", "two")]
    assert (await immp("watch", "--since", "nonsense")).code == 1


# --- by hand


async def test_do_runs_any_command(alice: Account, immp: Immp) -> None:
    assert (await immp("do", "noop")).out == "200 Done\n"
    done = await immp(
        "do", "DELIVER", "TO", alice, "SUBJECT", 'a "b"; c', ";", "DATA", "t", "+CONTENT", ";", "DONE", stdin=b"Hello"
    )
    assert [line.split()[0] for line in done.out.splitlines()] == ["270", "272", "273-", "273"]
    (row, end) = (await immp("do", "MBOX", "INDEX", "/inbox", "+JSON", "LIMIT", "1", "--json")).rows
    assert json.loads(row["text"])["subject"] == 'a "b"; c'
    assert (row["code"], row["more"], end["more"]) == (250, True, False)
    (block, _) = (await immp("do", "FETCH", "/inbox::*", "+RAW", "-READ", "--json")).rows
    assert (block["part"], block["octets"]) == ("1", "SGVsbG8=")
    assert "Hello" in (await immp("do", "FETCH", "/inbox::*", "PART", "1")).out.splitlines()
    refused = await immp("do", "MBOX", "CHECK", "/nowhere", ";", "NOOP")
    assert (refused.code, refused.out.splitlines()[-1]) == (1, "200 Done")
    assert (await immp("do", "STORE", "CHECK")).code == 1
    assert (await immp("do", "UPGRADE", "TLS")).code == 1


# --- as an installed command


async def _process(*words: str, env: dict[str, str]) -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, env={**os.environ, **env}, stdout=-1, stderr=-1, stdin=-3
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out, err


async def test_as_a_process(alice: Account, home: Path) -> None:
    env = {"IMMP_HOME": str(home)}
    code, out, err = await _process("-m", "immpd.commands.immp", "send", alice.address, "-s", "Hi", env=env)
    assert (code, out) == (0, f"{alice}: Delivered\n".encode())
    # Nothing of the server's is imported for a listing.
    program = (
        "import sys; from immpd.cli.person.main import main; code = main(['ls']);"
        "heavy = {'uvloop', 'structlog', 'dns', 'apsw', 'rich', 'precis_i18n', 'idna'} & set(sys.modules);"
        "sys.exit(f'{heavy}' if heavy else code)"
    )
    code, out, err = await _process("-c", program, env=env)
    assert (code, err) == (0, b"")
    assert b"Hi" in out
    code, out, err = await _process("-m", "immpd.commands.immp", "read", "ffff", env=env)
    assert (code, out, err.count(b"\n")) == (1, b"", 1)


async def test_the_list_of_commands_says_what_their_own_help_says() -> None:
    for place, words in (
        *person.COMMANDS.values(),
        *person.FOLDER_COMMANDS.values(),
        *(one for group in GROUPS.values() for one in group.commands.values()),
    ):
        module, _, name = place.partition(":")
        function = getattr(__import__(f"immpd.cli.person.{module}", fromlist=[name]), name)
        assert function.__doc__.splitlines()[0].split(": immp do")[0] in (words, words.split(": immp do")[0])


async def test_help_documents_the_exit_codes(immp: Immp) -> None:
    text = " ".join((await immp("--help")).out.split())
    for code in (
        "0 done",
        "1 refused",
        "2 the command line",
        "3 not logged in",
        "4 the server",
        "5 the server",
        "75 not",
    ):
        assert code in text
    assert H not in text.encode()


@pytest.fixture
async def raw(alice: Account, home: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """``immp raw`` at which somebody sits."""
    pipe = asyncio.subprocess.PIPE
    command = [Path(sys.executable).parent / "immp", "raw"]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env={**os.environ, "IMMP_HOME": str(home)},
        # Tests that run in the background of a shell ignore interrupts, and so would their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    process.stdin.write(b"NOOP\n")
    assert await process.stdout.readline() == b"200 Done\n"
    yield process
    process.stdin.close()
    await process.wait()


async def test_an_interrupt_ends_raw_and_nothing_else(raw: asyncio.subprocess.Process) -> None:
    raw.send_signal(signal.SIGINT)
    code = await raw.wait()
    said = (await raw.stderr.read()).decode().splitlines()
    assert (code, await raw.stdout.read()) == (130, b"")
    assert [line for line in said if not line.startswith("immp: ")] == []


async def test_raw_says_when_the_connection_is_lost(server: Serving, raw: asyncio.subprocess.Process) -> None:
    server.pass_time(3600)
    code = await raw.wait()
    assert code == 4
    assert (await raw.stdout.read()).startswith(b"721 ")
    assert (await raw.stderr.read()).endswith(b"immp: The server closed the connection\n")


async def test_raw_takes_a_script(server: Serving, alice: Account, immp: Immp) -> None:
    done = await immp("raw", stdin=b"NOOP\nWHO\nnonsense\n")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "200 Done"
    assert alice.address in lines[1]
    assert lines[2].startswith("701 [UNKNOWN-COMMAND]")
    assert lines[-1].startswith("203 ")
    host, port = server.listen
    for words in (["raw", "--no-login"], ["raw", "x@a.test", "--server", f"{host}:{port}"]):
        bare = await immp(*words, stdin=b"WHO\nQUIT\n")
        assert "authenticated" in bare.out
    host, port = server.listen_tls
    assert (await immp("raw", "x@a.test", "--server", f"{host}:{port}", "--direct", stdin=b"NOOP\n")).out.startswith(
        "200"
    )
