"""Loops on several threads of one process: a server beside a blocking client, or two blocking clients."""

import asyncio
import socket
import threading

from immpd.net.stream import Stream

ROUNDS = 400
PIECE = 60_000


class Collector:
    """Keeps count of what came, and whether it was what the other side sent."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.count = 0
        self.wrong = 0
        self.done = asyncio.get_running_loop().create_future()
        self.gone = asyncio.get_running_loop().create_future()

    def connected(self) -> None:
        pass

    def secured(self) -> None:
        pass

    def writable(self) -> None:
        pass

    def received(self, octets: bytes) -> None:
        self.count += len(octets)
        self.wrong += len(octets) - octets.count(self.expected)
        if self.count >= ROUNDS * PIECE and not self.done.done():
            self.done.set_result(None)

    def lost(self, error: Exception | None) -> None:
        self.gone.set_result(None)
        if not self.done.done():
            self.done.set_result(None)


async def receive(end: socket.socket, expected: int) -> tuple[int, int]:
    stream = Stream()
    receiver = Collector(expected)
    stream.receiver = receiver
    await asyncio.get_running_loop().create_connection(lambda: stream, sock=end)
    await receiver.done
    stream.abort()
    await receiver.gone
    return receiver.count, receiver.wrong


def send(end: socket.socket, octet: int) -> None:
    piece = bytes((octet,)) * PIECE
    with end:
        for _ in range(ROUNDS):
            end.sendall(piece)


def test_what_one_thread_reads_never_reaches_another() -> None:
    results: dict[int, tuple[int, int]] = {}

    def loop_of(end: socket.socket, octet: int) -> None:
        results[octet] = asyncio.run(receive(end, octet))

    threads = []
    for octet in b"ab":
        near, far = socket.socketpair()
        near.setblocking(False)
        threads.append(threading.Thread(target=loop_of, args=(near, octet)))
        threads.append(threading.Thread(target=send, args=(far, octet)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(b"ab", (ROUNDS * PIECE, 0))
