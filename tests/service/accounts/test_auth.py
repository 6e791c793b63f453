"""Log-in over real TLS: the mechanisms, and what failing says, costs and slows down."""

from base64 import b64encode
from uuid import UUID

import pytest
from tests.server.quiet import conversation_of, nothing_left, until
from tests.serving import ITERATIONS, Account, H, Talk

from immpd.model.imid import parse_imid
from immpd.net.certificates import server_end_point
from immpd.protocol import scram
from immpd.protocol.commands import AccountDisable
from immpd.protocol.secret import secret_key
from immpd.server.settings import Bounds
from immpd.service.settings import Authentication

pytestmark = pytest.mark.usefixtures("server")

OTHER_H = bytes(32)


def b64(octets: bytes) -> str:
    return b64encode(octets).decode()


async def by_secret(talk: Talk, address: str, h: bytes = H, device: str = "") -> int:
    """AUTH SECRET; the code of the answer."""
    challenge = await talk.ask(f"AUTH SECRET {address} {device}".rstrip())
    assert challenge.code == 303, challenge
    assert challenge.lines[0].startswith("302 ")
    return (await talk.ask(f"AUTH RESPONSE {_key(challenge, h)}")).code


def _key(challenge, h: bytes) -> str:
    return secret_key(h, UUID(challenge.fields["n1"]), int(challenge.fields["n2"]))


async def by_scram(talk: Talk, address: str, mechanism: str, h: bytes = H):
    binding = server_end_point(talk.certificate) if mechanism == scram.PLUS else None
    exchange = scram.ClientExchange(address, mechanism, binding, scram.new_nonce)
    challenge = await talk.ask(f"AUTH {mechanism} {scram.encode_message(exchange.first())}")
    if challenge.code != 304:
        return challenge
    exchange.challenge(scram.decode_message(challenge.text))
    answer = await talk.ask(f"AUTH RESPONSE {scram.encode_message(exchange.final(h))}")
    if answer.code == 210:
        exchange.verify(scram.decode_message(answer.text.rpartition("v=")[2]))
    return answer


# --- the mechanisms


@pytest.mark.parametrize("mechanism", [scram.PLAIN, scram.PLUS])
async def test_scram_proves_both_sides(account, talk, mechanism):
    alice = await account()
    one = await talk()
    assert (await by_scram(one, alice.address, mechanism)).code == 210
    who = await one.ask("WHO")
    assert f"account={alice}" in who.text
    assert "state=user" in who.text


async def test_secret_from_nonces_to_the_session(account, talk):
    alice = await account()
    one = await talk()
    assert await by_secret(one, alice.address, device="phone") == 210
    assert "device=phone" in (await one.ask("WHO")).text


async def test_secret_only_where_the_account_has_one(server, talk):
    plain = await server.unique_account("plain", secret=False)
    one = await talk()
    assert await by_secret(one, plain.address) == 410
    assert (await by_scram(one, plain.address, scram.PLUS)).code == 210


async def test_a_binding_to_another_certificate_is_refused(account, talk):
    alice = await account()
    one = await talk()
    one.certificate = (await talk()).certificate
    exchange = scram.ClientExchange(alice.address, scram.PLUS, b"x" * 32, scram.new_nonce)
    challenge = await one.ask(f"AUTH {scram.PLUS} {scram.encode_message(exchange.first())}")
    exchange.challenge(scram.decode_message(challenge.text))
    assert (await one.ask(f"AUTH RESPONSE {scram.encode_message(exchange.final(H))}")).code == 410


async def test_a_client_that_was_told_there_is_no_binding_is_refused(account, talk):
    """RFC 5802, section 6: y means that the client would have bound, had it been offered."""
    alice = await account()
    one = await talk()
    first = scram.encode_message(f"y,,n={alice},r=abcdefghijklmnop".encode())
    assert (await one.ask(f"AUTH {scram.PLAIN} {first}")).code == 410


@pytest.mark.parametrize(
    "data", ["AAAA", "//8=", b64(b"n,,n=,r=x"), b64(b"p=tls-unique,,n=a@a.test,r=xxxxxxxxxxxxxxxx")]
)
async def test_a_first_message_that_is_none(talk, data):
    assert (await (await talk()).ask(f"AUTH SCRAM-SHA-256 {data}")).code in (400, 410)


# --- where log-in belongs


async def test_an_answer_without_a_challenge(talk):
    one = await talk()
    for _ in range(5):
        answer = await one.ask("AUTH RESPONSE 00")
        assert (answer.code, answer.word) == (704, "STATE")


