"""In clear: the greeting, what UPGRADE takes, and octets smuggled in before the handshake."""

import asyncio
import ssl

import pytest
from tests.server.quiet import nothing_left
from tests.serving import Talk

from immpd.net.certificates import client_context

pytestmark = pytest.mark.usefixtures("server")

IN_CLEAR = (
    "NOOP",
    "HELP",
    "CAPS",
    "WHO",
    "AUTH SECRET alice@a.test",
    "AUTH RESPONSE 00",
    "DELIVER TO alice@a.test",
    "MBOX LIST",
    "WATCH",
    "ACK x",
    "CANCEL x",
    "ACCOUNT LIST",
    "STORE CHECK",
    "GET / HTTP/1.1",
    "EHLO a.test",
    "AS x UPGRADE TLS",
    "AS x NOOP",
)


async def test_the_greeting_in_clear_says_how_to_go_on(server, talk):
    clear = await talk(how="clear")
    assert clear.greeting.lines == (
        "100- IMMP/1.0 server at a.test",
        "100- Please upgrade the connection with one of the following:",
        "102 TLS",
        "101 p=IMMP v=1.0 d=a.test",
    )


async def test_the_greeting_in_tls_says_what_is_offered(server, talk):
    greeting = (await talk()).greeting
    assert greeting.lines[0] == "100 IMMP/1.0 server at a.test"
    assert greeting.fields["auth"] == "SCRAM-SHA-256-PLUS,SCRAM-SHA-256,SECRET"
    assert greeting.fields["cb"] == "tls-server-end-point"
    assert int(greeting.fields["max-message"]) == server.services.limits.max_message
    assert int(greeting.fields["max-to"]) == server.services.limits.max_recipients


async def test_only_upgrade_and_quit_are_answered(talk):
    clear = await talk(how="clear")
    for command in IN_CLEAR:
        clear.send(command)
        answer = await clear.reply("x" if command.startswith("AS x") else "*")
        assert (answer.code, answer.word) == (710, "UPGRADE-FIRST"), command
    assert (await clear.ask("QUIT")).code == 203
    assert await clear.rest() == []


async def test_the_body_of_a_command_in_clear_is_thrown_away(talk):
    clear = await talk(how="clear")
    clear.send(b"DATA a LENGTH 5\nQUIT\nNOOP\n")
    assert [answer.code for answer in await clear.replies(2)] == [710, 710]
    await clear.upgrade()


async def test_commands_before_upgrade_in_one_packet_are_answered_before_it(talk):
    clear = await talk(how="clear")
    clear.send("NOOP\nWHO\nUPGRADE SSLv3\nUPGRADE TLS\n")
    assert [answer.code for answer in await clear.replies(4)] == [710, 710, 711, 204]
    await clear.handshake()
    clear.greeting = await clear.reply()
    assert (await clear.ask("NOOP")).code == 200


@pytest.mark.parametrize(
    ("method", "document"),
    [
        ("SSLv2", "RFC 6176"),
        ("SSLv3", "RFC 7568"),
        ("sslv3", "RFC 7568"),
        ("TLSv1", "RFC 8996"),
        ("TLS1.0", "RFC 8996"),
        ("TLSv1.0", "RFC 8996"),
        ("TLS1.1", "RFC 8996"),
        ("TLSv1.1", "RFC 8996"),
    ],
)
async def test_withdrawn_protocols_are_refused_by_name(talk, method, document):
    clear = await talk(how="clear")
    answer = await clear.ask(f"UPGRADE {method}")
    assert (answer.code, answer.word) == (711, "TOO-OLD")
    assert document in answer.text
    await clear.upgrade()


async def test_an_unknown_method_is_named(talk):
    answer = await (await talk(how="clear")).ask('UPGRADE "ROT\u202e13"')
    assert (answer.code, answer.word) == (711, "UNKNOWN-METHOD")
    assert "\u202e" not in answer.text


