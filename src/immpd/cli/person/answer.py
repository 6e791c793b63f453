"""``immp reply``, ``forward``, ``thread``."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from .common import Common, NotThere, UsageError, run, session, tell

if TYPE_CHECKING:
    from immpd.client import Client
    from immpd.model.imid import Imid
    from immpd.model.message import FetchedMessage
    from immpd.protocol.replies import Delivered

_SWITCH = Parameter(negative=())
_FOLDER = Annotated[str, Parameter(name=("--folder", "-f"))]
_FILES = Annotated[tuple[Path, ...], Parameter(name=("--attach", "-a"), negative=())]
_PEOPLE = Annotated[tuple[str, ...], Parameter(negative=())]
_TEXT = Annotated[str | None, Parameter(name=("--message", "-m"))]


def reply(
    id: str,
    /,
    *,
    all: Annotated[bool, _SWITCH] = False,
    quote: Annotated[bool, _SWITCH] = False,
    message: _TEXT = None,
    attach: _FILES = (),
    cc: _PEOPLE = (),
    bcc: _PEOPLE = (),
    draft: Annotated[bool, _SWITCH] = False,
    folder: _FOLDER = "INBOX",
    common: Common | None = None,
) -> int:
    """Answer a message; the text is read from standard input, or written in your editor.

    It goes where Reply-To says, else to who wrote it, and marks the message as answered.

    Parameters
    ----------
    id
        The message's id, or FOLDER#id.
    all
        To everybody who got it; what came through a list goes to the list instead of its writer.
    quote
        Its text stands above yours.
    message
        The text, instead of standard input.
    attach
        A file to attach; may be given several times.
    cc
        Who gets a copy too; may be given several times.
    bcc
        Who gets a copy that the others do not know of; may be given several times.
    draft
        Keep it as a draft instead of sending it.
    folder
        The folder that the id is of.
    """
    from immpd.client import new_id
    from immpd.client.answering import answer_to
    from immpd.client.answering import quote as quoted

    from .compose import body
    from .draft import save_draft
    from .naming import check_names
    from .send import check_parts, delivered, tell_delivered, tell_names

    check_names([id], folder)
    tell_names(attach)
    check_parts(cc, bcc, message, attach)
    me, path, found, text = asyncio.run(_look(id, folder, common))
    answer = answer_to(found.envelope, me, all=all)
    if not answer.to:
        raise NotThere("The message has nobody to answer but you")
    with body(message, above=quoted(found.envelope, text) if quote else "") as written:
        names = check_parts(cc, bcc, written, attach)
        message_id = new_id()
        people = (*answer.cc, *names[: len(cc)])

        async def answered(client: "Client") -> "Delivered":
            done = await client.send(
                answer.to,
                answer.subject,
                written,
                cc=people,
                bcc=bcc,
                attachments=attach,
                id=message_id,
                in_reply_to=answer.in_reply_to,
                references=answer.references,
            )
            if not await client.mark_answered(path):
                tell("The answer is sent; that the message is answered could not be marked")
            return done

        async def work() -> int:
            if not draft:
                return tell_delivered(await delivered(answered, common), common)
            async with session(common) as client:
                return await save_draft(
                    client,
                    answer.to,
                    answer.subject,
                    written,
                    attach,
                    common,
                    cc=people,
                    bcc=bcc,
                    in_reply_to=answer.in_reply_to,
                    references=answer.references,
                )

        return run(work())


def forward(
    id: str,
    /,
    *to: str,
    message: _TEXT = None,
    attach: _FILES = (),
    cc: _PEOPLE = (),
    bcc: _PEOPLE = (),
    folder: _FOLDER = "INBOX",
    common: Common | None = None,
) -> int:
    """Send a message on with its attachments, its text below yours: immp forward ID ADDRESS….

    Parameters
    ----------
    id
        The message's id, or FOLDER#id.
    to
        Recipients: name@domain.
    message
        Your text, instead of standard input; -m "" is none.
    attach
        A further file to attach; may be given several times.
    cc
        Who gets a copy; may be given several times.
    bcc
        Who gets a copy that the others do not know of; may be given several times.
    folder
        The folder that the id is of.
    """
    from immpd.client import new_id

    from .compose import body
    from .naming import check_names
    from .send import check_parts, delivered, tell_delivered, tell_names

    if not (to or cc or bcc):
        raise UsageError("Say who it is for: immp forward ID ADDRESS…")
    check_names([id], folder)
    tell_names(attach)
    check_parts((*to, *cc), bcc, message, attach)
    with body(message) as written:
        message_id = new_id()

        async def forwarded(client: "Client") -> "Delivered":
            path = await _one(client, id, folder)
            return await client.forward(path, to, written, cc=cc, bcc=bcc, attachments=attach, id=message_id)

        async def work() -> int:
            return tell_delivered(await delivered(forwarded, common), common)

        return run(work())


def thread(id: str, /, *, folder: _FOLDER = "INBOX", common: Common | None = None) -> int:
    """Show the conversation around a message, from all folders, the oldest first.

    Parameters
    ----------
    id
        The message's id, or FOLDER#id.
    folder
        The folder that the id is of.
    """
    from .naming import check_names

    check_names([id], folder)

    async def work() -> None:
        from .output import print_index, print_json

        async with session(common) as client:
            path = await _one(client, id, folder)
            rows = {row.id: row async for row in client.thread(path)}  # one that lies in two folders, once
        ordered = sorted(rows.values(), key=lambda row: (_moment(row.date), row.id))
        if common is not None and common.json:
            for row in ordered:
                print_json(row)
        else:
            print_index(ordered, folders=True, common=common)

    return run(work())


def _moment(date: str) -> float:
    from datetime import UTC, datetime

    try:
        when = datetime.fromisoformat(date)
    except ValueError:
        return 0.0
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


async def _one(me: "Client", name: str, folder: str) -> "Imid":
    """The path of the one message that is named."""
    from .naming import messages

    (path,) = await messages(me, [name], folder)
    if len(path.ids) != 1:
        raise UsageError(f"Name one message: {name} may be several")
    return path


async def _look(id: str, folder: str, common: Common | None) -> "tuple[Imid, Imid, FetchedMessage, str]":
    """Who one is, the message's path, the message, and what a person reads in it."""
    async with session(common) as client:
        path = await _one(client, id, folder)
        found = await client.message(path)
        assert client.account is not None
        return client.account, path, found, await client.text(path, found)