async def test_a_new_auth_replaces_the_pending_one(account, talk):
    alice = await account()
    one = await talk()
    first = await one.ask(f"AUTH SECRET {alice}")
    second = await one.ask(f"AUTH SECRET {alice}")
    assert first.fields["n1"] != second.fields["n1"]
    assert (await one.ask(f"AUTH RESPONSE {_key(first, H)}")).code == 410
    third = await one.ask(f"AUTH SECRET {alice}")
    assert (await one.ask("AUTH SCRAM-SHA-256 AAAA")).code == 410  # also one that is refused
    assert (await one.ask(f"AUTH RESPONSE {_key(third, H)}")).code == 704


async def test_a_challenge_is_answered_once(account, talk):
    alice = await account()
    one = await talk()
    challenge = await one.ask(f"AUTH SECRET {alice}")
    assert (await one.ask(f"AUTH RESPONSE {_key(challenge, OTHER_H)}")).code == 410
    assert (await one.ask(f"AUTH RESPONSE {_key(challenge, H)}")).code == 704


async def test_auth_after_log_in_and_upgrade_inside_tls(account, talk):
    alice = await account()
    one = await talk(alice)
    for command in (f"AUTH SECRET {alice}", "AUTH SCRAM-SHA-256 AAAA", "AUTH RESPONSE 00", "UPGRADE TLS"):
        answer = await one.ask(command)
        assert (answer.code, answer.word) == (704, "STATE"), command
    assert (await (await talk()).ask("UPGRADE TLS")).code == 704


async def test_authenticate_is_auth_and_pipelining_waits_for_the_answer(account, talk):
    alice = await account()
    one = await talk()
    challenge = await one.ask(f"AUTHENTICATE SECRET {alice}")
    one.send(f"AUTHENTICATE RESPONSE {_key(challenge, H)}\nWHO\nAS m MBOX LIST\n")
    assert [answer.code for answer in await one.replies(2)] == [210, 200]
    assert (await one.reply("m")).code == 241


async def test_the_nonces_live_sixty_seconds(serve, talk):
    server = await serve(bounds=Bounds(before_login=600))
    alice = await server.add_account("alice")
    in_time, late = await talk(on=server), await talk(on=server)
    challenges = [await one.ask(f"AUTH SECRET {alice}") for one in (in_time, late)]
    server.clock.advance(60)
    assert (await in_time.ask(f"AUTH RESPONSE {_key(challenges[0], H)}")).code == 210
    server.clock.advance(0.1)
    assert (await late.ask(f"AUTH RESPONSE {_key(challenges[1], H)}")).code == 410


# --- failing


async def test_an_unknown_account_looks_like_a_wrong_password(account, talk):
    alice = await account()
    nobody = alice.address.replace("alice", "nobody")
    said = []
    for address in (alice.address, nobody):
        one = await talk()
        challenge = await one.ask(f"AUTH SECRET {address}")
        again = await one.ask(f"AUTH SECRET {address}")
        assert challenge.fields["salt"] == again.fields["salt"]
        answer = await one.ask(f"AUTH RESPONSE {_key(challenge, OTHER_H)}")
        scrammed = await by_scram(one, address, scram.PLUS, OTHER_H)
        # A salt that begins with a plus stands in quotes.
        fields = {name: len(value.strip('"')) for name, value in challenge.fields.items() if name != "kda"}
        said.append((fields, challenge.fields["i"], answer.lines, scrammed.lines))
    assert said[0] == said[1]


async def test_a_server_first_says_the_same_of_both(account, talk):
    alice = await account()
    said = []
    for address in (alice.address, "nobody@a.test"):
        one = await talk()
        exchange = scram.ClientExchange(address, scram.PLAIN, None, scram.new_nonce)
        answer = await one.ask(f"AUTH {scram.PLAIN} {scram.encode_message(exchange.first())}")
        first = scram.decode_message(answer.text)
        said.append([(field[:2], len(field)) for field in first.split(b",")])
    assert said[0] == said[1]


async def rounds_shown(talk: Talk, address: str) -> int:
    """What both mechanisms say of the rounds, which is the same."""
    challenge = await talk.ask(f"AUTH SECRET {address}")
    exchange = scram.ClientExchange(address, scram.PLAIN, None, scram.new_nonce)
    answer = await talk.ask(f"AUTH {scram.PLAIN} {scram.encode_message(exchange.first())}")
    exchange.challenge(scram.decode_message(answer.text))
    assert f"i={challenge.fields['i']}" in scram.decode_message(answer.text).decode()
    return int(challenge.fields["i"])


