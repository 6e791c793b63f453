"""``immp sessions`` and ``immp passwd``."""

import pytest
from tests.cli.running import Immp
from tests.serving import ITERATIONS, Account, Serving

from immpd.protocol import scram

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_sessions_are_listed_and_ended(alice: Account, talk, immp: Immp) -> None:
    phone, tablet = await talk(alice, "phone"), await talk(alice, "tablet")
    cells = (await immp("sessions")).cells
    assert [(device, address) for _, device, address, _, _ in cells] == [
        ("phone", "127.0.0.1"),
        ("tablet", "127.0.0.1"),
        ("laptop", "127.0.0.1"),
    ]
    assert cells[2][4] == "this command"
    assert not any(cell.startswith(("since", "used")) for row in cells for cell in row)
    rows = (await immp("sessions", "list", "--json")).rows
    assert [row["device"] for row in rows] == ["phone", "tablet", "laptop"]
    assert (await immp("sessions", "end", cells[0][0])).out == "1 session ended\n"
    assert (await phone.rest())[-1].startswith("751 [SESSION-ENDED]")
    gone = await immp("sessions", "end", cells[0][0])
    assert (gone.code, "is no open session" in gone.err) == (1, True)
    ended = await immp("sessions", "end", "--all")
    assert ended.out == "1 session ended\n"
    assert ended.err == "immp: Who has the password can log in again; immp passwd changes it\n"
    assert (await tablet.rest())[-1].startswith("751 [SESSION-ENDED]")
    assert (await immp("sessions", "end")).code == 2


async def test_passwd_says_what_ended_and_what_remains(server: Serving, talk, immp: Immp) -> None:
    salt = server.services.desk.salt("gina@a.test")
    gina = await server.add_account("gina", h=scram.salted_password("old password", salt, ITERATIONS))
    host, port = server.listen
    where = ("--server", f"{host}:{port}", "--password-stdin")
    assert (await immp("login", gina, *where, stdin=b"old password\n")).code == 0
    assert (await immp("token", "add", "nas")).code == 0
    phone = await talk(gina, "phone")
    done = await immp("passwd", "--password-stdin", stdin=b"old password\nnew password\n")
    assert done.code == 0
    assert "1 other session ended" in done.err
    assert "These push tokens still notify you: nas (immp token remove NAME removes one)" in done.err
    assert (await phone.rest())[-1].startswith("751 [PASSWORD-CHANGED]")
    options = ("--password-stdin", "--remove-tokens", "--json")
    assert (await immp("passwd", *options, stdin=b"new password\nthird password\n")).rows == [
        {"ended": 0, "tokens": []}
    ]
    assert (await immp("token", "list")).out == ""


async def test_a_short_password_is_taken_from_who_insists(server: Serving, immp: Immp) -> None:
    salt = server.services.desk.salt("vera@a.test")
    vera = await server.add_account("vera", h=scram.salted_password("old password", salt, ITERATIONS))
    host, port = server.listen
    where = ("--server", f"{host}:{port}", "--password-stdin")
    assert (await immp("login", vera, *where, stdin=b"old password\n")).code == 0
    short = await immp("passwd", "--password-stdin", stdin=b"old password\nshort\n")
    assert (short.code, "at least 10 characters; --weak" in short.err) == (2, True)
    assert (await immp("passwd", "--password-stdin", "--weak", stdin=b"old password\nshort\n")).code == 0
