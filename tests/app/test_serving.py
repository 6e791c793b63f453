"""A server as app wires it, through the raw client: what the other tests build on holds."""

import asyncio

from tests.serving import Account, H


async def test_both_greetings_and_login(server, account, talk):
    clear = await talk(how="clear")
    assert clear.greeting.lines[-1] == "101 p=IMMP v=1.0 d=a.test"
    alice = await account()
    logged_in = await talk(alice, "phone")
    assert "auth=SCRAM-SHA-256-PLUS,SCRAM-SHA-256,SECRET" in logged_in.greeting.text
    assert (await logged_in.ask("NOOP")).code == 200


async def test_tls_from_the_first_octet(server, account, talk):
    direct = await talk(await account(), how="direct")
    answer = await direct.ask("MBOX LIST")
    assert (answer.code, len(answer.rows)) == (241, 6)


async def test_deliver_watch_fetch_across_pipelines(server, account, talk):
    alice, bob = await account("alice"), await account("bob")
    reader = await talk(alice)
    reader.send("AS w WATCH")
    assert '"watching"' in await reader.row("w")
    writer = await talk(bob)
    answer = await writer.deliver(alice, body=b"Hello Alice", subject="Hi")
    assert answer.code == 273
    assert '"mail"' in await reader.row("w")
    fetched = await reader.ask("MBOX FETCH /inbox::* +RAW -READ")
    assert fetched.octets() == b"Hello Alice"


async def test_operator_socket(server, account, talk):
    alice = await account()
    operator = await talk(how="operator")
    answer = await operator.ask("ACCOUNT LIST")
    assert any(row.startswith(str(alice)) for row in answer.rows)
    assert (await operator.ask("STORE CHECK")).text == "0 findings"


async def test_a_wrong_password_waits_on_the_servers_clock(server, account, talk):
    alice = await account()
    wrong = Account(alice.address, H[::-1])
    first = await talk()
    assert [(await first.login(wrong)).code for _ in range(2)] == [410, 410]
    assert (await first.login(wrong)).code == 705
    second = await talk()
    attempt = asyncio.ensure_future(second.login(wrong))
    await server.clock.until_sleeping()
    server.clock.advance(30)
    assert (await attempt).code == 410


async def test_idle_sessions_end(serve, talk):
    server = await serve()
    waiting = await talk(on=server)
    server.pass_time(61)
    assert (await waiting.rest())[0].startswith("721 [TIMEOUT]")
