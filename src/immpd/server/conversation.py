"""One connection: octets ⇄ commands in pipelines ⇄ a session of the service.

Rules: in clear only UPGRADE and QUIT are answered, and nothing that came before the handshake is read
after it; reading stops where something holds it up, also in the middle of what was read at once; an
idle conversation owns no task, timer or deque (docs/protocol.md, "Transport" and "Pipelines"). What
leaves is in outlet.py, what runs in pipelines.py.
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
from .outlet import ALONE, BURST, DISK, ENDING, OUTPUT, STORE
from .pipelines import Pipelines, is_watch
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


class Conversation(Pipelines):
    """The receiver of one stream."""

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
        "peer",
        "received_octets",
        "secured_at",
    )

    def __init__(self, server: "Server", stream: Stream, *, direct: bool) -> None:
        super().__init__(server, stream)
        self.direct = direct
        """TLS from the first octet."""
        self.connection = ServerConnection(State.CLEAR)
        self.peer = ""
        self.counted_address: str | None = None
        self.begun = server.now
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
        self.session = Session(self.server.services, State.OPERATOR, peer="operator")
        self.connection.state = State.OPERATOR
        self.secured_at = self.server.now
        self._greet()

    def secured(self) -> None:
        """TLS is up: a new session, a new reader, and the greeting with what is offered."""
        tls = self.stream.tls
        assert tls is not None
        self.connection = ServerConnection(State.UNAUTHENTICATED)
        self._events = _NOTHING
        leaf = self.server.certificates.shown(tls)
        self.session = Session(
            self.server.services, State.UNAUTHENTICATED, peer=self.peer, channel_binding=leaf.end_point
        )
        self.session.connection = self
        self.session.domain = self.server.domain_of(tls)
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
                self.end(Refused(Code.BOUND, "FLOOD", "Too many octets before log-in"))
                return
        self._unread = self._unread + octets if self._unread else octets
        self._read_on()

    def lost(self, error: Exception | None) -> None:
        """The connection is gone: what the store has goes on, nobody hears of it."""
        self.server.gone(self)
        self._events, self._unread = _NOTHING, b""
        self._drop_all()
        self._quit = None
        self.session.close()

    def writable(self) -> None:
        """The peer takes more."""
        self.seen = self.server.now
        self._release(OUTPUT)
        self._turn_soon()

    # --- reading

    def _read_on(self) -> None:
        """Act on what came, in order, as far as nothing holds it up; the rest waits."""
        if self._advancing:
            self._put_off = True
            return
        if not self._may_read():
            return
        self._receiving = True
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
                    if self._written > BURST:
                        self._look_for_room()
                    left -= 1
                    if not left:
                        left = LOOK
                        if self.share.is_spent():
                            self._read_later()
                    if self._held or self.stream.closed:
                        break
                else:
                    if self._resuming:
                        self._resuming = False
                        self._events = iter(self.connection.resume())
                        continue
                    unread = self._unread
                    if unread:
                        if len(unread) > FEW and self.share.is_over():
                            self._read_later()
                            break
                        size = SLICE if unread.count(b"\n", 0, SLICE) <= MANY_LINES else SHORT_SLICE
                        piece, self._unread = (unread, b"") if len(unread) <= size else (unread[:size], unread[size:])
                        self._events = iter(self.connection.receive_data(piece))
                        continue
                    self._events = _NOTHING
                break
        finally:
            self._receiving = False
        if not self._goes_with_commits():
            self.flush()
        self._hold_back()

    def _may_read(self) -> bool:
        return not self._receiving and not self._held and not self.stream.closed

    def _hold_back(self) -> None:
        """Stop reading where too much waits to be taken, run, or written to disk."""
        stream = self.stream
        if stream.closed:
            return
        if stream.paused and stream.transport.get_write_buffer_size() > MAX_BUFFERED:
            self._hold(OUTPUT)
        if self.connection.waiting > MAX_HELD_BACK:
            self._hold(ALONE)
        drafts = self.session.drafts
        if drafts is not None and drafts.pending > MAX_SPOOLED and not self._held & DISK:
            self._hold(DISK)
            drafts.on_room = self._room_on_disk
        if self.store.saturated and not self._held & STORE:
            self._hold(STORE)
            self.store.on_room(self._room_in_store)

    def _call(self, call: Call) -> None:
        command = call.command
        if self._ending:
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
            self.log_failure(Job(self, call.pid, call, None, None, 0), error)
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
            self._run_beside(Job(self, call.pid, call, attached, None, size))
        else:
            self._begin(call, attached, size)

    def _refuse_call(self, call: Call, error: Refused) -> None:
        """Answer with an error in the pipeline's order; the octets that follow are thrown away."""
        self._submit(Job(self, call.pid, call, None, error, call.size + JOB_WEIGHT))

    def _stood_alone(self, reply: replies.Reply | None) -> None:
        """What waited behind a command that stands alone may be read."""
        if type(reply) is replies.Authenticated:
            self.server.logged_in(self)
            self.connection.state = self.session.state
        self._resuming = True
        self._release(ALONE)
        self._read_on()

    def _octets(self, event: Octets) -> None:
        receiver: Any = event.body.receiver
        if receiver is None:
            return
        if event.body.error is not None:
            receiver.fail(event.body.error)
        else:
            receiver.take(event.data, event.last)

    def _trouble(self, event: Trouble) -> None:
        if self._ending:
            return
        error = event.error
        if isinstance(error, OutOfStep):
            self.write(error_line(error, "" if event.pid is None else f"{event.pid}: "))
            self.close()
            return
        if self.session.state is State.CLEAR:
            error = only_in_tls()
        self._submit(Job(self, event.pid, None, None, error, JOB_WEIGHT))

    # --- commands that act when they are read

    def _at_once(self, call: Call) -> None:
        request = call.request
        job = Job(self, call.pid, call, None, None, 0)
        if type(request) is Upgrade:
            self._upgrade(job, request)
        elif type(request) is Cancel:
            self._cancel(job, request)
        else:
            self._begin_quit(job)

    def _upgrade(self, own: Job, request: Upgrade) -> None:
        refusal = refusal_of_method(request.method)
        if refusal is not None:
            own.refuse(refusal)
        elif self.connection.waiting or self._unread:
            self.abort()  # somebody put octets behind UPGRADE to have them read after the handshake
        else:
            self.write(replies.Upgrading().encode())
            self.flush()
            self.secured_at = self.server.now
            self.stream.start_tls(self.server.certificates.context, server=True, alpn=_ALPN_UPGRADED)

    def _begin_quit(self, own: Job) -> None:
        self._quit = own
        self._ending = True
        self._quit_at = self.server.now
        self._hold(ENDING)
        if self.session.drafts is not None:
            self.session.drafts.close()
        self._end_all_watches()
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self.pipelines or self._beside or self.stream.closed:
            return
        if self._quit is not None:
            self._say_goodbye(self._quit)
        elif self._leaving is not None:
            self.end(self._leaving)

    def _say_goodbye(self, own: Job) -> None:
        own.done = True
        self.write(replies.Goodbye().encode(own.prefix))
        self.close()

    # --- holding and ending

    def _room_in_store(self) -> None:
        self._release(STORE)

    def _room_on_disk(self) -> None:
        self._release(DISK)

    def end(self, error: Refused) -> None:
        """Say why, and hang up."""
        if not self.stream.closed:
            self.write(error_line(error, ""))
            self.close()

    def leave(self, error: Refused) -> None:
        """Read no more, drop what has not begun, let the store finish what it has, say why, hang up."""
        if self.stream.closed:
            return
        self._leaving = error
        self._ending = True
        self._hold(ENDING)
        self._end_all_watches()
        self._cancel_all()
        self._end_if_idle()

    def sweep(self, now: float) -> None:
        """Once a second: bounds in time, signs of life."""
        bounds = self.server.bounds
        state = self.session.state
        if self.stream.closed:
            if now - self.seen > bounds.quit:
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
            if now - self.said > bounds.alive or now - self.seen > bounds.idle:
                self._look_after_silence(now)
            if self.stream.paused and now - self.seen > bounds.untaken:
                self._give_way()
            drafts = self.session.drafts
            if drafts is not None and drafts.opened:
                drafts.expire(now)

    def _give_way(self) -> None:
        """What its client does not take is held in memory, and another device of the account waits for room there."""
        account = self.session.principal.account
        if account is not None and self.session.services.large.keeps_waiting(self.session, account.mailbox):
            text = f"Nothing of a large message was taken for {self.server.bounds.untaken} s, and others wait"
            self.leave(Refused(Code.BOUND, "NOT-TAKEN", text))

    def _look_after_silence(self, now: float) -> None:
        """A watch shows from time to time that it stands; who neither speaks nor watches is hung up."""
        bounds = self.server.bounds
        watches = [jobs[0] for jobs in self.pipelines.values() if is_watch(jobs[0])]
        if now - self.seen > bounds.idle and (self.stream.paused or not watches):
            if self.session.state is not State.OPERATOR or not self.pipelines:
                if self.stream.paused:
                    self._tell_of_deaf(now)
                self.end(Refused(Code.BOUND, "IDLE", f"Nothing came for {bounds.idle} s"))
        elif watches and now - self.said > bounds.alive and not self.stream.paused:
            for job in watches:
                watcher: Any = job.attached
                sign = watcher.alive()
                if sign:
                    self.write(job.prefix.encode() + sign)
            self.flush()

    def _tell_of_deaf(self, now: float) -> None:
        """Tell the operator who has taken nothing for so long; what waits is bounded, so nobody else suffers."""
        account = self.session.principal.account
        self.session.services.log.warning(
            "a client does not read",
            account=None if account is None else account.address,
            peer=self.session.peer,
            seconds=round(now - self.seen),
            octets=self.stream.transport.get_write_buffer_size(),
        )
