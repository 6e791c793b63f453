"""``immp send``."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import UUID

from cyclopts import Parameter

from .common import OK, REFUSED, TEMPORARY, Common, UsageError, run, session, tell
from .compose import body

if TYPE_CHECKING:
    from immpd.client import Client
    from immpd.model.imid import Imid
    from immpd.protocol.replies import Delivered

R = TypeVar("R")


def send(
    *to: str,
    subject: Annotated[str | None, Parameter(name=("--subject", "-s"))] = None,
    attach: Annotated[tuple[Path, ...], Parameter(name=("--attach", "-a"), negative=())] = (),
    cc: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    bcc: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    message: Annotated[str | None, Parameter(name=("--message", "-m"))] = None,
    important: Annotated[bool | None, Parameter(negative=())] = None,
    id: UUID | None = None,
    eml: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    common: Common | None = None,
) -> int:
    """Send a message; its text is read from standard input, or written in your editor.

    Parameters
    ----------
    to
        Recipients: name@domain.
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
    important
        Mark it as important.
    id
        The message's UUID: sending again with the same one delivers once.
    eml
        A file with a whole Internet mail (RFC 5322) to send as it is; - is standard input.
    """
    if not (to or cc or bcc):
        raise UsageError("Say who it is for: immp send ADDRESS…")
    if eml is not None and (message is not None or attach):
        raise UsageError("--eml takes neither --message nor --attach: the mail is whole")
    if eml is not None:
        source = sys.stdin.buffer.read() if eml == "-" else Path(eml)
        check_parts((*to, *cc), bcc, None, (), source)
        return run(_send(to, subject, None, attach, cc, bcc, important, id, source, common))
    tell_names(attach)
    check_parts((*to, *cc), bcc, message, attach)  # before anybody writes a text for nothing
    with body(message) as text:
        return run(_send(to, subject, text, attach, cc, bcc, important, id, None, common))


async def _send(
    to: tuple[str, ...],
    subject: str | None,
    text: str | None,
    attach: tuple[Path, ...],
    cc: tuple[str, ...],
    bcc: tuple[str, ...],
    important: bool | None,
    id: UUID | None,
    source: Path | bytes | None,
    common: Common | None,
) -> int:
    from immpd.client import new_id

    message_id = id or new_id()

    async def deliver(me: "Client") -> "Delivered":
        return await me.send(
            to, subject, text, cc=cc, bcc=bcc, attachments=attach, important=important, id=message_id, eml=source
        )

    return tell_delivered(await delivered(deliver, common), common)


async def delivered(deliver: Callable[["Client"], Awaitable[R]], common: Common | None) -> R:
    """What ``deliver`` does in a session, once more where the connection was lost: it sends with the same ID again.

    Whether it was delivered nobody knows then; with the same ID, once more is safe.
    """
    from immpd.client import ConnectionLost

    try:
        async with session(common) as me:
            return await deliver(me)
    except ConnectionLost:
        async with session(common) as me:
            return await deliver(me)


def check_parts(
    open_: tuple[str, ...],
    hidden: tuple[str, ...],
    text: str | None,
    attach: tuple[Path, ...],
    source: Path | bytes | None = None,
) -> "tuple[Imid, ...]":
    """Find out what is wrong with names and files before anybody is called; raises ImidError, OSError.

    Returns the recipients.
    """
    from immpd.client.composing import compose_parts, imids_of

    people = imids_of((*open_, *hidden))
    compose_parts(text, attach, source)
    return people


def tell_names(attach: tuple[Path, ...]) -> None:
    """Say which attachment goes by another name than its file."""
    from immpd.client.composing import sendable_name
    from immpd.protocol.text import clean

    for file in attach:
        name = sendable_name(file.name)
        if name != file.name:
            tell(f"{clean(file.name.encode(errors='replace').decode())} is sent as {name or 'attachment'}")


def tell_delivered(delivered: "Delivered", common: Common | None) -> int:
    """Print what became of each recipient; returns the exit code."""
    from immpd.protocol.codes import Code

    from .output import print_json, print_text

    refused = [row for row in delivered.rows if row.outcome == "refused"]
    if common is not None and common.json:
        rows = [
            {"recipient": row.imid, "outcome": row.outcome, "code": row.code, "text": row.text}
            for row in delivered.rows
        ]
        print_json({"id": delivered.id, "recipients": rows})
    else:
        for row in delivered.rows:
            if row.outcome != "refused":
                print_text(f"{row.imid}: {row.text or row.outcome}")
        for row in refused:
            tell(f"{row.imid}: {row.text}")
    if not refused:
        return OK
    return TEMPORARY if all(row.code == Code.TEMPORARY for row in refused) else REFUSED
