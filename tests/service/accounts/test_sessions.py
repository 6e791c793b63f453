"""Sessions: who is logged in where, and what ends them."""

from base64 import b64encode

import pytest
from tests.server.quiet import nothing_left
from tests.serving import ITERATIONS, Account, Serving, Talk

from immpd.protocol import scram

pytestmark = pytest.mark.usefixtures("server")

NEW = b"n" * 32


def verifier(server: Serving, account: Account, h: bytes = NEW) -> str:
    made = scram.verifier_from_h(h, server.services.desk.salt(account.address), ITERATIONS)
    stored, key = b64encode(made.stored_key).decode(), b64encode(made.server_key).decode()
    return f"STORED {stored} SERVER {key} I {ITERATIONS}"


async def is_there(talk: Talk) -> bool:
    return (await talk.ask("NOOP")).code == 200


async def ended(*talks: Talk) -> list[str]:
    return [(await talk.rest())[-1] for talk in talks]


# --- a new password


async def test_a_new_password_ends_the_other_sessions_at_once(server, account, talk):
    alice, bob = await account(), await account("bob")
    changing, watching, idle, other = await talk(alice), await talk(alice), await talk(alice), await talk(bob)
    watching.send("AS w WATCH")
    await watching.row("w")
    answer = await changing.ask(f"AUTH PASSWORD {verifier(server, alice)}")
    assert (answer.code, answer.fields["ended"]) == (200, "2")
    said = await ended(watching, idle)
    assert all(line.startswith("751 [PASSWORD-CHANGED]") for line in said), said
    assert await is_there(changing)
    assert await is_there(other)


async def test_sessions_are_kept_where_that_is_asked(server, account, talk):
    alice = await account()
    changing, idle = await talk(alice), await talk(alice)
    answer = await changing.ask(f"AUTH PASSWORD {verifier(server, alice)} +KEEP-SESSIONS")
    assert (answer.code, answer.fields["ended"]) == (200, "0")
    assert await is_there(idle)


async def test_the_operators_new_password_ends_all_sessions(server, account, talk):
    alice = await account()
    one, two, operator = await talk(alice), await talk(alice), await talk(how="operator")
    kept = await operator.ask(f"ACCOUNT PASSWD {alice} {verifier(server, alice)} +KEEP-SESSIONS")
    assert (kept.code, kept.fields["ended"]) == (200, "0")
    assert await is_there(one)
    answer = await operator.ask(f"ACCOUNT PASSWD {alice} {verifier(server, alice)}")
    assert (answer.code, answer.fields["ended"]) == (200, "2")
    assert all(line.startswith("751 [PASSWORD-CHANGED]") for line in await ended(one, two))


async def test_a_refused_password_ends_nothing(server, account, talk):
    alice = await account()
    one, two = await talk(alice), await talk(alice)
    assert (
        await one.ask(f"AUTH PASSWORD {verifier(server, alice)} SECRET {b64encode(bytes(32)).decode()}")
    ).code == 400
    assert await is_there(two)


async def test_tokens_that_remain_are_named_and_can_be_removed(server, account, talk):
    alice = await account()
    one, operator = await talk(alice), await talk(how="operator")
    assert "tokens=" not in (await one.ask(f"AUTH PASSWORD {verifier(server, alice)}")).text
    token = (await one.ask("PUSH TOKEN ADD nas")).fields["token"]
    await one.ask("PUSH TOKEN ADD door")
    answer = await one.ask(f"AUTH PASSWORD {verifier(server, alice)}")
    assert answer.fields["tokens"] == "door,nas"
    device = await talk()
    push = f"PUSH TO {alice} TOKEN {token} LENGTH 2\nhi"
    assert (await device.ask(push)).code == 273
    passwd = f"ACCOUNT PASSWD {alice} {verifier(server, alice)} +KEEP-SESSIONS"
    assert (await operator.ask(passwd)).fields["tokens"] == "door,nas"
    assert "tokens=" not in (await operator.ask(f"{passwd} +REMOVE-TOKENS")).text
    assert (await device.ask(push)).code == 410
    assert (await one.ask("PUSH TOKEN LIST")).rows == ()


# --- SESSION LIST


def row(text: str) -> dict[str, str]:
    id_, *fields = text.split(" ")
    return {"id": id_, **dict(field.split("=", 1) for field in fields)}


async def test_sessions_are_listed_with_device_address_since_and_last_use(serve, talk):
    server = await serve()
    alice, bob = await server.add_account("alice"), await server.add_account("bob")
    first = await talk(alice, "phone", on=server)
    await talk(bob, "other", on=server)
    server.pass_time(600)
    second = await talk(alice, "laptop", on=server)
    server.pass_time(60)
    answer = await second.ask("SESSION LIST")
    assert answer.text == "n=2"
    phone, laptop = map(row, answer.rows)
    assert phone == {
        "id": phone["id"],
        "account": alice.address,
        "device": "phone",
        "address": "127.0.0.1",
        "since": "2026-01-01T00:00:00Z",
        "used": "2026-01-01T00:00:00Z",
        "own": "false",
    }
    assert (laptop["device"], laptop["own"]) == ("laptop", "true")
    assert (laptop["since"], laptop["used"]) == ("2026-01-01T00:10:00Z", "2026-01-01T00:11:00Z")
    assert await is_there(first)
    assert [row(one)["used"] for one in (await second.ask("SESSION LIST")).rows] == [laptop["used"]] * 2


