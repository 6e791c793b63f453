"""The pipelines of a connection: commands of one run in order, those of different ones beside each other.

Rules: the running job of a pipeline is its first; whoever is answered starts the next, in a loop and
never deeper; a watch of the default pipeline ends at its next command; CANCEL is answered after what
it cancelled (docs/protocol.md, "Pipelines").
"""

from collections import deque
from typing import TYPE_CHECKING, Any

from immpd.net.stream import Stream
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import Cancel, Watch
from immpd.protocol.connection import Call
from immpd.protocol.errors import Refused
from immpd.protocol.states import State
from immpd.service.session import Session

from .job import TURN, Job
from .outlet import UNANSWERED, Outlet

if TYPE_CHECKING:
    from .server import Server

MOST_HELD = 128
"""Replies that may wait for a commit to leave with it: two for each pipeline there may be."""
_WATCH_ENDED = replies.WatchEnded()


class Pipelines(Outlet):
    """The half of a conversation that runs its commands."""

    __slots__ = (
        "_advancing",
        "_beside",
        "_cancels",
        "_ending",
        "_put_off",
        "_unanswered",
        "pipelines",
        "session",
        "store",
    )

    def __init__(self, server: "Server", stream: Stream) -> None:
        super().__init__(server, stream)
        self.store = server.services.store
        self.session = Session(server.services, State.CLEAR)
        self.pipelines: dict[str | None, deque[Job]] = {}
        """The jobs of each busy pipeline, the running one first."""
        self._advancing = False
        """A pipeline is being advanced: nothing is read meanwhile."""
        self._put_off = False
        """Something would have been read meanwhile."""
        self._beside: deque[Job] | None = None
        """ACKs, the running one first: they are answered in their order, so that each can be told."""
        self._unanswered = 0
        self._ending = False
        """After QUIT, or at a shutdown: no command is taken any more."""
        self._cancels: dict[Job, list[Job]] | None = None
        """By the last job of a cancelled pipeline: the CANCELs that are answered after it."""

    def _stood_alone(self, reply: replies.Reply | None) -> None:
        """A command that stood alone is answered; of the listening half."""
        raise NotImplementedError

    def _end_if_idle(self) -> None:
        """Hang up when nothing runs any more; of the listening half."""
        raise NotImplementedError

    def log_failure(self, job: Job, error: BaseException) -> None:
        """Something was raised that nobody foresaw."""
        name = job.call.command.name if job.call is not None else ""
        self.server.log.error("command failed", command=name, peer=self.session.peer, exc_info=error)

    def say_ready(self, job: Job) -> None:
        """271: the octets of the part are awaited."""
        self.write(f"{job.prefix}{Code.READY:d} Go on with the octets\n".encode())

    # --- running

    def _begin(self, call: Call, attached: Any, size: int) -> None:
        """Run a command: most are answered at once and never become a job."""
        pid = call.pid
        if pid in self.pipelines or not self._has_room():
            self._submit(Job(self, pid, call, attached, None, size))
            return
        try:
            outcome = self.session.begin(call.request, attached)
        except Exception as error:
            Job(self, pid, call, attached, None, 0).fail(error)
            return
        if isinstance(outcome, replies.Reply):
            self.write(outcome.encode("" if pid is None else f"{pid}: "))
            self._said_in.append(pid)
            if call.command.alone:
                self._stood_alone(outcome)
            return
        job = Job(self, pid, call, attached, None, size)
        job.drive(outcome)
        if not job.done:
            self._keep(job)
        if self.share.is_over():
            self._read_later()

    def _submit(self, job: Job) -> None:
        """Run it, or let it wait behind its pipeline's jobs."""
        jobs = self.pipelines.get(job.pid)
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
        self.pipelines[job.pid] = deque((job,))

    @property
    def _pipelines_at_once(self) -> int:
        bounds = self.server.bounds
        return bounds.before_login_pipelines if self.session.state < State.USER else bounds.pipelines

    def _has_room(self) -> bool:
        return not self.pipelines or len(self.pipelines) < self._pipelines_at_once

    def _run_beside(self, job: Job) -> None:
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
            jobs = self.pipelines.get(job.pid)
            if jobs and jobs[0] is job:
                jobs.popleft()
                if self._cancels:
                    self._answer_cancels(job)
                if not job.starting:
                    self._advance(job.pid, jobs)
                self._count(-job.size)
        call = job.call
        if call is not None and call.command.alone:
            self._stood_alone(reply)
        if self._ending:
            self._end_if_idle()

    def _advance(self, pid: str | None, jobs: deque[Job]) -> None:
        """Start what waits in a pipeline, one after the other, as long as each is answered at once.

        An answer may let more be read, which may end this pipeline and begin it anew: that waits until it stands.
        """
        self._advancing = True
        try:
            self._start_waiting(pid, jobs)
        finally:
            self._advancing = False
        if self._put_off:
            self._put_off = False
            self._read_on()

    def _start_waiting(self, pid: str | None, jobs: deque[Job]) -> None:
        while jobs and not self.stream.closed:
            following = jobs[0]
            if self._written > TURN or self.share.is_over():
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
            self.pipelines.pop(pid, None)

    def _goes_with_commits(self) -> bool:
        """Whether all that is to be sent belongs to messages that are being committed.

        Then it leaves with their answers: who sent DELIVER, DATA and DONE in one go waits for 273, and a second
        packet costs as much as everything else.
        """
        said = self._said_in
        if len(said) != len(self._out) or len(said) > MOST_HELD:
            return False
        for pid in said:
            jobs = self.pipelines.get(pid)
            if not jobs or not jobs[0].committing:
                return False
        return True

    def _took_turn(self, job: Job) -> None:
        jobs = self.pipelines.get(job.pid)
        if jobs and jobs[0] is job:
            self._end_watch(jobs)

    def _count(self, octets: int) -> None:
        self._unanswered += octets
        limit = self.server.bounds.unanswered
        if octets > 0:
            if self._unanswered > limit:
                self._hold(UNANSWERED)
        elif self._held and self._unanswered <= limit:
            self._release(UNANSWERED)

    # --- ending

    def _cancel(self, own: Job, request: Cancel) -> None:
        jobs = self.pipelines.get(None if request.pid == "*" else request.pid)
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
        if (self._ending or (len(jobs) > 1 and running.pid is None)) and is_watch(running):
            running.finish_watch(_WATCH_ENDED)

    def _end_all_watches(self) -> None:
        for jobs in list(self.pipelines.values()):
            if jobs and is_watch(jobs[0]):
                jobs[0].finish_watch(_WATCH_ENDED)

    def _cancel_all(self) -> None:
        """Nothing begins any more; what the store has of the running ones comes to its end."""
        for jobs in list(self.pipelines.values()):
            for job in jobs:
                job.cancelled = True
            if jobs:
                jobs[0].cancel()

    def _drop_all(self) -> None:
        """Nobody hears the answers any more."""
        for jobs in list(self.pipelines.values()):
            for job in jobs:
                job.done = True
                job.release()
        for job in self._beside or ():
            job.done = True
        self.pipelines.clear()
        self._cancels = self._turns = self._beside = None


def is_watch(job: Job) -> bool:
    """Whether it is a WATCH."""
    return job.call is not None and type(job.call.request) is Watch
