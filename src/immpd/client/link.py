"""One connection to a server: commands out in pipelines, reply lines and blocks back to who waits for them.

Rules: a pipeline's name is used again only after its last command was answered; reading stops while
a stream's consumer is behind, but never while anybody waits for something else; when the connection
goes, everybody who waits hears why (docs/protocol.md, "Pipelines").
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import cast

from immpd.net.certificates import ALPN
from immpd.net.stream import Stream
from immpd.protocol.codes import describe
from immpd.protocol.connection import Block, ClientConnection, ReplyLine
from immpd.protocol.errors import OutOfStep, Refused
from immpd.protocol.lines import Line

from .errors import ConnectionLost, NotSecure, ProtocolFault, read_refusal
from .greeting import ClearGreeting
from .pending import CANCELS, Pending, Pipeline

PIPELINES = 64
"""At once on one connection (docs/protocol.md, "Pipelines")."""


class Link:
    """The receiver of a client's stream."""

    def __init__(self, *, context: ssl.SSLContext, hostname: str, direct: bool) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._context = context
        self._hostname = hostname
        self._direct = direct
        self._clear: ClearGreeting | None = None if direct else ClearGreeting()
        self.silent = False
        """Connected to who has said nothing in clear."""
        self._connection = ClientConnection()
        self._raw: Callable[[bytes], None] | None = None
        self._out: list[bytes] = []
        self._reading_stopped = False
        self._room: list[asyncio.Future[None]] = []
        self.stream = Stream()
        self.stream.receiver = self
        self.encrypted: asyncio.Future[None] = loop.create_future()
        """Done when the handshake is."""
        self.gone: asyncio.Future[None] = loop.create_future()
        """Done when the connection is over."""
        self.lost_by: Exception | None = None
        self.full: set[Pending] = set()
        """Streams whose consumers are behind."""
        self.waiting = 0
        """How many wait for something to come."""
        self.default = Pipeline(self, None)
        self.alone = asyncio.Lock()
        """Held while a command of the default pipeline runs."""
        self._by_name: dict[str | None, Pipeline] = {None: self.default}
        self._unused = [Pipeline(self, f"p{number}") for number in range(PIPELINES, 0, -1)]
        self._queue: deque[asyncio.Future[Pipeline]] = deque()
        self.greeting = Pending(self, self.default, streaming=False)
        """The greeting inside TLS: it comes unasked and ends with 101."""
        self.default.queue.append(self.greeting)

    # --- the stream's side

    def connected(self) -> None:
        """Wait for the server to speak, or begin TLS at once."""
        self.silent = not self._direct
        if self._direct:
            self.stream.start_tls(self._context, server=False, hostname=self._hostname)

    def received(self, octets: bytes) -> None:
        """Octets came."""
        self.silent = False
        if self._raw is not None:
            self._raw(octets)
            return
        try:
            if self._clear is not None:
                self._in_clear(self._clear, octets)
                return
            for event in self._connection.receive_data(octets):
                self._take(event)
        except OutOfStep as error:
            self.fail(ProtocolFault(error.text))
        except (Refused, NotSecure, ProtocolFault) as error:
            self.fail(error)
        self.balance()

    def _in_clear(self, clear: ClearGreeting, octets: bytes) -> None:
        answer = clear.receive_data(octets)
        if answer:
            self.stream.write(answer)
        if clear.ready:
            self._clear = None
            self.stream.start_tls(self._context, server=False, hostname=self._hostname)

    def secured(self) -> None:
        """The handshake is done; whether the key is the right one is decided by who waits for this."""
        tls = self.stream.tls
        assert tls is not None
        if self._direct and tls.selected_alpn_protocol() != ALPN:
            self.fail(NotSecure(f"The server does not speak {ALPN} at this port (ALPN)"))
        elif not self.encrypted.done():
            self.encrypted.set_result(None)

    def lost(self, error: Exception | None) -> None:
        """The connection is over."""
        failure = self.stream.failure
        if failure is not None and not self.encrypted.done():
            no_tls = getattr(failure, "reason", "") == "WRONG_VERSION_NUMBER"
            told = "what answers there does not begin with TLS" if no_tls else str(failure)
            insecure = NotSecure(f"The TLS handshake failed: {told}")
            insecure.direct = False if no_tls and self._direct else None
            self._end(insecure)
        else:
            why = failure or error
            lost = ConnectionLost(f"The connection broke: {why}" if why else "The server closed the connection")
            lost.direct = True if self.silent else None
            self._end(lost)
        if not self.gone.done():
            self.gone.set_result(None)

    def writable(self) -> None:
        """The server takes more."""
        room, self._room = self._room, []
        for waiter in room:
            if not waiter.done():
                waiter.set_result(None)

    # --- replies

    def _take(self, event: ReplyLine | Block) -> None:
        pipeline = self._by_name.get(event.pid)
        if pipeline is None or not pipeline.queue:
            self._unasked(event)
            return
        pending = pipeline.queue[0]
        if isinstance(event, Block):
            pending.take(event)
            return
        line = event.line
        if line.more:
            pending.take(line)
        elif _is_final(line.code):
            pipeline.queue.popleft()
            pending.finish(line)
            self.full.discard(pending)
            self._note_end(line)
            if pipeline.released and not pipeline.queue:
                self.free(pipeline)

    def _unasked(self, event: ReplyLine | Block) -> None:
        """Answers to CANCEL are not needed; the server's last words are kept; anything else is out of step."""
        if event.pid == CANCELS:
            return
        if event.pid is not None or isinstance(event, Block) or event.line.code < 400:
            raise ProtocolFault("The server answered what was not asked")
        self._note_end(event.line)

    def _note_end(self, line: Line) -> None:
        code = describe(line.code)
        if code is not None and code.closes and line.code >= 400 and self.lost_by is None:
            refusal = read_refusal(line)
            lost = ConnectionLost(f"The server closed the connection: {refusal.text}")
            lost.refusal = refusal
            self.lost_by = lost

    # --- pipelines

    def pipeline_now(self) -> Pipeline | None:
        """A free pipeline, if there is one."""
        if self.lost_by is not None:
            raise self.lost_by
        if not self._unused:
            return None
        return self._begin(self._unused.pop())

    async def pipeline(self) -> Pipeline:
        """A free pipeline; waits for one where all are in use."""
        pipeline = self.pipeline_now()
        if pipeline is not None:
            return pipeline
        waiter: asyncio.Future[Pipeline] = self._loop.create_future()
        self._queue.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().release()
            raise

    def _begin(self, pipeline: Pipeline) -> Pipeline:
        pipeline.released = False
        self._by_name[pipeline.pid] = pipeline
        return pipeline

    def free(self, pipeline: Pipeline) -> None:
        """The pipeline's last command was answered and nobody holds it."""
        if pipeline.pid is None:
            return
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.done():
                waiter.set_result(self._begin(pipeline))
                return
        del self._by_name[pipeline.pid]
        self._unused.append(pipeline)

    # --- writing

    def write(self, octets: bytes) -> None:
        """Send with everything else of this tick of the loop."""
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(octets)

    def flush(self) -> None:
        """Send what was written."""
        out = self._out
        if out:
            self.stream.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    async def drain(self) -> None:
        """Wait until the server takes more; raises ConnectionLost."""
        self.flush()
        if self.lost_by is not None:
            raise self.lost_by
        if self.stream.paused:
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._room.append(waiter)
            self.waiting += 1
            self.balance()
            try:
                await waiter
            finally:
                self.waiting -= 1
                self.balance()
            if self.lost_by is not None:
                raise cast(Exception, self.lost_by)

    def take_over(self, receive: Callable[[bytes], None]) -> None:
        """From now on every octet goes to ``receive``: for people who speak the protocol by hand."""
        self._raw = receive

    # --- holding and ending

    def stop_streams(self) -> None:
        """Cancel every reply that is still being streamed."""
        for pipeline in self._by_name.values():
            for pending in pipeline.queue:
                if pending.streaming:
                    pending.abandon()

    def balance(self) -> None:
        """Stop reading while a consumer is behind and nobody waits for anything; else go on."""
        stop = bool(self.full) and self.waiting == 0
        if stop == self._reading_stopped or self.stream.closed:
            return
        self._reading_stopped = stop
        if stop:
            self.stream.transport.pause_reading()
        else:
            self.stream.transport.resume_reading()

    def fail(self, error: Exception) -> None:
        """Hang up at once because of ``error``."""
        self._end(error)
        if hasattr(self.stream, "transport"):
            self.stream.abort()

    def _end(self, error: Exception) -> None:
        if self.lost_by is None:
            self.lost_by = error
        error = self.lost_by
        if not self.encrypted.done():
            self.encrypted.set_exception(error)
            self.encrypted.exception()  # whoever waits gets it; nobody else is warned
        self.writable()
        for pipeline in list(self._by_name.values()):
            for pending in pipeline.queue:
                pending.fail(error)
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.done():
                waiter.set_exception(error)


def _is_final(number: int) -> bool:
    code = describe(number)
    return code.final if code is not None else number // 100 in (2, 4, 7)
