"""``immp draft``: messages that are not sent yet; they lie in DRAFTS with the flag DRAFT.

Rule: a draft that is changed is put anew before the old one goes, and one that is sent goes when it was delivered, so
that nothing is lost on the way.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from .common import OK, Common, UsageError, run, session, tell

if TYPE_CHECKING:
    from immpd.client import Attachment, Client
    from immpd.model.imid import Imid
    from immpd.model.message import FetchedMessage

FOLDER = "DRAFTS"
MOST_ANSWERED = 100
"""Messages of a conversation among which the one is looked for that a draft answers."""
_FILES = Annotated[tuple[Path, ...], Parameter(name=("--attach", "-a"), negative=())]
_PEOPLE = Annotated[tuple[str, ...], Parameter(negative=())]
_TEXT = Annotated[str | None, Parameter(name=("--message", "-m"))]
_SUBJECT = Annotated[str | None, Parameter(name=("--subject", "-s"))]


def save(
    *to: str,
    subject: _SUBJECT = None,
    attach: _FILES = (),
    cc: _PEOPLE = (),
    bcc: _PEOPLE = (),
    message: _TEXT = None,
    common: Common | None = None,
) -> int:
    """Keep a message as a draft; its text is read from standard input, or written in your editor.

    Parameters
    ----------
    to
        Recipients, as far as you know them: name@domain.
    subject
        What it is about.
    attach
        A file to attach; may be given several times.
    cc
        Who gets a copy; may be given several times.
    bcc
        Who gets a copy that the others do not know of; may be given several times.
    message
        The text, instead of standard input.
    """
    from .compose import body
    from .send import check_parts, tell_names

    tell_names(attach)
    check_parts((*to, *cc), bcc, message, attach)
    with body(message) as text:

        async def work() -> int:
            async with session(common) as me:
                return await save_draft(me, to, subject, text, attach, common, cc=cc, bcc=bcc)

        return run(work())


def list_all(*, common: Common | None = None) -> int:
    """List your drafts, the newest first."""
    from .read import ls

    return ls(FOLDER, all=True, common=common)


def edit(
    id: str,
    /,
    *,
    to: _PEOPLE = (),
    cc: _PEOPLE = (),
    bcc: _PEOPLE = (),
    subject: _SUBJECT = None,
    attach: _FILES = (),
    message: _TEXT = None,
    common: Common | None = None,
) -> int:
    """Change a draft; its text is written in your editor, or read from standard input.

    Parameters
    ----------
    id
        The draft's id, as immp draft list shows it.
    to
        Recipients, in place of those it has; may be given several times.
    cc
        Who gets a copy, in place of those it has.
    bcc
        Who gets a hidden copy, in place of those it has.
    subject
        What it is about.
    attach
        A further file to attach; may be given several times.
    message
        The text, instead of standard input.
    """
    import asyncio

    from .compose import edited
    from .naming import check_names
    from .send import check_parts, tell_names

    check_names([id], FOLDER)
    tell_names(attach)
    check_parts((*to, *cc), bcc, message, attach)
    path, draft, old = asyncio.run(_look(id, common))
    with edited(message, old, ask=not (to or cc or bcc or attach or subject is not None)) as text:

        async def work() -> int:
            envelope = draft.envelope
            async with session(common) as me:
                with tempfile.TemporaryDirectory(prefix="immp-") as folder:
                    kept = await me.attachments_of(path, draft, Path(folder))
                    code = await save_draft(
                        me,
                        to or envelope.to,
                        envelope.subject if subject is None else subject,
                        text,
                        (*kept, *attach),
                        common,
                        cc=cc or envelope.cc,
                        bcc=bcc or envelope.bcc,
                        in_reply_to=envelope.in_reply_to or None,
                        references=envelope.references,
                    )
                await me.delete(path, purge=True)
            return code

        return run(work())


def send(id: str, /, *, common: Common | None = None) -> int:
    """Send a draft; it leaves DRAFTS when it was delivered.

    Parameters
    ----------
    id
        The draft's id, as immp draft list shows it.
    """
    from .naming import check_names

    check_names([id], FOLDER)

    async def work() -> int:
        from immpd.client.answering import is_whole_mail

        from .send import tell_delivered

        async with session(common) as me:
            path, draft = await _draft(me, id)
            envelope = draft.envelope
            if not (envelope.to or envelope.cc or envelope.bcc):
                raise UsageError(f"The draft has no recipient: immp draft edit {id} --to ADDRESS")
            answered = await _answered(me, path, envelope.in_reply_to)
            with tempfile.TemporaryDirectory(prefix="immp-") as folder:
                kept = await me.attachments_of(path, draft, Path(folder))
                whole = is_whole_mail(draft)
                delivered = await me.send(
                    envelope.to,
                    envelope.subject or None,
                    None if whole else await me.text(path, draft),
                    cc=envelope.cc,
                    bcc=envelope.bcc,
                    attachments=() if whole else kept,
                    eml=kept[0].source if whole else None,
                    important=True if envelope.importance == "high" else None,
                    id=envelope.id,
                    in_reply_to=envelope.in_reply_to or None,
                    references=envelope.references,
                )
            await me.delete(path, purge=True)
            if answered is not None and not await me.mark_answered(answered):
                tell("The answer is sent; that the message is answered could not be marked")
        return tell_delivered(delivered, common)

    return run(work())


async def save_draft(
    me: "Client",
    to: Sequence[Any],
    subject: str | None,
    text: str,
    attachments: "Sequence[Path | Attachment]",
    common: Common | None,
    **fields: Any,
) -> int:
    """Put a draft and say what its id is; ``fields`` are those of ``put``."""
    from .output import print_json, say

    stored = await me.put(
        f"/{FOLDER}", subject or None, text, to=to, attachments=attachments, flags=("DRAFT", "READ"), **fields
    )
    id = stored.place.rpartition("#")[2]
    if common is not None and common.json:
        print_json({"id": id})
    else:
        say(f"Draft {id[-8:]} is in {FOLDER}; immp draft send {id[-8:]} sends it")
    return OK


async def _draft(me: "Client", id: str) -> "tuple[Imid, FetchedMessage]":
    from .naming import messages

    (path,) = await messages(me, [id], FOLDER)
    if len(path.ids) != 1:
        raise UsageError(f"Name one draft: {id} may be several")
    return path, await me.message(path)


async def _look(id: str, common: Common | None) -> "tuple[Imid, FetchedMessage, str]":
    from immpd.client.answering import is_whole_mail

    async with session(common) as me:
        path, draft = await _draft(me, id)
        if is_whole_mail(draft):
            raise UsageError("The draft is an Internet mail, which is sent as it is")
        return path, draft, await me.text(path, draft)


async def _answered(me: "Client", path: "Imid", in_reply_to: str) -> "Imid | None":
    """Where the message lies that the draft answers, if it is in its conversation."""
    from immpd.client import at

    if not in_reply_to:
        return None
    rows = [row async for row in me.thread(path, limit=MOST_ANSWERED)]
    for row in rows:
        found = at(row.folder, row.id)
        envelope = (await me.message(found)).envelope
        if in_reply_to in (envelope.message_id, envelope.id):
            return found
    return None
