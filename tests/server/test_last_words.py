"""What the server says last arrives, however much the client still has under way."""

import asyncio
import socket
import ssl

import pytest
from tests.server.quiet import until

from immpd.net.certificates import client_context
from immpd.net.stream import LINGER_OCTETS, Stream
from immpd.server.settings import Bounds

pytestmark = pytest.mark.usefixtures("server")

MUCH = 4 << 20
"""Octets that no socket's buffers hold: who sends them all before it reads finds out whether they are taken."""


def all_then_read(raw: socket.socket, octets: bytes) -> bytes:
    """A simple client: it sends all it has, then reads to the end."""
    with raw:
        raw.settimeout(10)
        raw.sendall(octets)
        said = b""
        while piece := raw.recv(65536):
            said += piece
        return said


def secured(address: tuple[str, int]) -> ssl.SSLSocket:
    raw = socket.create_connection(address)
    return client_context().wrap_socket(raw, server_hostname="a.test")


async def test_before_log_in_in_clear(server):
    raw = await asyncio.to_thread(socket.create_connection, server.listen)
    said = await asyncio.to_thread(all_then_read, raw, bytes(MUCH))
    assert said.splitlines()[-1][:4] in (b"721 ", b"720 ")
    await until(lambda: not server.server.conversations)


@pytest.mark.parametrize("line", [b"NOOP\n" * 20_000, b"FROB LENGTH 5\n"])
async def test_before_log_in_inside_tls(server, line):
    raw = await asyncio.to_thread(secured, server.listen_tls)
    said = await asyncio.to_thread(all_then_read, raw, line + bytes(MUCH))
    assert said.splitlines()[-1][:4] in (b"721 ", b"720 ")


async def test_after_log_in(server, account, talk):
    alice = await account()
    one = await talk(alice)
    one.send(b"DATA x\n" + bytes(MUCH))
    await one.writer.drain()
    assert (await one.rest())[-1].startswith("720 [NO-LENGTH]")


async def test_whoever_goes_on_sending_is_hung_up(server):
    raw = await asyncio.to_thread(socket.create_connection, server.listen)
    with pytest.raises(ConnectionError):
        await asyncio.to_thread(all_then_read, raw, bytes(4 * LINGER_OCTETS))
    await until(lambda: not server.server.conversations)


async def test_whoever_is_refused_at_the_door_does_not_stay(serve, talk):
    server = await serve(bounds=Bounds(per_address=1))
    await talk(how="clear", on=server)
    raw = await asyncio.to_thread(socket.create_connection, server.listen)
    said = await asyncio.to_thread(all_then_read, raw, b"")
    assert said.startswith(b"721 [TOO-MANY-CONNECTIONS]")


class Ends:
    """A receiver that closes as soon as anything comes."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.gone = asyncio.get_running_loop().create_future()

    def connected(self) -> None: ...
    def secured(self) -> None: ...
    def writable(self) -> None: ...

    def received(self, octets: bytes) -> None:
        self.stream.write(b"bye\n")
        self.stream.close()

    def lost(self, error: Exception | None) -> None:
        self.gone.set_result(error)


async def test_whoever_does_not_hang_up_is_hung_up_after_its_time():
    ends: list[Ends] = []

    def accept() -> Stream:
        stream = Stream(linger=0.05)
        stream.receiver = one = Ends(stream)
        ends.append(one)
        return stream

    listener = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
    writer.write(b"hello")
    assert await reader.read() == b"bye\n"
    assert not ends[0].gone.done()
    async with asyncio.timeout(10):
        await ends[0].gone
    writer.close()
    listener.close()