async def test_rounds_that_changed_do_not_tell_who_has_an_account(serve, talk):
    """The setting was raised: accounts keep theirs until the next password, and unknown names show the same ones."""
    server = await serve(authentication=Authentication(iterations=700_000))
    one = await talk(on=server)
    unknown = [f"nobody{number}@a.test" for number in range(200)]
    assert {await rounds_shown(one, name) for name in unknown} == {700_000}  # no account at all
    one = await talk(on=server)
    for number in range(15):
        await server.add_account(f"old{number}", rounds=600_000)
    assert {await rounds_shown(one, name) for name in unknown} == {600_000}
    one = await talk(on=server)
    for number in range(5):
        await server.add_account(f"new{number}", rounds=700_000)
    shown = [await rounds_shown(one, name) for name in unknown]
    assert set(shown) == {600_000, 700_000}
    one = await talk(on=server)
    assert [await rounds_shown(one, name) for name in unknown] == shown
    assert await rounds_shown(one, "old3@a.test") == 600_000
    assert await rounds_shown(one, "new3@a.test") == 700_000


async def test_a_disabled_account_shows_what_it_showed(serve, talk):
    server = await serve(authentication=Authentication(iterations=700_000))
    await server.add_account("old", rounds=600_000)
    await server.add_account("new", rounds=700_000)
    for name in ("old", "new"):
        await server.operator.call(AccountDisable(address=parse_imid(f"{name}@a.test")))
    one = await talk(on=server)
    assert await rounds_shown(one, "old@a.test") == 600_000
    assert await rounds_shown(one, "new@a.test") == 700_000


async def test_the_third_failure_closes(account, talk, server):
    alice = await account()
    async with nothing_left(server):
        one = await talk()
        assert await by_secret(one, alice.address, OTHER_H) == 410
        assert (await by_scram(one, alice.address, scram.PLUS, OTHER_H)).code == 410
        challenge = await one.ask(f"AUTH SECRET {alice}")
        one.send(f"AUTH RESPONSE {_key(challenge, OTHER_H)}\nNOOP\nAUTH SECRET {alice}\n")
        lines = await one.rest()
        assert [line[:24] for line in lines] == ["705 [TOO-MANY-ATTEMPTS] "]


