"""Who has said nothing for long, and who takes nothing of what it is sent.

Rules: what a client does not take is bounded, so only its own account suffers from it; a watch that stands is told
from one that hangs by its signs of life; the operator hears of who does not read (docs/protocol.md, "Bounds").
"""

from typing import TYPE_CHECKING, Any

from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
from immpd.protocol.states import State

if TYPE_CHECKING:
    from .conversation import Conversation


def look_after_silence(silent: "Conversation", now: float) -> None:
    """A watch shows from time to time that it stands; who neither speaks nor watches is hung up."""
    bounds, outlet, is_deaf = silent.server.bounds, silent.outlet, silent.stream.paused
    watches = silent.pipelines.watches()
    if now - silent.seen > bounds.idle and (is_deaf or not watches):
        if silent.session.state is not State.OPERATOR or silent.pipelines.is_idle:
            if is_deaf:
                _tell_of_deaf(silent, now)
            silent.end(Refused(Code.BOUND, "IDLE", f"Nothing came for {bounds.idle} s"))
    elif watches and now - outlet.said > bounds.alive and not is_deaf:
        for job in watches:
            watcher: Any = job.attached
            sign = watcher.alive()
            if sign:
                outlet.write(job.prefix.encode() + sign)
        outlet.flush()


def give_way(deaf: "Conversation") -> None:
    """What its client does not take is held in memory, and another device of the account waits for room there."""
    account = deaf.session.principal.account
    if account is not None and deaf.session.services.large.keeps_waiting(deaf.session, account.mailbox):
        text = f"Nothing of a large message was taken for {deaf.server.bounds.untaken} s, and others wait"
        deaf.leave(Refused(Code.BOUND, "NOT-TAKEN", text))


def _tell_of_deaf(deaf: "Conversation", now: float) -> None:
    """Tell the operator who has taken nothing for so long; what waits is bounded, so nobody else suffers."""
    account = deaf.session.principal.account
    deaf.session.services.log.warning(
        "a client does not read",
        account=None if account is None else account.address,
        peer=deaf.session.peer,
        seconds=round(now - deaf.seen),
        octets=deaf.stream.transport.get_write_buffer_size(),
    )
