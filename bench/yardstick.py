"""The yardsticks: what the same work costs on this machine without a mail server around it.

* ``store_alone``: plain apsw, the same kind of bodies (each its own) in one table, durable (WAL, synchronous=FULL),
  committed in groups of as many messages as the load keeps outstanding. No network, envelope, index or mailbox.
* run as a script: a minimal line server over TLS 1.3 on uvloop (its own ``ssl=``), written the shortest way. It answers
  NOOP with a line, FETCH of one message with a ready block, FETCH of all and MBOX INDEX with 10,000 ready blocks or
  rows, so it shows what the loop, TLS and the kernel leave for a server that knows everything beforehand. It prints
  its port and serves until it is told to stop. The same generator drives it (``load --bare``).
"""

import asyncio
import os
import random
import ssl
import sys
import tempfile
import time
from pathlib import Path

import apsw
import uvloop

MESSAGES = 10_000
BODY = random.Random(1).randbytes(1536).hex().encode()[:2048]
NAME = b"0190b4c0-0000-7000-8000-000000000000"
BLOCK = b"255- %b 1 %d\n%b\n" % (NAME, len(BODY), BODY)
ROW = (
    b'250- {"from":"s1@bench.test","to":["u0@bench.test"],"subject":"Minutes 1234","date":"2026-01-01T00:00:00Z",'
    b'"size":2048,"thread":"%b","parts":1,"importance":"normal","verified":true,"id":"%b","folder":"/INBOX","flags":[],'
    b'"state":"0123abcd-12345"}\n' % (NAME, NAME)
)
AT_ONCE = 64


def store_alone(folder: Path, size: int, group: int, seconds: float) -> float:
    """Messages a second."""
    path = folder / f"alone-{size}-{group}.sqlite3"
    connection = apsw.Connection(str(path))
    for pragma in ("page_size = 8192", "journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute("CREATE TABLE body (id INTEGER PRIMARY KEY, octets BLOB)")
    rest = os.urandom(size - 16)
    count = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(group):
            connection.execute("INSERT INTO body (octets) VALUES (?)", (os.urandom(16) + rest,))
        connection.execute("COMMIT")
        count += group
    took = time.perf_counter() - began
    connection.close()
    path.unlink()
    return count / took


class Line(asyncio.Protocol):
    """Answers lines with what is ready."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.rest = b""
        self.paused = False
        self.queue = []  # (octets, times) that wait for the peer

    def data_received(self, data: bytes) -> None:
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        out = []
        for line in lines:
            if line == b"NOOP":
                out.append(b"200 Done\n")
            elif line.startswith(b"FETCH /INBOX#"):
                out.append(BLOCK + b"250 n=1\n")
            else:
                self.queue.append([BLOCK if line.startswith(b"FETCH") else ROW, MESSAGES])
        if out:
            self.transport.write(b"".join(out))
        self.go_on()

    def go_on(self) -> None:
        while self.queue and not self.paused:
            octets, left = self.queue[0]
            now = min(left, AT_ONCE)
            self.transport.write(octets * now)
            self.queue[0][1] -= now
            if left == now:
                self.transport.write(b"250 n=10000\n")
                self.queue.pop(0)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.go_on()


async def serve() -> None:
    from datetime import UTC, datetime

    from immpd.net.certificates import CertificateFiles, ensure_self_signed

    with tempfile.TemporaryDirectory() as name:
        files = CertificateFiles(Path(name) / "tls.crt", Path(name) / "tls.key")
        ensure_self_signed(files, ("bench.test",), datetime.now(UTC))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["immp/1"])
        context.load_cert_chain(files.certificate, files.key)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Line, "127.0.0.1", 0, ssl=context, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve())
