"""The pipelines of a connection: commands of one run in order, those of different ones beside each other.

Rules: the running job of a pipeline is its first; whoever is answered starts the next, in a loop and
never deeper; long answers take turns, a block each, and only while the peer takes what it is sent; a
watch of the default pipeline ends at its next command; CANCEL is answered after what it cancelled
(docs/protocol.md, "Pipelines"). What is read and when the connection ends is the listener's.
"""

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import Cancel, Watch
from immpd.protocol.connection import Call
from immpd.protocol.errors import Refused
from immpd.protocol.states import State
from immpd.service.session import Session

from .job import TURN, Job
from .outlet import UNANSWERED, Outlet, Reader

if TYPE_CHECKING:
    from .server import Server

MOST_HELD = 128
"""Replies that may wait for a commit to leave with it: two for each pipeline there may be."""
_WATCH_ENDED = replies.WatchEnded()


class Listener(Reader, Protocol):
    """Who is told what becomes of the commands."""

    def stood_alone(self, reply: replies.Reply | None) -> None:
        """A command that stands alone is answered, None: with an error; what waited behind it may be read."""

    def idle(self) -> None:
        """No command is taken any more, and nothing runs."""


class Pipelines:
    """The commands of one connection that run or wait."""

    __slots__ = (
        "_beside",
        "_cancels",
        "_listener",
        "_turning",
        "_turns",
        "advancing",
        "busy",
        "ending",
        "outlet",
        "put_off",
        "server",
        "session",
        "store",
        "stream",
        "unanswered",
    )

    def __init__(self, server: "Server", outlet: Outlet, session: Session, listener: Listener) -> None:
        self.server = server
        self.outlet = outlet
        self.stream = outlet.stream
        self.session = session
        self.store = server.services.store
        self._listener = listener
        self.busy: dict[str | None, deque[Job]] = {}
        """The jobs of each busy pipeline, the running one first."""
        self.advancing = False
        """A pipeline is being advanced: nothing is read meanwhile."""
        self.put_off = False
        """Something would have been read meanwhile."""
        self._beside: deque[Job] | None = None
        """ACKs, the running one first: they are answered in their order, so that each can be told."""
        self._turns: deque[Job] | None = None
        """Jobs that have more to say, when others had their turn."""
        self._turning = False
        self.unanswered = 0
        """What runs or waits, as ``Job.size`` counts it."""
        self.ending = False
        """After QUIT, or at a shutdown: no command is taken any more."""
        self._cancels: dict[Job, list[Job]] | None = None
        """By the last job of a cancelled pipeline: the CANCELs that are answered after it."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs or waits."""
        return not self.busy and not self._beside

    def watches(self) -> list[Job]:
        """Those that run."""
        return [jobs[0] for jobs in self.busy.values() if jobs and _is_watch(jobs[0])]

    def log_failure(self, job: Job, error: BaseException) -> None:
        """Something was raised that nobody foresaw."""
        name = job.call.command.name if job.call is not None else ""
        self.server.log.error("command failed", command=name, peer=self.session.peer, exc_info=error)

    def say_ready(self, job: Job) -> None:
        """271: the octets of the part are awaited."""
        self.outlet.write(f"{job.prefix}{Code.READY:d} Go on with the octets\n".encode())

    # --- running

    def begin(self, call: Call, attached: Any, size: int) -> None:
        """Run a command: most are answered at once and never become a job."""
        pid = call.pid
        if pid in self.busy or not self._has_room():
            self.submit(Job(self, pid, call, attached, None, size))
            return
        try:
            outcome = self.session.begin(call.request, attached)
        except Exception as error:
            Job(self, pid, call, attached, None, 0).fail(error)
            return
        if isinstance(outcome, replies.Reply):
            self.outlet.write_at_once(outcome.encode("" if pid is None else f"{pid}: "), pid)
            if call.command.alone:
                self._listener.stood_alone(outcome)
            return
        job = Job(self, pid, call, attached, None, size)
        job.drive(outcome)
        if not job.done:
            self._keep(job)
        if self.outlet.share.is_over():
            self.outlet.read_later()

    def submit(self, job: Job) -> None:
        """Run it, or let it wait behind its pipeline's jobs."""
        jobs = self.busy.get(job.pid)
        if jobs is not None:
            jobs.append(job)
            self._count(job.size)
            self._end_watch(jobs)
            return
        if not self._has_room():
            text = f"At most {self._pipelines_at_once} pipelines run at once; wait for one"
            job.error = Refused(Code.LIMIT, "TOO-MANY-PIPELINES", text)
        job.start()
        if not job.done:
            self._keep(job)

    def _keep(self, job: Job) -> None:
        """Its pipeline is busy now."""
        self._count(job.size)
        self.busy[job.pid] = deque((job,))

    @property
    def _pipelines_at_once(self) -> int:
        bounds = self.server.bounds
        return bounds.before_login_pipelines if self.session.state < State.USER else bounds.pipelines

    def _has_room(self) -> bool:
        return not self.busy or len(self.busy) < self._pipelines_at_once

    def run_beside(self, job: Job) -> None:
        """Run it in no pipeline, behind those of its kind."""
        job.beside = True
        self._count(job.size)
        if self._beside:
            self._beside.append(job)
            return
        self._beside = deque((job,))
        self._start_beside(self._beside)

    def _start_beside(self, jobs: deque[Job]) -> None:
        """Start what waits, one after the other, as long as each is answered at once."""
        while jobs and not self.stream.closed:
            job = jobs[0]
            job.starting = True
            job.start()
            job.starting = False
            if not job.done:
                return
            jobs.popleft()
        self._beside = None

    def finished(self, job: Job, reply: replies.Reply | None) -> None:
        """A job has been answered: the next of its pipeline, and those who wait for the end."""
        if job.beside:
            self._count(-job.size)
            if self._beside and not job.starting:
                self._beside.popleft()
                self._start_beside(self._beside)
        else:
            jobs = self.busy.get(job.pid)
            if jobs and jobs[0] is job:
                jobs.popleft()
                if self._cancels:
                    self._answer_cancels(job)
                if not job.starting:
                    self._advance(job.pid, jobs)
                self._count(-job.size)
        call = job.call
        if call is not None and call.command.alone:
            self._listener.stood_alone(reply)
        if self.ending and self.is_idle:
            self._listener.idle()

    def _advance(self, pid: str | None, jobs: deque[Job]) -> None:
        """Start what waits in a pipeline, one after the other, as long as each is answered at once.

        An answer may let more be read, which may end this pipeline and begin it anew: that waits until it stands.
        """
        self.advancing = True
        try:
            self._start_waiting(pid, jobs)
        finally:
            self.advancing = False
        if self.put_off:
            self.put_off = False
            self._listener.read_on()

    def _start_waiting(self, pid: str | None, jobs: deque[Job]) -> None:
        outlet = self.outlet
        while jobs and not self.stream.closed:
            following = jobs[0]
            if outlet.written > TURN or outlet.share.is_over():
                following.start_later()
                return
            following.starting = True
            following.start()
            if not following.done:
                self._end_watch(jobs)
            following.starting = False
            if not following.done:
                return
        if not jobs:
            self.busy.pop(pid, None)

    def goes_with_commits(self) -> bool:
        """Whether all that is to be sent belongs to messages that are being committed.

        Then it leaves with their answers: who sent DELIVER, DATA and DONE in one go waits for 273, and a second
        packet costs as much as everything else.
        """
        said = self.outlet.unsent()
        if said is None or len(said) > MOST_HELD:
            return False
        for pid in said:
            jobs = self.busy.get(pid)
            if not jobs or not jobs[0].committing:
                return False
        return True

    def _count(self, octets: int) -> None:
        self.unanswered += octets
        if octets > 0:
            if self.unanswered > self.server.bounds.unanswered:
                self.outlet.hold(UNANSWERED)
        elif self.outlet.held and self.unanswered <= self.server.bounds.unanswered:
            self.outlet.release(UNANSWERED)

    # --- turns

    def take_turns_later(self, job: Job) -> None:
        """The job has more to say when others had their turn and the peer takes it."""
        if self._turns is None:
            self._turns = deque()
        self._turns.append(job)
        self.turn_soon()

    def turn_soon(self) -> None:
        """Let the next job go on, if one has more and the peer takes it."""
        if self._turns and not self._turning and not self.stream.paused and not self.stream.closed:
            self._turning = True
            self.outlet.share.later(self._take_turn)

    def _take_turn(self) -> None:
        """One block of the next job that has more."""
        self._turning = False
        turns = self._turns
        if not turns or self.stream.paused or self.stream.closed:
            return
        job = turns.popleft()
        job.take_turn()
        jobs = self.busy.get(job.pid)
        if jobs and jobs[0] is job:
            self._end_watch(jobs)
        self.outlet.flush()
        if turns:
            self.turn_soon()
        else:
            self._turns = None

    # --- ending

    def cancel(self, own: Job, request: Cancel) -> None:
        """End what runs and waits in a pipeline; CANCEL itself is ``own``."""
        jobs = self.busy.get(None if request.pid == "*" else request.pid)
        if not jobs:
            own.refuse(Refused(Code.NOT_STOPPED, "NO-PIPELINE", f"Nothing runs in the pipeline {request.pid}"))
            return
        if self._cancels is None:
            self._cancels = {}
        self._cancels.setdefault(jobs[-1], []).append(own)
        for job in jobs:
            job.cancelled = True
        jobs[0].cancel()

    def _answer_cancels(self, last: Job) -> None:
        assert self._cancels is not None
        for own in self._cancels.pop(last, ()):
            own.answer(replies.Stopped(pipeline=last.pid or "*").encode(own.prefix))

    def _end_watch(self, jobs: deque[Job]) -> None:
        """A watch of the default pipeline ends at its next command; any that begins after QUIT ends at once."""
        running = jobs[0]
        if (self.ending or (len(jobs) > 1 and running.pid is None)) and _is_watch(running):
            running.finish_watch(_WATCH_ENDED)

    def end_all_watches(self) -> None:
        """Each with its ordinary end line."""
        for job in self.watches():
            job.finish_watch(_WATCH_ENDED)

    def cancel_all(self) -> None:
        """Nothing begins any more; what the store has of the running ones comes to its end."""
        for jobs in list(self.busy.values()):
            for job in jobs:
                job.cancelled = True
            if jobs:
                jobs[0].cancel()

    def drop_all(self) -> None:
        """Nobody hears the answers any more."""
        for jobs in list(self.busy.values()):
            for job in jobs:
                job.done = True
                job.release()
        for job in self._beside or ():
            job.done = True
        self.busy.clear()
        self._cancels = self._beside = self._turns = None


def _is_watch(job: Job) -> bool:
    """Whether it is a WATCH."""
    return job.call is not None and type(job.call.request) is Watch
