"""What leaves a connection, and who may speak next.

Rules: replies of one tick leave in one write; long answers take turns, a block each, and only while
the peer takes what it is sent; when too much waits, reading stops and never the answering
(docs/protocol.md, "Pipelines").
"""

from collections import deque
from typing import TYPE_CHECKING

from immpd.net.stream import Stream

from .turns import Share

if TYPE_CHECKING:
    from .job import Job
    from .server import Server

BURST = 256 * 1024
"""Octets that are said before looking whether the peer takes them."""

# Why reading from the connection has stopped, as bits: an enum's operators would cost more than the rest of a NOOP.
OUTPUT, UNANSWERED, ALONE, DISK, STORE, ENDING, TURN_OF_OTHERS = 1, 2, 4, 8, 16, 32, 64


class Outlet:
    """The speaking half of a conversation."""

    __slots__ = (
        "_dirty",
        "_held",
        "_out",
        "_receiving",
        "_said_in",
        "_turning",
        "_turns",
        "_written",
        "said",
        "seen",
        "server",
        "share",
        "stream",
    )

    def __init__(self, server: "Server", stream: Stream) -> None:
        self.server = server
        self.stream = stream
        self.share = Share(server.turns)
        """Of the loop's time: that of its address, after log-in that of the account."""
        self.said = self.seen = server.now
        """When something was last said; when the peer last sent or took something."""
        self._out: list[bytes] = []
        self._written = 0
        """Octets of ``_out``."""
        self._said_in: list[str | None] = []
        """Of replies in ``_out`` that were there at once: the pipeline of each."""
        self._dirty = False
        self._receiving = False
        """What is written now is flushed by whoever is acting on what came."""
        self._held = 0
        self._turns: deque[Job] | None = None
        self._turning = False

    def _read_on(self) -> None:
        """Act on what came; of the listening half."""
        raise NotImplementedError

    def _took_turn(self, job: "Job") -> None:
        """A job has begun, or gone on; of the half that runs them."""
        raise NotImplementedError

    # --- writing

    def write(self, octets: bytes) -> None:
        """Send with everything else of this tick."""
        self._out.append(octets)
        self._written += len(octets)
        if not self._receiving and not self._dirty:
            self._dirty = True
            self.server.flush_later(self)

    def flush(self) -> None:
        """Send what was written."""
        self._dirty = False
        out = self._out
        if out:
            self.said = self.server.now
            self._written = 0
            self.stream.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()
            self._said_in.clear()

    def _look_for_room(self) -> None:
        self.flush()
        if self.stream.paused:
            self._hold(OUTPUT)

    # --- turns

    def take_turns_later(self, job: "Job") -> None:
        """The job has more to say when others had their turn and the peer takes it."""
        if self._turns is None:
            self._turns = deque()
        self._turns.append(job)
        self._turn_soon()

    def _turn_soon(self) -> None:
        if self._turns and not self._turning and not self.stream.paused and not self.stream.closed:
            self._turning = True
            self.share.later(self.take_turn)

    def _read_later(self) -> None:
        """Others first, then what came."""
        if not self._held & TURN_OF_OTHERS and not self.stream.closed:
            self._hold(TURN_OF_OTHERS)
            self.share.later(self._read_in_turn)

    def _read_in_turn(self) -> None:
        self._release(TURN_OF_OTHERS)

    def take_turn(self) -> None:
        """One block of the next job that has more."""
        self._turning = False
        turns = self._turns
        if not turns or self.stream.paused or self.stream.closed:
            return
        job = turns.popleft()
        job.take_turn()
        self._took_turn(job)
        self.flush()
        if turns:
            self._turn_soon()
        else:
            self._turns = None

    # --- holding

    def _hold(self, why: int) -> None:
        """Stop reading, for this reason too."""
        if not self._held and not self.stream.closed:
            self.stream.transport.pause_reading()
        self._held |= why

    def _release(self, why: int) -> None:
        """This is no reason any more; where it was the last one, go on."""
        if not self._held & why:
            return
        self._held &= ~why
        if not self._held:
            self._read_on()
            if not self._held and not self.stream.closed:
                self.stream.transport.resume_reading()

    # --- the end

    def close(self) -> None:
        """Send what is written and hang up; the sweep sees to it that this ends."""
        self.flush()
        self.seen = self.server.now
        self.stream.close()

    def abort(self) -> None:
        """Hang up at once."""
        self.stream.abort()
