"""One connection: octets ⇄ commands in pipelines ⇄ a session of the service.

Rules: in clear only UPGRADE and QUIT are answered, and nothing that came before the handshake is read
after it; commands of one pipeline run in order, pipelines beside each other; replies of one tick
leave in one write; reading stops, and never the answering, when too much waits
(docs/protocol.md, "Transport" and "Pipelines").
"""

from collections import deque
from collections.abc import Iterable
from enum import Flag, auto
from typing import TYPE_CHECKING, Any

from immpd.net.certificates import ALPN
from immpd.net.stream import Stream
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import Ack, Cancel, Quit, Upgrade, Watch
from immpd.protocol.connection import Call, Event, Octets, ServerConnection, Trouble
from immpd.protocol.errors import OutOfStep, Refused, StateFault
from immpd.protocol.states import NEEDED, State
from immpd.service.session import Session, capabilities

from .job import Job, error_line

if TYPE_CHECKING:
    from .server import Server

MAX_BUFFERED = 512 * 1024
MAX_SPOOLED = 4 << 20
_WATCH_ENDED = replies.WatchEnded()
_OLD_TLS = {
    "SSLV2": "SSLv2 was withdrawn by RFC 6176",
    "SSLV3": "SSLv3 was withdrawn by RFC 7568",
    "SSL": "SSL was withdrawn by RFC 7568",
    "TLSV1": "TLS 1.0 was withdrawn by RFC 8996",
    "TLSV1.0": "TLS 1.0 was withdrawn by RFC 8996",
    "TLS1.0": "TLS 1.0 was withdrawn by RFC 8996",
    "TLSV1.1": "TLS 1.1 was withdrawn by RFC 8996",
    "TLS1.1": "TLS 1.1 was withdrawn by RFC 8996",
}
_TLS_NAMES = frozenset({"TLS", "TLS2", "TLS3"})


class Held(Flag):
    """Why reading from the connection has stopped."""

    NO = 0
    OUTPUT = auto()
    UNANSWERED = auto()
    DISK = auto()
    STORE = auto()


