"""Listeners and the bounds of their connections: in time by the server's clock, in number by address."""

import asyncio
import ssl
import stat
import warnings

import pytest
import trustme
from tests.server.quiet import buffered, conversation_of, nothing_left, owned, until
from tests.serving import Talk

from immpd.net.certificates import client_context
from immpd.net.stream import Stream
from immpd.server.conversation import Conversation
from immpd.server.server import Address
from immpd.server.settings import Bounds

pytestmark = pytest.mark.usefixtures("server")


# --- bounds in time


@pytest.mark.parametrize("sent", [b"", b"UPGR"])
async def test_sixty_seconds_to_log_in_in_clear(serve, talk, sent):
    server = await serve()
    clear = await talk(how="clear", on=server)
    clear.send(sent)
    server.pass_time(60)
    server.pass_time(1)
    assert [line[:13] for line in await clear.rest()] == ["721 [TIMEOUT]"]


async def test_sixty_seconds_to_log_in_inside_tls(serve, talk):
    server = await serve()
    unknown = await talk(on=server)
    server.pass_time(40)
    assert (await unknown.ask("NOOP")).code == 200
    server.pass_time(21)
    assert [line[:13] for line in await unknown.rest()] == ["721 [TIMEOUT]"]


async def test_who_logged_in_stays(serve, talk):
    server = await serve()
    alice = await talk(await server.add_account("alice"), on=server)
    server.pass_time(61)
    assert (await alice.ask("NOOP")).code == 200


@pytest.mark.parametrize("how", ["clear", "direct"])
async def test_ten_seconds_for_the_handshake(serve, how):
    server = await serve()
    async with nothing_left(server):
        if how == "clear":
            slow = await Talk.clear(server)
            assert (await slow.ask("UPGRADE TLS")).code == 204
        else:
            slow = Talk(*await asyncio.open_connection(*server.listen_tls))
            await until(lambda: server.server.conversations)
        slow.send(b"\x16\x03\x01")
        server.pass_time(10)
        assert len(server.server.conversations) == 1
        server.pass_time(1)
        assert await slow.rest() == []  # and never a word in clear
        await slow.close()


async def test_a_sweep_that_fails_harms_one_conversation(serve, talk):
    class Broken(Conversation):
        def sweep(self, now: float) -> None:
            raise ZeroDivisionError

        def abort(self) -> None:
            self.server.conversations.discard(self)

    server = await serve()
    one = await talk(on=server)
    server.server.conversations.add(Broken(server.server, Stream(), direct=False))
    server.pass_time(61)
    assert "sweep failed" in server.log.take_errors()[0]
    assert (await one.rest())[-1].startswith("721 [TIMEOUT]")
    await until(lambda: not server.server.conversations)


# --- bounds in octets and number


async def test_sixty_four_kib_before_log_in(serve, talk):
    server = await serve()
    async with nothing_left(server):
        flood = await talk(on=server)
        flood.send(b"NOOP\n" * 14_000)
        lines = await flood.rest()
        assert lines[-1].startswith("721 [FLOOD]")
        assert set(lines[:-1]) <= {"200 Done"}
        assert len(lines) * 5 <= 65_536


async def test_the_flood_counts_in_clear_too(serve, talk):
    server = await serve()
    flood = await talk(how="clear", on=server)
    flood.send(b"\n" * 65_536)
    assert (await flood.ask("NOOP")).code == 721


async def test_connections_of_one_address_before_log_in(serve, talk):
    server = await serve(bounds=Bounds(per_address=3))
    alice = await server.add_account("alice")
    first = [await talk(how="clear", on=server) for _ in range(3)]
    one_too_many = Talk(*await asyncio.open_connection(*server.listen))
    assert [line.startswith("721 [TOO-MANY-CONNECTIONS] retry=30 ") for line in await one_too_many.rest()] == [True]
    await one_too_many.close()
    silent = Talk(*await asyncio.open_connection(*server.listen_tls))
    assert await silent.rest() == []
    await silent.close()
    elsewhere = Talk(*await asyncio.open_connection(*server.listen, local_addr=("127.0.0.2", 0)))
    assert (await elsewhere.reply()).code == 101
    await elsewhere.close()
    await first[0].upgrade()
    assert (await first[0].login(alice)).code == 210  # who logged in is no longer counted
    again = await talk(how="clear", on=server)
    await again.close()
    await until(lambda: owned(server).addresses == 2)
    await talk(how="clear", on=server)


async def test_ipv6_addresses_are_counted_by_network(serve):
    server = await serve(bounds=Bounds(per_address=1))
    (bound,) = await server.server.listen(Address("::1", 0), direct=False)
    assert str(bound) == f"[::1]:{bound.port}"
    one = Talk(*await asyncio.open_connection(bound.host, bound.port))
    assert (await one.reply()).code == 101
    other = Talk(*await asyncio.open_connection(bound.host, bound.port))
    assert (await other.reply()).code == 721
    assert set(server.server._by_address) == {"::/64"}
    for talk in (one, other):
        await talk.close()
    await until(lambda: not server.server._by_address)


async def test_connections_in_all(serve, talk):
    server = await serve(bounds=Bounds(connections=1))
    await talk(on=server)
    late = Talk(*await asyncio.open_connection(*server.listen))
    assert (await late.reply()).word == "TOO-MANY-CONNECTIONS"
    await late.close()
    assert (await (await talk(how="operator", on=server)).ask("WHO")).code == 200  # who mends it gets in


# --- TLS from the first octet