async def test_the_list_comes_in_pages(serve, talk):
    server = await serve()
    alice, bob = await server.add_account("alice"), await server.add_account("bob")
    for name in ("a", "b", "c"):
        await talk(alice, name, on=server)
    await talk(bob, "d", on=server)
    operator = await talk(how="operator", on=server)
    seen, more = [], ""
    while True:
        answer = await operator.ask(f"SESSION LIST LIMIT 3{more}")
        seen += [row(one)["device"] for one in answer.rows]
        if "more" not in answer.fields:
            break
        more = f" AFTER {row(answer.rows[-1])['id']}"
    assert seen == ["a", "b", "c", "d"]
    assert [row(one)["device"] for one in (await operator.ask(f"SESSION LIST {alice}")).rows] == ["a", "b", "c"]


async def test_nobody_sees_or_ends_another_accounts_sessions(account, talk):
    alice, bob = await account(), await account("bob")
    one, other = await talk(alice), await talk(bob)
    of_bob = row((await other.ask("SESSION LIST")).rows[0])["id"]
    for command in (f"SESSION LIST {bob}", f"SESSION END * {bob}", f"SESSION END {of_bob} {bob}"):
        answer = await one.ask(command)
        assert (answer.code, answer.word) == (403, "NO-RIGHT"), command
    answer = await one.ask(f"SESSION END {of_bob}")
    assert (answer.code, answer.word) == (404, "NO-SESSION")
    assert await is_there(other)


# --- SESSION END


async def test_a_session_is_ended_by_another(server, account, talk):
    alice = await account()
    async with nothing_left(server):
        one = await talk(alice)
        lost, kept = await talk(alice, "lost"), await talk(alice, "kept")
        rows = [row(text) for text in (await one.ask("SESSION LIST")).rows]
        by_device = {each.get("device", "own"): each["id"] for each in rows}
        assert (await one.ask(f"SESSION END {by_device['lost']}")).text == "ended=1 Ended"
        assert (await ended(lost))[0].startswith("751 [SESSION-ENDED]")
        own = await one.ask(f"SESSION END {by_device['own']}")
        assert (own.code, "QUIT" in own.text) == (400, True)
        assert (await one.ask(f"SESSION END {by_device['lost']}")).word == "NO-SESSION"
        assert await is_there(kept)
        assert (await one.ask("SESSION END *")).text == "ended=1 Ended"
        assert (await ended(kept))[0].startswith("751 [SESSION-ENDED]")
        assert await is_there(one)
        assert (await one.ask("SESSION END nonsense")).code == 400
        await one.close()


async def test_the_operator_ends_sessions_of_anybody(server, account, talk):
    alice, bob = await account(), await account("bob")
    one, two, other, operator = await talk(alice), await talk(alice), await talk(bob), await talk(how="operator")
    first = row((await one.ask("SESSION LIST")).rows[0])["id"]
    assert (await operator.ask(f"SESSION END {first} {bob}")).word == "NO-SESSION"
    assert (await operator.ask(f"SESSION END {first}")).code == 200
    assert (await ended(one))[0].startswith("751 [SESSION-ENDED]")
    assert (await operator.ask("SESSION END *")).code == 400
    assert await is_there(two)
    assert (await operator.ask(f"SESSION END * {alice}")).text == "ended=1 Ended"
    await ended(two)
    assert await is_there(other)


async def test_an_account_that_is_not_there_has_no_empty_list(server, account, talk):
    alice = await account()
    operator = await talk(how="operator")
    assert (await operator.ask(f"SESSION LIST {alice}")).text == "n=0"
    nobody = f"nobody-{alice}"
    for command in (f"SESSION LIST {nobody}", f"SESSION END * {nobody}"):
        answer = await operator.ask(command)
        assert (answer.code, answer.word) == (404, "NO-ACCOUNT"), command


async def test_what_is_queued_behind_the_end_is_not_done(server, account, talk):
    """A session that ends reads nothing more: what a thief had sent on with it stays undone."""
    alice = await account()
    thief, one = await talk(alice), await talk(alice)
    thief.send("NOOP\n" * 3)
    await thief.replies(3)
    assert (await one.ask("SESSION END *")).code == 200
    thief.send("MBOX CREATE /stolen")
    assert (await ended(thief))[0].startswith("751")
    assert not [line for line in (await one.ask("MBOX LIST")).rows if "stolen" in line]
