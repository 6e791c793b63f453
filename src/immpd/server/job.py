"""One command on its way from its line to its final reply.

Rules: a job is answered exactly once; what it asked of the store is never cancelled, only its answer
can be dropped; it goes on inline while answers are small and gives others their turn after 64 KiB;
reads that the store answers at once cost no recursion.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

from immpd.protocol.codes import Code
from immpd.protocol.connection import Call
from immpd.protocol.errors import Refused
from immpd.protocol.replies import Reply
from immpd.protocol.text import clean
from immpd.service.outcome import Attached, Outcome, Page, Step, Wait
from immpd.service.session import refusal_of
from immpd.store.errors import StoreError, UnknownOutcome

if TYPE_CHECKING:
    from .conversation import Conversation

TURN = 64 * 1024
"""Octets that a job writes before others get their turn."""
CANCELLED = Refused(Code.CANCELLED, "CANCELLED", "The command was cancelled")


def error_line(error: Refused, prefix: str) -> bytes:
    """The reply line of an error."""
    return f"{prefix}{error.code:d} {clean(error.line_text())}\n".encode()


class Job:
    """A command, or an error that waits for its turn, in its pipeline."""

    __slots__ = (
        "_answer",
        "_in_store",
        "_step",
        "_submitting",
        "_task",
        "_then",
        "attached",
        "call",
        "cancelled",
        "conversation",
        "done",
        "error",
        "pid",
        "prefix",
        "size",
        "starting",
        "written",
    )

    def __init__(
        self,
        conversation: "Conversation",
        pid: str | None,
        call: Call | None,
        attached: Attached | None,
        error: Refused | None,
        size: int,
    ) -> None:
        self.conversation = conversation
        self.pid = pid
        self.prefix = "" if pid is None else f"{pid}: "
        self.call = call
        self.attached = attached
        self.error = error
        self.size = size
        self.done = False
        self.starting = False
        """Its pipeline is just starting it, and goes on itself where it is answered at once."""
        self.cancelled = False
        self.written = 0
        self._in_store = False
        self._submitting = False
        self._answer: tuple[Any, BaseException | None] | None = None
        self._step: Step | None = None
        self._then: Callable[[], Outcome] | None = None
        self._task: asyncio.Task[Outcome] | None = None

    # --- running

    def start(self) -> None:
        """Its turn has come."""
        call = self.call
        if self.error is not None or self.cancelled or call is None:
            self.refuse(self.error or CANCELLED)
            return
        try:
            outcome = self.conversation.session.begin(call.request, self.attached)
        except Exception as error:
            self.fail(error)
            return
        self.drive(outcome)

    def drive(self, outcome: Outcome) -> None:
        """Follow the chain until it has to wait for something or is answered."""
        conversation = self.conversation
        try:
            while True:
                if isinstance(outcome, Step):
                    answer = self._ask_store(outcome)
                    if answer is None:
                        return
                    outcome = self._after_store(outcome, *answer)
                elif isinstance(outcome, Reply):
                    self.answer(outcome.encode(self.prefix), outcome)
                    return
                elif isinstance(outcome, Page):
                    self._write(outcome.pieces)
                    if self.written >= TURN or conversation.stream.paused:
                        self.written = 0
                        self._then = outcome.then
                        conversation.take_turns_later(self)
                        return
                    outcome = outcome.then()
                elif isinstance(outcome, Wait):
                    self._then = outcome.then
                    self.written = 0
                    outcome.arm(self.wake)
                    return
                else:
                    self._run(outcome)
                    return
        except Exception as error:
            self.fail(error)

    def wake(self) -> None:
        """There is more, or it is this job's turn again."""
        then, self._then = self._then, None
        if self.done or then is None:
            return
        try:
            outcome = then()
        except Exception as error:
            self.fail(error)
            return
        self.drive(outcome)

    def _ask_store(self, step: Step) -> tuple[Any, BaseException | None] | None:
        """The store's answer, where it came at once; otherwise ``_stored`` goes on later."""
        self._step = step
        self._answer = cast("tuple[Any, BaseException | None] | None", None)
        self._submitting = self._in_store = True
        self.conversation.store.submit(step.unit, self._stored)
        self._submitting = False
        if self._answer is not None:
            self._in_store = False
        return self._answer

    def _stored(self, result: Any, error: BaseException | None) -> None:
        if self._submitting:
            self._answer = (result, error)
            return
        self._in_store = False
        step = self._step
        assert step is not None
        try:
            outcome = self._after_store(step, result, error)
        except Exception as failure:
            self.fail(failure)
            return
        if not self.done:
            self.drive(outcome)

    @staticmethod
    def _after_store(step: Step, result: Any, error: BaseException | None) -> Outcome:
        if error is None:
            return step.then(result)
        if step.failed is not None:
            return step.failed(error)
        raise error

    def _run(self, work: Coroutine[Any, Any, Outcome]) -> None:
        call = self.call
        if call is not None and call.command.body:
            self.conversation.say_ready(self)
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(self._ran)

    def _ran(self, task: asyncio.Task[Outcome]) -> None:
        self._task = None
        if self.done or task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.fail(error)
        else:
            self.drive(task.result())

    def _write(self, pieces: list[bytes]) -> None:
        prefix = self.prefix.encode()
        octets = b"".join([prefix + piece for piece in pieces] if prefix else pieces)
        self.written += len(octets)
        self.conversation.write(octets)

    # --- the end

    def answer(self, octets: bytes, reply: Reply | None = None) -> None:
        """The final reply; a connection that is gone drops it."""
        if self.done:
            return
        self.done = True
        self.conversation.write(octets)
        self.conversation.finished(self, reply)

    def refuse(self, error: Refused) -> None:
        """An error is the final reply."""
        if self.done:
            return
        if self.attached is not None and (self.error is not None or self.cancelled):
            self.attached.cancelled()
        self.done = True
        self.conversation.write(error_line(error, self.prefix))
        self.conversation.finished(self, None)
        if error.code.closes:
            self.conversation.close()

    def fail(self, error: BaseException) -> None:
        """Something was raised: the protocol's words for it."""
        if isinstance(error, Refused):
            self.refuse(error)
        elif isinstance(error, UnknownOutcome):
            self.conversation.abort()
        elif isinstance(error, StoreError):
            self.refuse(refusal_of(error))
        else:
            self.conversation.log_failure(self, error)
            self.refuse(Refused(Code.INTERNAL, "INTERNAL", "The server failed at this; it has logged why"))

    def cancel(self) -> None:
        """End it now, unless the store has it: then the true reply comes."""
        self.cancelled = True
        if self.done or self._in_store:
            return
        self.release()
        self.refuse(CANCELLED)

    def finish_watch(self, end: Reply) -> None:
        """A watch ends with its ordinary end line."""
        if not self.done and not self._in_store:
            self.release()
            self.answer(end.encode(self.prefix), end)

    def release(self) -> None:
        """Let go of what runs or waits for it."""
        self._then = None
        if self._task is not None:
            self._task.cancel()
        if self.attached is not None:
            self.attached.cancelled()
