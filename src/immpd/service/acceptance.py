"""Acceptance: what stands between the content of a message and its storing, a verdict for each recipient.

Rules: it runs before anything is stored, so a refusal reaches the sender and not a forged address, and nothing is
accepted and then hidden; each stage says something of each recipient or nothing, the first verdict decides, and all
reasons go with it; nobody is kept from the own mailbox; where no stage is configured nothing is asked and nothing is
made (docs/why/acceptance.md says what comes this way and what does not).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from immpd.model.message import Envelope, Part
from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
from immpd.store.errors import StoreError
from immpd.store.mail.placing import OfRole, folders_of_role

from .outcome import Outcome
from .session import Services, Session, refusal_of

if TYPE_CHECKING:
    from .mail.drafts import Draft, PartDraft


# --- what a stage says


class Reason(msgspec.Struct, frozen=True):
    """What a stage found, whether it decides anything or not."""

    text: str
    weight: float = 0.0
    """For stages that add up what others found: above zero it speaks against the message."""
    stage: str = ""
    """Who found it; filled in by who asks."""


class Accept(msgspec.Struct, frozen=True):
    """It is delivered."""

    folder: int = 0
    """The store's number of the folder that it goes into; 0: where it was addressed to. One that is gone: INBOX."""
    reasons: tuple[Reason, ...] = ()


class Request(msgspec.Struct, frozen=True):
    """It waits in this folder until the recipient says whether it may come; the sender is told that it waits."""

    folder: int
    reasons: tuple[Reason, ...] = ()


class Junk(msgspec.Struct, frozen=True):
    """It is delivered, into JUNK."""

    folder: int = 0
    """The store's number of JUNK; filled in by who asks."""
    reasons: tuple[Reason, ...] = ()


class Defer(msgspec.Struct, frozen=True):
    """It is refused now and may come later: ``retry`` seconds."""

    word: str
    text: str
    retry: int
    reasons: tuple[Reason, ...] = ()


class Refuse(msgspec.Struct, frozen=True):
    """It is refused for good."""

    code: Code
    word: str
    text: str
    reasons: tuple[Reason, ...] = ()


Verdict: TypeAlias = Accept | Request | Junk | Defer | Refuse
Said: TypeAlias = Verdict | Reason | None
"""Of one recipient: a verdict, which decides; a reason, for later stages and whoever asks why; or nothing."""


# --- what a stage is asked


class IncomingPart(msgspec.Struct, frozen=True):
    """A part of what came, in memory where it is small."""

    part: Part
    octets: bytes | None
    """All of it; None where it lies in a file."""
    file: str
    _services: Services

    async def blocks(self) -> AsyncIterator[bytes]:
        """Its octets, from a file by blocks of 64 KiB."""
        if self.octets is not None:
            yield self.octets
            return
        async for block in self._services.bodies.blocks(self.file, 0, self.part.length):
            yield block


class Addressee(msgspec.Struct, frozen=True):
    """One recipient."""

    imid: str
    """As the command named it, canonical."""
    mailbox: int | None
    """None where it is a mailing list, or is found only where it is stored, as of a notification."""
    reasons: tuple[Reason, ...] = ()
    """What earlier stages found."""


class Incoming(msgspec.Struct, frozen=True):
    """What came: ``session`` says who acts and from where."""

    kind: Literal["message", "notification"]
    session: Session
    own: int | None
    """The mailbox of who acts: nothing is asked of what it gets."""
    envelope: Envelope
    parts: tuple[IncomingPart, ...]
    to: tuple[Addressee, ...]


Stage: TypeAlias = Callable[[Incoming, Sequence[Addressee]], Awaitable[Sequence[Said]]]
"""Asked once a message, of all recipients that nothing has decided yet; answers in their order.

What it knows of recipients it reads by one unit for all of them; octets it takes by ``blocks``.
"""

Verdicts: TypeAlias = Mapping[str, Verdict]
"""By recipient, as ``Addressee.imid`` names it; who is not there is accepted, and nothing was said."""
NOTHING_SAID: Verdicts = {}


# --- the one function


