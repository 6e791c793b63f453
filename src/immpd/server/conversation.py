"""One connection: octets ⇄ commands in pipelines ⇄ a session of the service.

Rules: in clear only UPGRADE and QUIT are answered, and nothing that came before the handshake is read
after it; reading stops where something holds it up, also in the middle of what was read at once; an
idle conversation owns no task, timer or deque (docs/protocol.md, "Transport" and "Pipelines"). What
leaves goes through its outlet, what runs is in its pipelines; both tell it what they come to.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from immpd.net.certificates import ALPN
from immpd.net.stream import Alpn, Stream
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import Ack, Cancel, Quit, Upgrade
from immpd.protocol.connection import Call, Event, Octets, ServerConnection, Trouble
from immpd.protocol.errors import OutOfStep, Refused
from immpd.protocol.states import State, not_now, only_in_tls
from immpd.service.session import Session, capabilities

from .job import FAILED, Job, error_line
from .outlet import ALONE, BURST, DISK, ENDING, OUTPUT, STORE, Outlet
from .pipelines import Pipelines
from .silence import give_way, look_after_silence
from .upgrading import clear_greeting, refusal_of_method

if TYPE_CHECKING:
    from .server import Server

SLICE = 64 * 1024
"""Octets that are taken apart at once: what they become is many times larger."""
SHORT_SLICE = 2 * 1024
"""Where they are mostly commands, each of which takes its time."""
MANY_LINES = 400
"""Lines of a slice from which on they are."""
FEW = 128
"""Octets up to which reading takes nothing of the account's share of time."""
LOOK = 32
"""Commands that are acted on between two looks at that share."""
MAX_BUFFERED = 512 * 1024
MAX_HELD_BACK = 64 * 1024
"""Octets that may wait behind a command that stands alone."""
MAX_SPOOLED = 4 << 20
JOB_WEIGHT = 256
"""What a command that waits counts for besides its octets."""
# Whoever speaks another protocol is not answered in ours (ALPACA); behind UPGRADE it is clear what is spoken.
_ALPN_DIRECT = Alpn(ALPN, required=True)
_ALPN_UPGRADED = Alpn(ALPN, required=False)
_NOTHING: Iterator[Event] = iter(())