class Conversation:
    """The receiver of one stream."""

    __slots__ = (
        "_cancels",
        "_dirty",
        "_held",
        "_leaving",
        "_out",
        "_quit",
        "_receiving",
        "_turns",
        "_unanswered",
        "begun",
        "connection",
        "counted_address",
        "direct",
        "peer",
        "pipelines",
        "received_octets",
        "secured_at",
        "seen",
        "server",
        "session",
        "store",
        "stream",
    )

    def __init__(self, server: "Server", stream: Stream, *, direct: bool) -> None:
        self.server = server
        self.stream = stream
        self.direct = direct
        """TLS from the first octet."""
        self.store = server.services.store
        self.connection = ServerConnection()
        self.session = Session(server.services, State.CLEAR)
        self.pipelines: dict[str | None, deque[Job]] = {}
        """The jobs of each busy pipeline, the running one first."""
        self.peer = ""
        self.counted_address: str | None = None
        self.begun = self.seen = server.now
        self.secured_at: float | None = None
        self.received_octets = 0
        self._unanswered = 0
        self._held = Held.NO
        self._out: list[bytes] = []
        self._dirty = False
        self._receiving = False
        self._turns: deque[Job] | None = None
        self._quit: Job | None = None
        self._leaving: Refused | None = None
        self._cancels: dict[str | None, list[Job]] | None = None

    # --- the stream's side

    def connected(self) -> None:
        """Greet in clear, or begin TLS at once."""
        refusal = self.server.admit(self)
        if refusal is not None:
            if not self.direct:
                self.stream.write(error_line(refusal, ""))
            self.stream.close()
            return
        if self.direct:
            self.stream.start_tls(self.server.certificates.context, server=True)
            return
        domain = min(self.server.services.domains)
        greeting = (
            f"100- IMMP/1.0 server at {domain}\n"
            "100- Please upgrade the connection with one of the following:\n"
            "102 TLS\n"
            f"101 p=IMMP v=1.0 d={domain}\n"
        )
        self.stream.write(greeting.encode())

    def begin_operator(self) -> None:
        """The operator's socket: no TLS, no log-in (docs/protocol.md, "Operator")."""
        self.session = Session(self.server.services, State.OPERATOR, peer="operator")
        self.secured_at = self.server.now
        self._greet()

    def secured(self) -> None:
        """TLS is up: a new session, a new reader, and the greeting with what is offered."""
        tls = self.stream.tls
        assert tls is not None
        alpn = tls.selected_alpn_protocol()
        if (self.direct and alpn != ALPN) or (alpn is not None and alpn != ALPN):
            self.abort()
            return
        self.connection = ServerConnection()
        leaf = self.server.certificates.shown(tls)
        self.session = Session(
            self.server.services, State.UNAUTHENTICATED, peer=self.peer, channel_binding=leaf.end_point
        )
        self.session.domain = self.server.domain_of(tls)
        self.secured_at = self.server.now
        self._greet()

    def _greet(self) -> None:
        about = capabilities(self.session)
        self.write(f"100 IMMP/1.0 server at {about.d}\n".encode() + about.encode())
        self.flush()

    def received(self, octets: bytes) -> None:
        """Read what came and answer what can be answered."""
        self.seen = self.server.now
        if self.session.state < State.USER:
            self.received_octets += len(octets)
            if self.received_octets > self.server.bounds.before_login_octets:
                self._bound("FLOOD", "Too many octets before log-in")
                return
        self._receiving = True
        self._take(self.connection.receive_data(octets))
        self._receiving = False
        self.flush()
        if self.stream.paused and self.stream.transport.get_write_buffer_size() > MAX_BUFFERED:
            self._hold(Held.OUTPUT)
        if self.store.saturated and not self._held & Held.STORE:
            self._hold(Held.STORE)
            self.store.on_room(self._room_in_store)

    def lost(self, error: Exception | None) -> None:
        """The connection is gone: what the store has goes on, nobody hears of it."""
        self.server.gone(self)
        for jobs in list(self.pipelines.values()):
            for job in jobs:
                job.done = True
                job.release()
        self.pipelines.clear()
        self._turns = None
        self.session.close()

    def writable(self) -> None:
        """The peer takes more."""
        self._release(Held.OUTPUT)
        if self._turns:
            self.take_turn()

    # --- reading

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            if type(event) is Call:
                self._call(event)
            elif type(event) is Octets:
                self._octets(event)
            elif type(event) is Trouble:
                self._trouble(event)
            if self.stream.closed:
                return

    def _call(self, call: Call) -> None:
        command = call.command
        if self._quit is not None:
            return
        if self.session.state not in command.states:
            self._refuse_call(call, self._wrong_state(call))
            return
        request = call.request
        kind = type(request)
        if kind is Upgrade or kind is Cancel or kind is Quit:
            self._at_once(call)
            return
        attached = None
        try:
            attached = self.session.arrive(call.pid, request)
        except Refused as error:
            self._refuse_call(call, error)
            return
        size = call.size
        if command.body:
            if call.octets is not None:
                size += len(call.octets)
                attached.whole(call.octets)
            elif call.body is not None:
                call.body.receiver = attached
        self._submit(Job(self, call.pid, call, attached, None, size), kind is Ack)

    def _refuse_call(self, call: Call, error: Refused) -> None:
        """Answer with an error in the pipeline's order; the octets that follow are thrown away."""
        self._submit(Job(self, call.pid, call, None, error, call.size))

    def _wrong_state(self, call: Call) -> Refused:
        name = call.command.name
        if self.session.state is State.CLEAR:
            return StateFault(
                "In clear only UPGRADE and QUIT are answered; UPGRADE TLS first", Code.CLEAR, "UPGRADE-FIRST"
            )
        needed = " or ".join(NEEDED[state] for state in sorted(call.command.states))
        return StateFault(f"{name} is not available now: {needed}")

    def _octets(self, event: Octets) -> None:
        receiver: Any = event.body.receiver
        if receiver is None:
            return
        if event.body.error is not None:
            receiver.fail(event.body.error)
        else:
            receiver.take(event.data, event.last)
            spool = receiver.spool
            if spool is not None and spool.pending > MAX_SPOOLED and not self._held & Held.DISK:
                receiver.draft.drafts.on_room = spool.on_room = self._room_on_disk
                self._hold(Held.DISK)

    def _trouble(self, event: Trouble) -> None:
        if isinstance(event.error, OutOfStep):
            prefix = "" if event.pid is None else f"{event.pid}: "
            self.write(error_line(event.error, prefix))
            self.close()
        else:
            error = event.error
            if self.session.state is State.CLEAR:
                text = "In clear only UPGRADE and QUIT are answered; UPGRADE TLS first"
                error = StateFault(text, Code.CLEAR, "UPGRADE-FIRST")
            self._submit(Job(self, event.pid, None, None, error, 64))

    # --- pipelines

    def _submit(self, job: Job, beside: bool = False) -> None:
        """Run it, or let it wait behind its pipeline's jobs; ``beside`` waits for nobody."""
        jobs = None if beside else self.pipelines.get(job.pid)
        if jobs is not None:
            jobs.append(job)
            self._count(job.size)
            self._end_watch(jobs)
            return
        bounds = self.server.bounds
        limit = bounds.before_login_pipelines if self.session.state < State.USER else bounds.pipelines
        if len(self.pipelines) >= limit and not beside:
            job.error = Refused(
                Code.LIMIT, "TOO-MANY-PIPELINES", f"At most {limit} pipelines run at once; wait for one"
            )
        job.start()
        if not job.done:
            if beside:
                return
            self._count(job.size)
            self.pipelines[job.pid] = deque((job,))

    def _end_watch(self, jobs: deque[Job]) -> None:
        """A watch of the default pipeline ends at its next command."""
        running = jobs[0]
        if len(jobs) > 1 and running.pid is None and running.call is not None and type(running.call.request) is Watch:
            running.finish_watch(_WATCH_ENDED)

    def finished(self, job: Job, reply: replies.Reply | None) -> None:
        """A job has been answered: the next of its pipeline, and those who wait for the end."""
        call = job.call
        jobs = self.pipelines.get(job.pid)
        if jobs and jobs[0] is job:
            jobs.popleft()
            self._count(-job.size)
            if not job.starting:
                self._advance(job.pid, jobs)
        if reply is not None and type(reply) is replies.Authenticated:
            self.server.logged_in(self)
        if call is not None and call.command.alone:
            self._take(self.connection.resume())
        if self._quit is not None or self._leaving is not None:
            self._quit_if_idle()

    def _advance(self, pid: str | None, jobs: deque[Job]) -> None:
        """Start what waits in a pipeline, one after the other, as long as each is answered at once."""
        while jobs and not self.stream.closed:
            following = jobs[0]
            following.starting = True
            following.start()
            following.starting = False
            if not following.done:
                break
        if not jobs:
            self.pipelines.pop(pid, None)
            self._answer_cancels(pid)

    def _count(self, octets: int) -> None:
        self._unanswered += octets
        limit = self.server.bounds.unanswered
        if octets > 0 and self._unanswered > limit:
            self._hold(Held.UNANSWERED)
        elif octets < 0 and self._unanswered <= limit:
            self._release(Held.UNANSWERED)

    # --- commands that act when they are read

    def _at_once(self, call: Call) -> None:
        request = call.request
        if type(request) is Upgrade:
            self._upgrade(call, request)
        elif type(request) is Quit:
            self._quit = Job(self, call.pid, call, None, None, 0)
            self._end_all_watches()
            self._quit_if_idle()
        elif type(request) is Cancel:
            self._cancel(call, request)

    def _upgrade(self, call: Call, request: Upgrade) -> None:
        job = Job(self, None, call, None, None, 0)
        method = request.method.upper()
        if method in _TLS_NAMES:
            if self.connection.waiting:
                # Somebody put octets behind UPGRADE to have them read after the handshake.
                self.abort()
                return
            self.stream.write(replies.Upgrading().encode())
            self.secured_at = self.server.now
            self.stream.start_tls(self.server.certificates.context, server=True)
            return
        why = _OLD_TLS.get(method)
        word = "TOO-OLD" if why else "UNKNOWN-METHOD"
        text = f"{why}; use UPGRADE TLS" if why else f"{request.method[:40]} is not offered; use UPGRADE TLS"
        job.refuse(Refused(Code.UPGRADE_REFUSED, word, text))

    def _cancel(self, call: Call, request: Cancel) -> None:
        own = Job(self, call.pid, call, None, None, 0)
        pid = None if request.pid == "*" else request.pid
        jobs = self.pipelines.get(pid)
        if not jobs:
            own.refuse(Refused(Code.NOT_FOUND, "NO-PIPELINE", f"Nothing runs in the pipeline {request.pid}"))
            return
        if self._cancels is None:
            self._cancels = {}
        self._cancels.setdefault(pid, []).append(own)
        for job in tuple(jobs):
            job.cancelled = True
        jobs[0].cancel()

    def _answer_cancels(self, pid: str | None) -> None:
        if self._cancels:
            for own in self._cancels.pop(pid, ()):
                own.answer(replies.Ok(text="Cancelled").encode(own.prefix))

    def _end_all_watches(self) -> None:
        for jobs in list(self.pipelines.values()):
            call = jobs[0].call
            if call is not None and type(call.request) is Watch:
                jobs[0].finish_watch(_WATCH_ENDED)

    def _quit_if_idle(self) -> None:
        if self.pipelines or self.stream.closed:
            return
        own = self._quit
        if own is not None and not own.done:
            own.done = True
            self.write(replies.Goodbye().encode(own.prefix))
            self.close()
        elif self._leaving is not None:
            self.end(self._leaving)

    # --- writing

    def write(self, octets: bytes) -> None:
        """Send with everything else of this tick."""
        self._out.append(octets)
        if not self._receiving and not self._dirty:
            self._dirty = True
            self.server.flush_later(self)

    def flush(self) -> None:
        """Send what was written."""
        self._dirty = False
        out = self._out
        if out:
            self.stream.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    def say_ready(self, job: Job) -> None:
        """271: the octets of the part are awaited."""
        self.write(f"{job.prefix}{Code.READY:d} Go on with the octets\n".encode())

    def take_turns_later(self, job: Job) -> None:
        """The job has more to say when others had their turn and the peer takes it."""
        if self._turns is None:
            self._turns = deque()
        self._turns.append(job)
        if not self.stream.paused and len(self._turns) == 1:
            self.server.turn_later(self)

    def take_turn(self) -> None:
        """One block of the next job that has more."""
        turns = self._turns
        if not turns or self.stream.paused or self.stream.closed:
            return
        job = turns.popleft()
        job.wake()
        self.flush()
        if turns and not self.stream.paused:
            self.server.turn_later(self)

    # --- holding and ending

    def _hold(self, why: Held) -> None:
        if not self._held and not self.stream.closed:
            self.stream.transport.pause_reading()
        self._held |= why

    def _release(self, why: Held) -> None:
        if self._held & why:
            self._held &= ~why
            if not self._held and not self.stream.closed:
                self.stream.transport.resume_reading()

    def _room_in_store(self) -> None:
        self._release(Held.STORE)

    def _room_on_disk(self) -> None:
        self._release(Held.DISK)

    def _bound(self, word: str, text: str) -> None:
        self.write(error_line(Refused(Code.BOUND, word, text), ""))
        self.close()

    def end(self, error: Refused) -> None:
        """Say why, and hang up."""
        if not self.stream.closed:
            if self.secured_at is None or self.session.state is not State.CLEAR:
                self.write(error_line(error, ""))
            self.close()

    def leave(self, error: Refused) -> None:
        """Read no more, drop what has not begun, let the store finish what it has, say why, hang up."""
        self._leaving = error
        if not self.stream.closed:
            self.stream.transport.pause_reading()
        self._end_all_watches()
        for jobs in list(self.pipelines.values()):
            for job in tuple(jobs):
                job.cancelled = True
            jobs[0].cancel()
        self._quit_if_idle()

    def close(self) -> None:
        """Send what is written and hang up."""
        self.flush()
        self.stream.close()

    def abort(self) -> None:
        """Hang up at once."""
        self.stream.abort()

    def sweep(self, now: float) -> None:
        """Once a second: bounds in time, signs of life."""
        bounds = self.server.bounds
        state = self.session.state
        if state is State.CLEAR and self.secured_at is not None and now - self.secured_at > bounds.handshake:
            self.abort()
        elif state < State.USER and now - self.begun > bounds.before_login:
            self.end(Refused(Code.BOUND, "TIMEOUT", f"A connection has {bounds.before_login} s to log in"))
        elif state is State.CLEAR and self.direct and now - self.begun > bounds.handshake:
            self.abort()
        elif not self.pipelines and now - self.seen > bounds.idle:
            self.end(Refused(Code.BOUND, "IDLE", f"Nothing came for {bounds.idle} s"))
        elif self.pipelines and now - self.seen > bounds.alive:
            self._show_life(now)
        drafts = self.session.drafts
        if drafts is not None and drafts.opened:
            drafts.expire(now)

    def _show_life(self, now: float) -> None:
        self.seen = now
        for jobs in self.pipelines.values():
            attached: Any = jobs[0].attached
            call = jobs[0].call
            if call is not None and type(call.request) is Watch:
                self.write(jobs[0].prefix.encode() + attached.alive())

    def log_failure(self, job: Job, error: BaseException) -> None:
        """Something was raised that nobody foresaw."""
        name = job.call.command.name if job.call is not None else ""
        self.server.log.error("command failed", command=name, peer=self.peer, exc_info=error)