async def accepted(draft: "Draft", incoming: Incoming, then: Callable[[Verdicts], Outcome]) -> Outcome:
    """Ask all stages: ``then`` makes the next outcome of the verdicts, and the draft is dropped if it raises Refused.

    Where ``services.stages`` is empty this need not be called: NOTHING_SAID is what it would find.
    """
    try:
        return then(await _verdicts(incoming))
    except Refused as error:
        draft.refuse(error)
        raise


async def _verdicts(incoming: Incoming) -> Verdicts:
    services = incoming.session.services
    left: Sequence[Addressee] = [one for one in incoming.to if one.mailbox is None or one.mailbox != incoming.own]
    verdicts: dict[str, Verdict] = {}
    for name, stage in services.stages.items():
        if not left:
            break
        undecided: list[Addressee] = []
        for one, said in zip(left, await _asked(services, name, stage, incoming, left), strict=True):
            if said is None:
                undecided.append(one)
            elif isinstance(said, Reason):
                reason = msgspec.structs.replace(said, stage=name)
                undecided.append(msgspec.structs.replace(one, reasons=(*one.reasons, reason)))
            else:
                own_reasons = [msgspec.structs.replace(reason, stage=name) for reason in said.reasons]
                verdicts[one.imid] = msgspec.structs.replace(said, reasons=(*one.reasons, *own_reasons))
        left = undecided
    verdicts.update((one.imid, Accept(reasons=one.reasons)) for one in left if one.reasons)
    await _find_junk(services, incoming, verdicts)
    for imid, verdict in verdicts.items():
        services.log.debug("judged", id=incoming.envelope.id, to=imid, verdict=type(verdict).__name__.lower(),
                           reasons=[f"{reason.stage}: {reason.text}" for reason in verdict.reasons])  # fmt: skip
    return verdicts


async def _asked(
    services: Services, name: str, stage: Stage, incoming: Incoming, left: Sequence[Addressee]
) -> Sequence[Said]:
    """What the stage says; one that fails says nothing, for it must not hold up mail, but the reason stays."""
    try:
        said = await stage(incoming, left)
        if len(said) != len(left):
            raise ValueError(f"{len(said)} answers for {len(left)} recipients")
        return said
    except StoreError as error:
        raise refusal_of(error) from error  # nothing could be stored now, either
    except Exception as error:
        services.log.error("a stage of acceptance failed", stage=name, id=incoming.envelope.id, exc_info=error)
        return [Reason("could not be asked")] * len(left)


async def _find_junk(services: Services, incoming: Incoming, verdicts: dict[str, Verdict]) -> None:
    """Fill in where JUNK is."""
    junk = {
        one.mailbox: one.imid
        for one in incoming.to
        if one.mailbox is not None and isinstance(verdicts.get(one.imid), Junk)
    }
    if not junk:
        return
    folders = await services.store.read(folders_of_role(OfRole(tuple(junk), "junk")))
    for one in incoming.to:
        verdict = verdicts.get(one.imid)
        if isinstance(verdict, Junk) and one.mailbox in folders:
            verdicts[one.imid] = msgspec.structs.replace(verdict, folder=folders[one.mailbox])


def refusal(verdict: Verdict | None, imid: str, *, has_folders: bool) -> Refused | None:
    """What the sender is told where it does not come. Without folders there is no place for junk and requests."""
    if isinstance(verdict, Defer):
        return Refused(Code.TEMPORARY, verdict.word, verdict.text, verdict.retry)
    if isinstance(verdict, Refuse):
        return Refused(verdict.code, verdict.word, verdict.text)
    if isinstance(verdict, Junk | Request) and not has_folders:
        return Refused(Code.DENIED, "NOT-WANTED", f"{imid} does not take this")
    return None


def folder_of(verdict: Verdict) -> int:
    """The folder that it names; 0: none."""
    return verdict.folder if isinstance(verdict, Accept | Request | Junk) else 0


def parts_of(services: Services, parts: Sequence[Part], drafts: Sequence["PartDraft"]) -> tuple[IncomingPart, ...]:
    """The parts as a stage sees them, where they lie."""
    return tuple(
        IncomingPart(part, draft.octets, draft.spool.name if draft.spool is not None else "", services)
        for part, draft in zip(parts, drafts, strict=True)
    )
