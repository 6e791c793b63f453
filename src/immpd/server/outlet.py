"""What leaves a connection, and why nothing is read from it meanwhile.

Rules: replies of one tick leave in one write; when too much waits, reading stops and never the
answering, and it goes on when the last reason is gone (docs/protocol.md, "Pipelines"). It knows
nothing of commands: whoever reads is its one reader.
"""

from typing import TYPE_CHECKING, Protocol

from immpd.net.stream import Stream

from .turns import Share

if TYPE_CHECKING:
    from .server import Server

BURST = 256 * 1024
"""Octets that are said before looking whether the peer takes them."""

# Why reading from the connection has stopped, as bits: an enum's operators would cost more than the rest of a NOOP.
OUTPUT, UNANSWERED, ALONE, DISK, STORE, ENDING, TURN_OF_OTHERS = 1, 2, 4, 8, 16, 32, 64


class Reader(Protocol):
    """Who acts on what comes."""

    def read_on(self) -> None:
        """Nothing holds reading up any more."""


class Outlet:
    """The speaking side of a conversation."""

    __slots__ = (
        "_dirty",
        "_out",
        "_reader",
        "_said_in",
        "closed_at",
        "held",
        "receiving",
        "said",
        "server",
        "share",
        "stream",
        "written",
    )

    def __init__(self, server: "Server", stream: Stream, reader: Reader) -> None:
        self.server = server
        self.stream = stream
        self._reader = reader
        self.share = Share(server.turns)
        """Of the loop's time: that of its address, after log-in that of the account."""
        self.said = server.now
        """When something was last said."""
        self.closed_at = 0.0
        """When it was hung up."""
        self._out: list[bytes] = []
        self.written = 0
        """Octets that were written and not yet sent."""
        self._said_in: list[str | None] = []
        """Of replies in ``_out`` that were there at once: the pipeline of each."""
        self._dirty = False
        self.receiving = False
        """What is written now is flushed by whoever is acting on what came."""
        self.held = 0
        """Why nothing is read, as bits; 0: it is."""

    # --- writing

    def write(self, octets: bytes) -> None:
        """Send with everything else of this tick."""
        self._out.append(octets)
        self.written += len(octets)
        if not self.receiving and not self._dirty:
            self._dirty = True
            self.server.flush_later(self)

    def write_at_once(self, octets: bytes, pid: str | None) -> None:
        """The same for the reply to a command of this pipeline that was there at once."""
        self._said_in.append(pid)
        self.write(octets)

    def unsent(self) -> list[str | None] | None:
        """The pipelines of what is not sent, where all of it are replies that were there at once; None otherwise."""
        said = self._said_in
        return said if len(said) == len(self._out) else None

    def flush(self) -> None:
        """Send what was written."""
        self._dirty = False
        out = self._out
        if out:
            self.said = self.server.now
            self.written = 0
            self.stream.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()
            self._said_in.clear()

    def look_for_room(self) -> None:
        """After a burst: send it, and stop reading where the peer does not take it."""
        self.flush()
        if self.stream.paused:
            self.hold(OUTPUT)

    # --- holding

    def read_later(self) -> None:
        """Others first, then what came."""
        if not self.held & TURN_OF_OTHERS and not self.stream.closed:
            self.hold(TURN_OF_OTHERS)
            self.share.later(self._read_in_turn)

    def _read_in_turn(self) -> None:
        self.release(TURN_OF_OTHERS)

    def may_read(self) -> bool:
        """Whether nothing is being acted on yet, and nothing holds it up."""
        return not self.receiving and not self.held and not self.stream.closed

    def hold(self, why: int) -> None:
        """Stop reading, for this reason too."""
        if not self.held and not self.stream.closed:
            self.stream.transport.pause_reading()
        self.held |= why

    def release(self, why: int) -> None:
        """This is no reason any more; where it was the last one, go on."""
        if not self.held & why:
            return
        self.held &= ~why
        if not self.held:
            self._reader.read_on()
            if not self.held and not self.stream.closed:
                self.stream.transport.resume_reading()

    # --- the end

    def close(self) -> None:
        """Send what is written and hang up; the sweep sees to it that this ends."""
        self.flush()
        self.closed_at = self.server.now
        self.stream.close()