async def test_failures_slow_down_one_account_from_one_address(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    bob = await server.add_account("bob")

    async def failing(waits: float) -> None:
        one = await talk(on=server)
        challenge = await one.ask(f"AUTH SECRET {alice}")
        before = server.clock.sleeping().count(waits)
        one.send(f"AUTH RESPONSE {_key(challenge, OTHER_H)}")
        if waits:
            await until(lambda: server.clock.sleeping().count(waits) > before)
            server.clock.advance(waits)
        assert (await one.reply()).code == 410

    for waits in (0, 0, 0, 1, 2, 4, 8, 16, 30, 30):
        await failing(waits)
    # Bob is not slowed down.
    assert await by_secret(await talk(on=server), bob.address) == 210
    # The right password waits as long, is then accepted, and ends the delays.
    one = await talk(on=server)
    challenge = await one.ask(f"AUTH SECRET {alice}")
    before = server.clock.sleeping().count(30)
    one.send(f"AUTH RESPONSE {_key(challenge, H)}")
    await until(lambda: server.clock.sleeping().count(30) > before)
    server.clock.advance(30)
    assert (await one.reply()).code == 210
    await failing(0)


async def test_a_hundred_connections_guess_no_more_than_one(serve, talk):
    server = await serve(bounds=Bounds(per_address=200))
    alice = await server.add_account("alice")
    talks = [await talk(on=server) for _ in range(100)]
    challenges = [await one.ask(f"AUTH SECRET {alice}") for one in talks]
    for one, challenge in zip(talks, challenges, strict=True):
        one.send(f"AUTH RESPONSE {_key(challenge, OTHER_H)}")
    await server.clock.until_sleeping()
    await until(lambda: len(server.log.events("login refused")) == 3)
    assert server.clock.sleeping() == [1]


async def test_an_address_guesses_so_many_passwords_of_all_accounts(serve, talk):
    server = await serve(authentication=Authentication(guesses=4))
    alice, bob = await server.add_account("alice"), await server.add_account("bob")
    known = await talk(bob, on=server)
    for number in range(4):
        assert await by_secret(await talk(on=server), f"name{number}@a.test", OTHER_H) == 410
    one = await talk(on=server)
    challenge = await one.ask(f"AUTH SECRET {alice}")
    refused = await one.ask(f"AUTH RESPONSE {_key(challenge, H)}")
    assert (refused.code, refused.word, refused.fields["retry"]) == (450, "TOO-MANY-GUESSES", "60")
    # Who logged in from there lately is not held up by what others try.
    assert await by_secret(await talk(on=server), bob.address) == 210
    server.clock.advance(60)
    assert await by_secret(await talk(on=server), alice.address) == 210
    await known.close()


async def test_a_delay_ends_with_its_connection(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    for _ in range(3):
        assert await by_secret(await talk(on=server), alice.address, OTHER_H) == 410
    async with nothing_left(server):
        one = await talk(on=server)
        challenge = await one.ask(f"AUTH SECRET {alice}")
        one.send(f"AUTH RESPONSE {_key(challenge, H)}")
        await until(lambda: 1 in server.clock.sleeping())
        one.reset()
    assert not len(server.services.sessions)


# --- the password


def verifier(server, address: str, h: bytes) -> str:
    salt = server.services.desk.salt(address)
    made = scram.verifier_from_h(h, salt, ITERATIONS)
    return f"STORED {b64(made.stored_key)} SERVER {b64(made.server_key)} I {ITERATIONS} SECRET {b64(h)}"


async def test_a_fresh_log_in_changes_the_password(server, account, talk):
    alice = await account()
    new_h = b"n" * 32
    one = await talk(alice)
    assert (await one.ask(f"AUTH PASSWORD {verifier(server, alice.address, new_h)}")).code == 200
    assert (await by_scram(await talk(), alice.address, scram.PLUS, new_h)).code == 210
    assert await by_secret(await talk(), alice.address, new_h) == 210
    assert (await by_scram(await talk(), alice.address, scram.PLUS, H)).code == 410
    assert await by_secret(await talk(), alice.address, H) == 410
    assert (await one.ask("NOOP")).code == 200


async def test_a_password_change_wants_a_log_in_of_the_last_five_minutes(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    server.clock.advance(301)
    answer = await one.ask(f"AUTH PASSWORD {verifier(server, alice.address, OTHER_H)}")
    assert (answer.code, answer.word) == (403, "LOG-IN-AGAIN")


async def test_a_password_changed_meanwhile_is_the_one_that_counts(server, account, talk):
    alice = await account()
    one, changing = await talk(), await talk(alice)
    challenge = await one.ask(f"AUTH SECRET {alice}")
    assert (await changing.ask(f"AUTH PASSWORD {verifier(server, alice.address, OTHER_H)}")).code == 200
    assert (await one.ask(f"AUTH RESPONSE {_key(challenge, H)}")).code == 410


async def test_a_verifier_that_is_none(server, account, talk):
    alice = await account()
    one = await talk(alice)
    good = verifier(server, alice.address, H)
    for bad in (
        good.replace(f"I {ITERATIONS}", "I 1000"),
        good.replace(good.split()[1], b64(b"short")),
        good.replace(b64(H), b64(OTHER_H)),
    ):
        assert (await one.ask(f"AUTH PASSWORD {bad}")).word == "BAD-VERIFIER"
    assert await by_secret(await talk(), alice.address) == 210


# --- disabled


async def test_a_disabled_account_ends_its_sessions_at_once_and_logs_in_no_more(server, account, talk):
    alice = await account()
    bob: Account = await account("bob")
    async with nothing_left(server):
        sessions = [await talk(alice) for _ in range(3)]
        sessions[0].send("AS w WATCH")
        await sessions[0].row("w")
        begun = await talk()
        challenge = await begun.ask(f"AUTH SECRET {alice}")
        operator = await talk(how="operator")
        assert (await operator.ask(f"ACCOUNT DISABLE {alice}")).code == 200
        for session in sessions:
            assert (await session.rest())[-1].startswith("751 [DISABLED]")
        await until(lambda: not server.services.sessions.of(alice.address))
        assert (await begun.ask(f"AUTH RESPONSE {_key(challenge, H)}")).code == 410
        assert await by_secret(begun, alice.address) == 410
        assert (await (await talk(bob)).deliver(alice)).code == 404
        assert (await operator.ask(f"ACCOUNT DISABLE {alice} -DISABLED")).code == 200
        again = await talk(alice)
        assert conversation_of(server, again).session.principal.account is not None
        for conversation in tuple(server.server.conversations):
            conversation.abort()
