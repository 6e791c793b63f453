"""DATA, DONE and ABORT: what every way of sending shares.

Rules (docs/protocol.md, "Pipelines"): what a line opens, and the place of each part, is decided when the
line is read; DONE waits for the parts read before it and hands on nothing if one failed.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import Abort, Data, Deliver, Done, MboxPut
from immpd.protocol.errors import Refused
from immpd.protocol.registry import Request, has_octets
from immpd.service.outcome import Outcome
from immpd.service.session import Session, handles, on_arrival

from .drafts import Draft, PartDraft, WholeDraft, drafts_of, too_large


@on_arrival(Deliver, MboxPut)
def open_draft(session: Session, pid: str | None, request: Deliver | MboxPut) -> Draft | None:
    """A message is open from the moment its line is read, or comes whole behind it."""
    drafts, limit = drafts_of(session), session.services.limits.max_message
    return drafts.whole(pid, request, limit) if has_octets(request) else drafts.open(pid, request, limit)


def raise_of(draft: Draft) -> None:
    """Raises what is known against a message when its command begins: its octets need not be awaited for that."""
    error = draft.error or (draft.parts[0].error if isinstance(draft, WholeDraft) else None)
    if error is not None:
        raise error


def opened(session: Session, draft: Draft) -> Outcome:
    """A message may come: 270, or what DONE does, where its octets follow the line that opened it."""
    return finish(session, draft) if isinstance(draft, WholeDraft) else _OPENED


_OPENED = replies.Opened()
T = TypeVar("T")


@on_arrival(Data)
def open_part(session: Session, pid: str | None, request: Data) -> PartDraft:
    """The part's place in its message is decided when its line is read."""
    opened = drafts_of(session).opened
    if request.for_ is not None:
        draft = opened.get(None if request.for_ == "*" else request.for_)
    else:
        draft = opened.get(pid) or opened.get(None)
    if isinstance(draft, WholeDraft):
        draft = None
    part = PartDraft(draft, request)
    if draft is None:
        part.error = Refused(
            Code.NOT_FOUND, "NO-MESSAGE", "There is no open message; begin one with DELIVER or MBOX PUT"
        )
        return part
    limits = session.services.limits
    if len(draft.parts) > limits.max_parts:
        part.error = draft.parts[-1].error  # one part too many is enough for DONE to refuse
        return part
    if len(draft.parts) == limits.max_parts:
        part.error = Refused(Code.LIMIT, "TOO-MANY-PARTS", f"A message has at most {limits.max_parts} parts here")
    elif request.length is not None and not request.base64 and draft.octets + request.length > draft.limit:
        part.error = too_large(draft)
    draft.parts.append(part)
    if not request.headers:
        draft.numbered += 1
        part.number = draft.numbered
    return part


@on_arrival(Done, Abort)
def take_draft(session: Session, pid: str | None, _: Done | Abort) -> Draft | None:
    """DONE and ABORT end the message of their pipeline; the next DELIVER opens a new one."""
    return drafts_of(session).opened.pop(pid, None)


@handles(Data)
def data(_: Session, __: Data, part: PartDraft) -> Outcome:
    """272 when the part is complete."""
    if part.error is not None:
        raise part.error
    return _stored(part) if part.complete else _wait_for(part)


async def _wait_for(part: PartDraft) -> Outcome:
    await part.settled()
    return _stored(part)


def _stored(part: PartDraft) -> replies.PartStored:
    draft = part.draft
    if part.error is None and draft is not None and draft.error is not None:
        part.error = draft.error
    if part.error is not None:
        raise part.error
    return replies.PartStored(n=part.number, length=part.length)


def dropping(draft: Draft, then: Callable[[T], Outcome]) -> Callable[[T], Outcome]:
    """The same; and where it raises Refused the draft comes to nothing."""

    def go_on(found: T) -> Outcome:
        try:
            return then(found)
        except Refused as error:
            draft.refuse(error)
            raise

    return go_on


Finisher = Callable[[Session, Draft], Outcome]
F = TypeVar("F", bound=Finisher)
FINISHERS: dict[type[Request[Any]], Finisher] = {}


def finishes(request: type[Request[Any]]) -> Callable[[F], F]:
    """Register what DONE does with what this command opened; all its parts are there then."""

    def register(finisher: F) -> F:
        FINISHERS[request] = finisher
        return finisher

    return register


@handles(Done)
def done(session: Session, _: Done, draft: Draft | None) -> Outcome:
    """Hand on what was opened, when all its parts are here."""
    if draft is None:
        raise Refused(Code.NOT_FOUND, "NO-MESSAGE", "There is no open message in this pipeline; begin one with DELIVER")
    return finish(session, draft)


def finish(session: Session, draft: Draft) -> Outcome:
    """Hand on the draft, now or when its parts are here."""
    if all([part.complete for part in draft.parts]):
        return _complete(session, draft)
    return _when_complete(session, draft)


async def _when_complete(session: Session, draft: Draft) -> Outcome:
    for part in draft.parts:
        await part.settled()
    return _complete(session, draft)


def _complete(session: Session, draft: Draft) -> Outcome:
    try:
        if draft.error is not None:
            raise draft.error
        for number, part in enumerate(draft.parts, 1):
            if part.error is not None:
                why = part.error
                if isinstance(draft, WholeDraft):
                    raise why  # there is nothing but this part
                text = f"Part {number} is not there, so nothing is delivered: {why.text}"
                raise Refused(why.code, why.word, text, why.retry)
        return FINISHERS[type(draft.request)](session, draft)
    except Refused as error:
        draft.refuse(error)
        raise


@handles(Abort)
def abort(_: Session, __: Abort, draft: Draft | None) -> replies.Ok:
    """Drop what was begun."""
    if draft is None:
        raise Refused(Code.NOT_FOUND, "NO-MESSAGE", "There is no open message in this pipeline")
    if draft.error is not None and draft.error.code is not Code.CANCELLED:
        raise draft.error.bare()
    draft.refuse(Refused(Code.CANCELLED, "ABORTED", "The message was aborted"))
    return replies.Ok(text="Dropped")