class Conversation:
    """The receiver of one stream: reads it, and says when it ends."""

    __slots__ = (
        "_events",
        "_leaving",
        "_quit",
        "_quit_at",
        "_resuming",
        "_unread",
        "begun",
        "connection",
        "counted_address",
        "direct",
        "outlet",
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
        self.store = server.services.store
        self.stream = stream
        self.outlet = Outlet(server, stream, self)
        self.session = Session(server.services, State.CLEAR)
        self.pipelines = Pipelines(server, self.outlet, self.session, self)
        self.direct = direct
        """TLS from the first octet."""
        self.connection = ServerConnection(State.CLEAR)
        self.peer = ""
        self.counted_address: str | None = None
        self.begun = self.seen = server.now
        """When it began; when the peer last sent or took something."""
        self.secured_at: float | None = None
        """When TLS began."""
        self.received_octets = 0
        self._events = _NOTHING
        """What was read and not yet acted on."""
        self._unread = b""
        """What came and was not yet read."""
        self._resuming = False
        self._quit: Job | None = None
        self._quit_at = 0.0
        self._leaving: Refused | None = None

    # --- the stream's side

    def connected(self) -> None:
        """Greet in clear, or begin TLS at once."""
        refusal = self.server.admit(self)
        if refusal is not None:
            if not self.direct:
                self.stream.write(error_line(refusal, ""))
            self.stream.close_at_once()  # it is not counted, so it may not stay
        elif self.direct:
            self.secured_at = self.server.now
            self.stream.start_tls(self.server.certificates.context, server=True, alpn=_ALPN_DIRECT)
        else:
            self.stream.write(clear_greeting(min(self.server.services.domains)))

    def begin_operator(self) -> None:
        """The operator's socket: no TLS, no log-in (docs/protocol.md, "Operator")."""
        self.connection.state = State.OPERATOR
        self.secured_at = self.server.now
        self._begin_session(Session(self.server.services, State.OPERATOR, peer="operator"))

    def secured(self) -> None:
        """TLS is up: a new session, a new reader, and the greeting with what is offered."""
        tls = self.stream.tls
        assert tls is not None
        self.connection = ServerConnection(State.UNAUTHENTICATED)
        self._events = _NOTHING
        leaf = self.server.certificates.shown(tls)
        session = Session(self.server.services, State.UNAUTHENTICATED, peer=self.peer, channel_binding=leaf.end_point)
        session.connection = self
        session.domain = self.server.domain_of(tls)
        self._begin_session(session)

    def _begin_session(self, session: Session) -> None:
        self.session = self.pipelines.session = session
        about = capabilities(session)
        self.outlet.write(f"100 IMMP/1.0 server at {about.d}\n".encode() + about.encode())
        self.outlet.flush()

    def received(self, octets: bytes) -> None:
        """Read what came and answer what can be answered."""
        self.seen = self.server.now
        if self.session.state < State.USER:
            self.received_octets += len(octets)
            if self.received_octets > self.server.bounds.before_login_octets:
                self.end(Refused(Code.BOUND, "FLOOD", "Too many octets before log-in"))
                return
        self._unread = self._unread + octets if self._unread else octets
        self.read_on()

    def lost(self, error: Exception | None) -> None:
        """The connection is gone: what the store has goes on, nobody hears of it."""
        self.server.gone(self)
        self._events, self._unread = _NOTHING, b""
        self.pipelines.drop_all()
        self._quit = None
        self.session.close()

    def writable(self) -> None:
        """The peer takes more."""
        self.seen = self.server.now
        self.outlet.release(OUTPUT)
        self.pipelines.turn_soon()

    # --- reading

    def read_on(self) -> None:
        """Act on what came, in order, as far as nothing holds it up; the rest waits."""
        outlet, stream = self.outlet, self.stream
        if self.pipelines.advancing:
            self.pipelines.put_off = True
            return
        if not outlet.may_read():
            return
        outlet.receiving = True
        left = LOOK
        try:
            while True:
                for event in self._events:
                    if type(event) is Call:
                        self._call(event)
                    elif type(event) is Octets:
                        self._octets(event)
                    elif type(event) is Trouble:
                        self._trouble(event)
                    if outlet.written > BURST:
                        outlet.look_for_room()
                    left -= 1
                    if not left:
                        left = LOOK
                        if outlet.share.is_spent():
                            outlet.read_later()
                    if outlet.held or stream.closed:
                        break
                else:
                    if self._resuming:
                        self._resuming = False
                        self._events = iter(self.connection.resume())
                        continue
                    unread = self._unread
                    if unread:
                        if len(unread) > FEW and outlet.share.is_over():
                            outlet.read_later()
                            break
                        piece = unread if len(unread) <= SLICE else unread[:SLICE]
                        if len(piece) > SHORT_SLICE and _has_many_lines(piece):
                            piece = unread[:SHORT_SLICE]
                        self._unread = b"" if piece is unread else unread[len(piece) :]
                        self._events = iter(self.connection.receive_data(piece))
                        continue
                    self._events = _NOTHING
                break
        finally:
            outlet.receiving = False
        if not self.pipelines.goes_with_commits():
            outlet.flush()
        self._hold_back()

    def _hold_back(self) -> None:
        """Stop reading where too much waits to be taken, run, or written to disk."""
        outlet, stream = self.outlet, self.stream
        if stream.closed:
            return
        if stream.paused and stream.transport.get_write_buffer_size() > MAX_BUFFERED:
            outlet.hold(OUTPUT)
        if self.connection.waiting > MAX_HELD_BACK:
            outlet.hold(ALONE)
        drafts = self.session.drafts
        if drafts is not None and drafts.pending > MAX_SPOOLED and not outlet.held & DISK:
            outlet.hold(DISK)
            drafts.on_room = self._room_on_disk
        if self.store.saturated and not outlet.held & STORE:
            outlet.hold(STORE)
            self.store.on_room(self._room_in_store)

    def _call(self, call: Call) -> None:
        command = call.command
        if self.pipelines.ending:
            return
        if self.session.state not in command.states:
            self._refuse_call(call, not_now(command.name, command.states, self.session.state))
            return
        request = call.request
        kind = type(request)
        if kind is Upgrade or kind is Cancel or kind is Quit:
            self._at_once(call)
            return
        try:
            attached = self.session.arrive(call.pid, request)
        except Refused as error:
            self._refuse_call(call, error.bare())
            return
        except Exception as error:
            self.pipelines.log_failure(Job(self.pipelines, call.pid, call, None, None, 0), error)
            self._refuse_call(call, FAILED)
            return
        size = call.size + JOB_WEIGHT
        if command.body:
            if call.octets is not None:
                size += len(call.octets)
                attached.whole(call.octets)
            elif call.body is not None:
                call.body.receiver = attached
        if kind is Ack:
            self.pipelines.run_beside(Job(self.pipelines, call.pid, call, attached, None, size))
        else:
            self.pipelines.begin(call, attached, size)

    def _refuse_call(self, call: Call, error: Refused) -> None:
        """Answer with an error in the pipeline's order; the octets that follow are thrown away."""
        self.pipelines.submit(Job(self.pipelines, call.pid, call, None, error, call.size + JOB_WEIGHT))

    def stood_alone(self, reply: replies.Reply | None) -> None:
        """What waited behind a command that stands alone may be read."""
        if type(reply) is replies.Authenticated:
            self.server.logged_in(self)
            self.connection.state = self.session.state
        self._resuming = True
        self.outlet.release(ALONE)
        self.read_on()

    def _octets(self, event: Octets) -> None:
        receiver: Any = event.body.receiver
        if receiver is None:
            return
        if event.body.error is not None:
            receiver.fail(event.body.error)
        else:
            receiver.take(event.data, event.last)

    def _trouble(self, event: Trouble) -> None:
        if self.pipelines.ending:
            return
        error = event.error
        if isinstance(error, OutOfStep):
            self.outlet.write(error_line(error, "" if event.pid is None else f"{event.pid}: "))
            self.outlet.close()
            return
        if self.session.state is State.CLEAR:
            error = only_in_tls()
        self.pipelines.submit(Job(self.pipelines, event.pid, None, None, error, JOB_WEIGHT))

    # --- commands that act when they are read

    def _at_once(self, call: Call) -> None:
        request = call.request
        job = Job(self.pipelines, call.pid, call, None, None, 0)
        if type(request) is Upgrade:
            self._upgrade(job, request)
        elif type(request) is Cancel:
            self.pipelines.cancel(job, request)
        else:
            self._begin_quit(job)

    def _upgrade(self, own: Job, request: Upgrade) -> None:
        refusal = refusal_of_method(request.method)
        if refusal is not None:
            own.refuse(refusal)
        elif self.connection.waiting or self._unread:
            self.abort()  # somebody put octets behind UPGRADE to have them read after the handshake
        else:
            self.outlet.write(replies.Upgrading().encode())
            self.outlet.flush()
            self.secured_at = self.server.now
            self.stream.start_tls(self.server.certificates.context, server=True, alpn=_ALPN_UPGRADED)

    def _begin_quit(self, own: Job) -> None:
        self._quit = own
        self.pipelines.ending = True
        self._quit_at = self.server.now
        self.outlet.hold(ENDING)
        if self.session.drafts is not None:
            self.session.drafts.close()
        self.pipelines.end_all_watches()
        if self.pipelines.is_idle:
            self.idle()

    def idle(self) -> None:
        """After QUIT, or at a shutdown: the last command is answered, hang up."""
        if self.stream.closed:
            return
        if self._quit is not None:
            self._say_goodbye(self._quit)
        elif self._leaving is not None:
            self.end(self._leaving)

    def _say_goodbye(self, own: Job) -> None:
        own.done = True
        self.outlet.write(replies.Goodbye().encode(own.prefix))
        self.outlet.close()

    # --- holding and ending

    def _room_in_store(self) -> None:
        self.outlet.release(STORE)

    def _room_on_disk(self) -> None:
        self.outlet.release(DISK)

    def end(self, error: Refused) -> None:
        """Say why, and hang up."""
        if not self.stream.closed:
            self.outlet.write(error_line(error, ""))
            self.outlet.close()

    def leave(self, error: Refused) -> None:
        """Read no more, drop what has not begun, let the store finish what it has, say why, hang up."""
        if self.stream.closed:
            return
        self._leaving = error
        self.pipelines.ending = True
        self.outlet.hold(ENDING)
        self.pipelines.end_all_watches()
        self.pipelines.cancel_all()
        if self.pipelines.is_idle:
            self.idle()

    def abort(self) -> None:
        """Hang up at once."""
        self.stream.abort()

    def sweep(self, now: float) -> None:
        """Once a second: bounds in time, signs of life."""
        bounds = self.server.bounds
        state = self.session.state
        if self.stream.closed:
            if now - max(self.seen, self.outlet.closed_at) > bounds.quit:
                self.abort()  # it does not even take the last that was said
        elif state < State.USER:
            if state is State.CLEAR and self.secured_at is not None and now - self.secured_at > bounds.handshake:
                self.abort()
            elif now - self.begun > bounds.before_login:
                self.end(Refused(Code.BOUND, "TIMEOUT", f"A connection has {bounds.before_login} s to log in"))
        elif self._quit is not None:
            if now - self._quit_at > bounds.quit:
                self._say_goodbye(self._quit)
        else:
            if now - self.outlet.said > bounds.alive or now - self.seen > bounds.idle:
                look_after_silence(self, now)
            if self.stream.paused and now - self.seen > bounds.untaken:
                give_way(self)
            drafts = self.session.drafts
            if drafts is not None and drafts.opened:
                drafts.expire(now)


def _has_many_lines(octets: bytes) -> bool:
    """Whether they are mostly commands. ``count`` would look at one octet after the other, however many there are."""
    return len(octets) - len(octets.replace(b"\n", b"", MANY_LINES + 1)) > MANY_LINES