async def test_direct_tls_greets_as_after_upgrade(server, talk):
    direct = await talk(how="direct")
    assert direct.greeting == (await talk()).greeting
    assert direct.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "immp/1"
    assert (await direct.ask("UPGRADE TLS")).code == 704


@pytest.mark.parametrize("protocols", [[], ["http/1.1"], ["h2", "smtp"], ["immp/2"]])
@pytest.mark.parametrize("how", ["direct", "upgrade"])
async def test_another_protocol_shakes_no_hands(server, how, protocols):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    async with nothing_left(server):
        if how == "direct":
            with pytest.raises(ssl.SSLError, match="alert no application protocol"):
                await Talk.direct(server, context)
            return
        clear = await Talk.clear(server)
        if protocols:
            with pytest.raises(ssl.SSLError, match="alert no application protocol"):
                await clear.upgrade(context=context)
        else:
            await clear.upgrade(context=context)
        await clear.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.parametrize("how", ["upgrade", "direct"])
async def test_old_tls_shakes_no_hands(server, talk, version, how):
    context = client_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
    async with nothing_left(server):
        if how == "direct":
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await Talk.direct(server, context)
        else:
            clear = await Talk.clear(server)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await clear.upgrade(context=context)
            await clear.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_new_tls_does(server, talk, version):
    context = client_context()
    context.minimum_version = context.maximum_version = version
    clear = await talk(how="clear")
    await clear.upgrade(context=context)
    assert (await clear.ask("NOOP")).code == 200


async def test_client_certificates_are_not_asked_for(server, talk):
    context = client_context()
    trustme.CA().issue_cert("mallory@a.test").configure_cert(context)
    clear = await talk(how="clear")
    await clear.upgrade(context=context)
    tls = conversation_of(server, clear).stream.tls
    assert tls is not None
    assert tls.getpeercert(True) is None


async def test_the_domain_asked_for_is_answered(serve, talk):
    server = await serve(domains=("a.test", "b.test"))
    for asked, answered in (("b.test", "b.test"), ("B.TEST", "b.test"), ("c.test", "a.test"), (None, "a.test")):
        clear = await talk(how="clear", on=server)
        await clear.upgrade(asked)
        assert clear.greeting.fields["d"] == answered
        assert f"domain={answered}" in (await clear.ask("WHO")).text


# --- connections that break


@pytest.mark.parametrize("how", ["clear", "upgrade", "direct", "operator"])
async def test_a_half_closed_connection_is_a_closed_one(server, talk, how):
    async with nothing_left(server):
        half = await talk(how=how)
        half.send("QUIT\n" if how == "clear" else "NOOP\n")
        await half.reply()
        if how in ("clear", "operator"):
            half.writer.write_eof()
            assert await half.rest() == []
        await half.close()


@pytest.mark.parametrize("how", ["clear", "upgrade", "direct"])
async def test_a_reset_leaves_nothing(server, talk, how):
    async with nothing_left(server):
        gone = await talk(how=how)
        gone.reset()


async def test_hang_ups_at_every_step_leave_nothing(serve):
    server = await serve()
    async with nothing_left(server):
        for step in range(4):
            gone = await Talk.clear(server)
            if step > 0:
                gone.send("UPGRADE TLS")
            if step > 1:
                await gone.reply()
            if step > 2:
                await gone.handshake()
            gone.reset()


# --- the operator's socket


async def test_the_operators_socket_is_for_this_user_only(server, talk):
    assert stat.S_IMODE((server.folder / "immpd.sock").stat().st_mode) == 0o600
    operator = await talk(how="operator")
    assert "state=operator" in (await operator.ask("WHO")).text
    assert (await operator.ask("STORE CHECK")).code == 290
    assert (await operator.ask("MBOX LIST")).code == 704
    assert (await operator.ask("AUTH SECRET alice@a.test")).code == 704


async def test_the_operators_commands_are_refused_elsewhere(server, talk, account):
    for where in (await talk(), await talk(await account())):
        for command in ("ACCOUNT LIST", "ACCOUNT SALT x@a.test", "ACCOUNT DISABLE x@a.test", "STORE CHECK"):
            answer = await where.ask(command)
            assert (answer.code, answer.word) == (704, "STATE"), command


# --- stopping


async def test_a_stop_finishes_what_the_store_has_and_tells_everybody(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    busy, watching, unknown = await talk(alice, on=server), await talk(alice, on=server), await talk(on=server)
    clear = await talk(how="clear", on=server)
    watching.send("WATCH")
    await watching.row()
    busy.send(f"DELIVER TO {alice}\nDATA a LENGTH 5 +CONTENT\nhelloDONE\nNOOP\n")
    assert [answer.code for answer in await busy.replies(2)] == [270, 272]
    stopping = asyncio.create_task(server.server.stop())
    done = await busy.reply()
    assert done.code == 273  # it was on its way to the disk
    for one in (busy, watching, unknown, clear):
        lines = await one.rest()
        assert lines[-1].startswith("751 [SHUTTING-DOWN] retry=30 ")
        await one.close()
    await stopping
    with pytest.raises(ConnectionError):
        await asyncio.open_connection(*server.listen)
    assert owned(server).conversations == 0


async def test_a_stop_does_not_wait_for_ever(serve, talk):
    server = await serve(bounds=Bounds(quit=1))
    alice = await server.add_account("alice")
    deaf = await talk(alice, on=server)
    deaf.writer.transport.pause_reading()
    deaf.send(b"HELP\n" * 20_000)
    await until(lambda: conversation_of(server, deaf).stream.paused)
    assert buffered(server, deaf) < 2 << 20
    await server.server.stop()
    assert owned(server).conversations == 0
    deaf.reset()