@pytest.mark.parametrize("method", ["TLS", "tls", "TLS2", "TLS3", '"TLS"'])
async def test_the_names_that_mean_tls(talk, method):
    clear = await talk(how="clear")
    assert (await clear.ask(f"UPGRADE {method}")).code == 204
    await clear.handshake()
    assert (await clear.reply()).code == 101


async def test_many_refused_upgrades_in_one_packet(talk):
    clear = await talk(how="clear")
    clear.send("UPGRADE SSLv3\n" * 4000)
    assert {answer.code for answer in await clear.replies(4000)} == {711}


async def octets_until_the_end(talk):
    octets = b""
    try:
        while piece := await talk.reader.read(1 << 16):
            octets += piece
    except ConnectionError:
        pass
    return octets


SMUGGLED = b"UPGRADE TLS\nNOOP\nQUIT\n"


@pytest.mark.parametrize("behind", [b"\n", b"\r", b"N", b"NOOP\n", b"\x16", b"\x16\x03\x01\x02\x00\x01"])
async def test_octets_behind_upgrade_close_the_connection(server, behind):
    async with nothing_left(server):
        clear = await Talk.clear(server)
        clear.send(b"UPGRADE TLS\n" + behind)
        assert await clear.rest() == []
        await clear.close()


@pytest.mark.parametrize("cut", range(1, len(SMUGGLED)))
async def test_smuggled_commands_are_never_read_wherever_they_are_cut(server, cut):
    """The STARTTLS-injection family: whatever is heard, it is not an answer to a command sent in clear."""
    async with nothing_left(server):
        clear = await Talk.clear(server)
        clear.send(SMUGGLED[:cut])
        if SMUGGLED[:cut].count(b"\n") == 1 and SMUGGLED[cut - 1 : cut] == b"\n":
            assert (await clear.reply()).code == 204
        else:
            await asyncio.sleep(0)
        clear.send(SMUGGLED[cut:])
        told = await clear.rest()
        assert [line for line in told if line[:3] not in ("204",)] == [], told
        await clear.close()


async def test_what_is_smuggled_before_the_client_hello_is_not_read_after_it(server):
    """The attacker's octets reach the server first, then the victim's handshake."""
    async with nothing_left(server):
        clear = await Talk.clear(server)
        assert (await clear.ask("UPGRADE TLS")).code == 204
        clear.send(b"NOOP\n")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await clear.handshake()
        await clear.close()


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 600, b"\x16\x03\x01\xff\xff" + b"\0" * 70000, b"\x15\x03\x01\0\x02\x02\x28"],
)
@pytest.mark.parametrize("how", ["upgrade", "direct"])
async def test_garbage_instead_of_a_client_hello(server, garbage, how):
    async with nothing_left(server):
        if how == "upgrade":
            clear = await Talk.clear(server)
            assert (await clear.ask("UPGRADE TLS")).code == 204
        else:
            clear = Talk(*await asyncio.open_connection(*server.listen_tls))
        clear.send(garbage)
        assert len(await octets_until_the_end(clear)) <= 7  # an alert of TLS at most, never a line
        await clear.close()


async def test_a_client_hello_octet_by_octet(server, talk):
    """Slow, but within its ten seconds."""
    clear = await talk(how="clear")
    assert (await clear.ask("UPGRADE TLS")).code == 204
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context().wrap_bio(incoming, outgoing, server_hostname="a.test")
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            for octet in outgoing.read():
                clear.send(bytes([octet]))
                await clear.writer.drain()
            incoming.write(await clear.reader.read(65536))
    for octet in outgoing.read():
        clear.send(bytes([octet]))
    tls.write(b"NOOP\n")
    for octet in outgoing.read():
        clear.send(bytes([octet]))
    heard = b""
    while b"200 Done\n" not in heard:
        incoming.write(await clear.reader.read(65536))
        try:
            while True:
                heard += tls.read(65536)
        except ssl.SSLWantReadError:
            pass
    assert heard.startswith(b"100 IMMP/1.0 server at a.test\n")
