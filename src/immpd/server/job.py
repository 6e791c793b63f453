"""One command on its way from its line to its final reply.

Rules: a job is answered exactly once; what it asked of the store is never cancelled, only its answer
can be dropped; a command that fails lets go of all it had; a job goes on inline while its answer is
small and gives others their turn after 64 KiB, and when its account has had its share of the loop (turns.py);
what the store answers at once costs no recursion.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from immpd.protocol.codes import Code
from immpd.protocol.connection import Call
from immpd.protocol.errors import Refused
from immpd.protocol.replies import Reply
from immpd.protocol.text import clean
from immpd.service.outcome import Attached, Outcome, Page, Rows, Step, Wait
from immpd.service.session import refusal_of
from immpd.store.errors import StoreDamaged, StoreError, UnknownOutcome

if TYPE_CHECKING:
    from .pipelines import Pipelines

TURN = 64 * 1024
"""Octets that a job writes before others get their turn."""
CANCELLED = Refused(Code.CANCELLED, "CANCELLED", "The command was cancelled")
UNKNOWN = Refused(
    Code.UNKNOWN_OUTCOME,
    "UNKNOWN-OUTCOME",
    "The disk failed; whether this was done is not known: connect again and look, or send it again with the same ID",
)
FAILED = Refused(Code.INTERNAL, "INTERNAL", "The server failed at this; it has logged why")


def error_line(error: Refused, prefix: str) -> bytes:
    """The reply line of an error."""
    return f"{prefix}{error.code:d} {clean(error.line_text())}\n".encode()


class Job:
    """A command, or an error that waits for its turn, in its pipeline."""

    __slots__ = (
        "_answer",
        "_late",
        "_step",
        "_submitting",
        "_task",
        "_then",
        "attached",
        "beside",
        "call",
        "cancelled",
        "done",
        "error",
        "outlet",
        "pid",
        "pipelines",
        "prefix",
        "size",
        "starting",
        "written",
    )

    def __init__(
        self,
        pipelines: "Pipelines",
        pid: str | None,
        call: Call | None,
        attached: Attached | None,
        error: Refused | None,
        size: int,
    ) -> None:
        self.pipelines = pipelines
        self.outlet = pipelines.outlet
        self.pid = pid
        self.prefix = "" if pid is None else f"{pid}: "
        self.call = call
        self.attached = attached
        self.error = error
        self.size = size
        self.done = False
        self.beside = False
        """An ACK: it acts when it is read, in no pipeline, and its answer can be told from every other."""
        self.starting = False
        """Its pipeline is just starting it, and goes on itself where it is answered at once."""
        self.cancelled = False
        self.written = 0
        self._submitting = False
        self._late = False
        self._answer: tuple[Any, BaseException | None] | None = None
        self._step: Step | None = None
        self._then: Callable[[], Outcome] | None = None
        self._task: asyncio.Task[Outcome] | None = None

    # --- running

    def start(self) -> None:
        """Its turn has come."""
        self._late = False
        call = self.call
        if self.done:
            return
        if self.error is not None or self.cancelled or call is None:
            self.refuse(self.error or CANCELLED)
            return
        try:
            outcome = self.pipelines.session.begin(call.request, self.attached)
        except Exception as error:
            self.fail(error)
            return
        self.drive(outcome)

    def start_later(self) -> None:
        """Its turn has come, but the peer must first take what was said before."""
        self._late = True
        self.pipelines.take_turns_later(self)

    def take_turn(self) -> None:
        """The others had their turn: begin, or go on."""
        if self._late:
            self.start()
        else:
            self.wake()

    def drive(self, outcome: Outcome) -> None:
        """Follow the chain until it has to wait for something or is answered."""
        outlet = self.outlet
        is_over = outlet.share.is_over
        try:
            while True:
                if type(outcome) is Step:
                    if is_over():
                        self._go_on_later(outcome)
                        return
                    if self.cancelled and outcome.unit.work.writes:
                        self.refuse(CANCELLED)  # what it read meanwhile was for the next change, not for the reply
                        return
                    answer = self._ask_store(outcome)
                    if answer is None:
                        return
                    outcome = self._after_store(outcome, *answer)
                elif type(outcome) is Page:
                    rest = self._write(outcome)
                    if rest is not None or self.written >= TURN or outlet.stream.paused or is_over():
                        self._go_on_later(outcome.then if rest is None else rest)
                        return
                    outcome = outcome.then()
                elif type(outcome) is Rows:
                    outcome = outcome.page()
                elif type(outcome) is Wait:
                    self._then = outcome.then
                    self.written = 0
                    outcome.arm(self)
                    return
                elif isinstance(outcome, Reply):
                    self.answer(outcome.encode(self.prefix), outcome)
                    return
                else:
                    self._run(outcome)
                    return
        except Exception as error:
            self.fail(error)

    def _go_on_later(self, following: Step | Page | Callable[[], Outcome]) -> None:
        """Others first."""
        self.written = 0
        self._then = (lambda: following) if isinstance(following, Step | Page) else following
        self.pipelines.take_turns_later(self)

    def wake(self) -> None:
        """There is more, or it is this job's turn again."""
        then = self._then
        if self.done or then is None:
            return
        if self.outlet.share.is_spent():
            self.pipelines.take_turns_later(self)
            return
        self._then = None
        try:
            outcome = then()
        except Exception as error:
            self.fail(error)
            return
        self.drive(outcome)

    def say(self, octets: bytes) -> bool:
        """Write lines between two waits; False where the peer takes nothing now."""
        outlet = self.outlet
        if self.done or outlet.stream.paused:
            return False
        if self.prefix:
            octets = _prefixed(self.prefix.encode(), octets)
        outlet.write(octets)
        return True

    def _write(self, page: Page) -> Page | None:
        """Write the pieces of a page up to a turn's worth; the page that is left, if any."""
        pieces, rest = page.pieces, None
        if len(pieces) > 1 and sum(map(len, pieces)) > TURN:
            size = count = 0
            for piece in pieces:
                size += len(piece)
                count += 1
                if size >= TURN:
                    break
            if count < len(pieces):
                rest = Page(pieces[count:], page.then)
                pieces = pieces[:count]
        if self.prefix:
            prefix = self.prefix.encode()
            pieces = [prefix + piece for piece in pieces]
        octets = b"".join(pieces)
        self.written += len(octets)
        self.outlet.write(octets)
        return rest

    # --- the store

    def _ask_store(self, step: Step) -> tuple[Any, BaseException | None] | None:
        """The store's answer, where it came at once; otherwise ``_stored`` goes on later."""
        self._step = step
        self._submitting = True
        try:
            self.pipelines.store.submit(step.unit, self._stored)
        finally:
            self._submitting = False
        answer, self._answer = self._answer, None
        if answer is not None:
            self._step = None
        return answer

    def _stored(self, result: Any, error: BaseException | None) -> None:
        if self._submitting:
            self._answer = (result, error)
            return
        step, self._step = self._step, None
        assert step is not None
        try:
            outcome = self._after_store(step, result, error)
        except Exception as failure:
            self.fail(failure)
            return
        if self.done:
            _drop(outcome)
        elif self.cancelled and not _is_nearly_told(outcome):
            _drop(outcome)
            self.refuse(CANCELLED)
        else:
            self.drive(outcome)

    @staticmethod
    def _after_store(step: Step, result: Any, error: BaseException | None) -> Outcome:
        if error is None:
            return step.then(result)
        if step.failed is not None:
            return step.failed(error)
        raise error

    @property
    def committing(self) -> bool:
        """The store has something of it that changes the store, and will say what became of it."""
        return self._step is not None and self._step.unit.work.writes

    # --- tasks

    def _run(self, work: Coroutine[Any, Any, Outcome]) -> None:
        call = self.call
        if call is not None and call.command.body:
            self.pipelines.say_ready(self)
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(self._ran)

    def _ran(self, task: asyncio.Task[Outcome]) -> None:
        self._task = None
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.fail(error)
        elif self.done:
            _drop(task.result())
        else:
            self.drive(task.result())

    # --- the end

    def answer(self, octets: bytes, reply: Reply | None = None) -> None:
        """The final reply; a connection that is gone drops it."""
        if self.done:
            return
        self.done = True
        self.outlet.write(octets)
        self.pipelines.finished(self, reply)

    def refuse(self, error: Refused) -> None:
        """An error is the final reply; what the command had is let go."""
        if self.attached is not None:
            self.attached.cancelled()
        if self.done:
            return
        self.done = True
        if self.beside:
            error = Refused(Code.NOT_KEPT, error.word, error.text, error.retry)
        self.outlet.write(error_line(error, self.prefix))
        if error.code.closes:
            self.outlet.close()
        self.pipelines.finished(self, None)

    def fail(self, error: BaseException) -> None:
        """Something was raised: the protocol's words for it."""
        if isinstance(error, Refused):
            self.refuse(error.bare())  # a draft may keep it, and with its frames this job and all that it holds
        elif isinstance(error, UnknownOutcome):
            self.attached = None  # perhaps the store has its files: the sweep at the next start will know
            self.pipelines.log_failure(self, error)
            if not self.outlet.stream.closed:
                self.outlet.write(error_line(UNKNOWN, ""))  # the connection's word, no answer to the command
                self.outlet.close()
        elif isinstance(error, StoreError):
            if isinstance(error, StoreDamaged):
                self.pipelines.log_failure(self, error)
            self.refuse(refusal_of(error))
        else:
            self.pipelines.log_failure(self, error)
            self.refuse(FAILED)

    def cancel(self) -> None:
        """End it now, unless the store is changing something for it: then the true reply comes."""
        self.cancelled = True
        if self.done or self.committing:
            return
        self.release()
        self.refuse(CANCELLED)

    def finish_watch(self, end: Reply) -> None:
        """A watch ends with its ordinary end line."""
        if not self.done:
            self.release()
            self.answer(end.encode(self.prefix), end)

    def release(self) -> None:
        """Let go of what runs or waits for it, but not of what the store is committing."""
        self._then = None
        if self._task is not None:
            self._task.cancel()
        if self.attached is not None and not self.committing:
            self.attached.cancelled()


def _is_nearly_told(outcome: Outcome) -> bool:
    """Whether only the answer to what the store has committed is left to say."""
    return isinstance(outcome, Reply) or (isinstance(outcome, Step) and not outcome.unit.work.writes)


def _prefixed(prefix: bytes, octets: bytes) -> bytes:
    """The lines with the pipeline's name before each."""
    if octets.find(b"\n") == len(octets) - 1:
        return prefix + octets
    return prefix + octets[:-1].replace(b"\n", b"\n" + prefix) + b"\n"


def _drop(outcome: Outcome) -> None:
    """Nobody waits for it any more."""
    if asyncio.iscoroutine(outcome):
        outcome.close()
