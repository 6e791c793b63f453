"""``immp ls``, ``folders``, ``read``."""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from .common import Common, UsageError, at_least_one, run, session

if TYPE_CHECKING:
    from immpd.client import Client
    from immpd.model.imid import Imid
    from immpd.model.message import IndexRow

_SWITCH = Parameter(negative=())


def ls(
    path: str = "INBOX",
    /,
    *,
    limit: Annotated[int, Parameter(name=("--limit", "-n"), validator=at_least_one)] = 25,
    all: Annotated[bool, _SWITCH] = False,
    common: Common | None = None,
) -> int:
    """List a folder's messages, the newest first; / lists the folders.

    Parameters
    ----------
    path
        A folder, with a filter where you like: INBOX, work/plans, INBOX::unread, INBOX::from:bob,flagged. Filters:
        unread, read, flagged, answered, important, draft, keyword:NAME, from:TEXT, since:2026-01-31; a ! before
        one turns it round, with commas between all must hold.
    limit
        At most so many.
    all
        All of them.
    """
    if path == "/":
        return folders(common=common)
    if path.startswith("::"):
        path = f"INBOX{path}"

    async def work() -> None:
        from .naming import folder_path
        from .output import print_index, print_json

        where = folder_path(path)
        rows: list[IndexRow] = []
        async with session(common) as me:
            async for row in me.index(where, limit=None if all else limit):
                if common is not None and common.json:
                    print_json(row)
                else:
                    rows.append(row)
            more = await _more(me, where, len(rows)) if not all and len(rows) == limit else ""
        if common is None or not common.json:
            sent = bool(where.path) and where.path[0].upper() in ("SENT", "DRAFTS")
            empty = f"{path} is empty" if where.filter is None else f"No message matches {path}"
            print_index(rows, sent=sent, common=common, empty=empty, more=more)

    return run(work())


async def _more(me: "Client", where: "Imid", shown: int) -> str:
    """What to say where the list may be cut."""
    if not sys.stdout.isatty():
        return ""
    from immpd.client import Refused

    try:
        (counts,) = await me.check(where)
    except Refused:  # a server that counts no filtered view
        return f"The first {shown}; --all shows all"
    return f"{shown} of {counts.t}; --all shows all" if counts.t > shown else ""


def folders(*, common: Common | None = None) -> int:
    """List the folders with their unread and total counts."""

    async def work() -> None:
        from immpd.protocol.text import clean

        from .output import print_json, print_table

        async with session(common) as me:
            found = await me.folders()
        if common is not None and common.json:
            for row in found:
                print_json(row)
            return
        cells = [[clean(row.path), str(row.u), str(row.t)] for row in found]
        print_table(
            cells,
            heads=("FOLDER", "UNREAD", "TOTAL"),
            bold=[number for number, row in enumerate(found) if row.u],
            share=(0,),
            right=(1, 2),
        )

    return run(work())


def read(
    *ids: str,
    folder: Annotated[str, Parameter(name=("--folder", "-f"))] = "INBOX",
    raw: Annotated[bool, _SWITCH] = False,
    mime: Annotated[bool, _SWITCH] = False,
    part: int | None = None,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    save: Annotated[Path | None, Parameter(name="--save")] = None,
    keep_unread: Annotated[bool, _SWITCH] = False,
    common: Common | None = None,
) -> int:
    """Read messages.

    Parameters
    ----------
    ids
        Ids as immp ls shows them, whole ones, or FOLDER#id.
    folder
        The folder that the ids are of.
    raw
        The octets of the parts as they are.
    mime
        As Internet mail (RFC 5322).
    part
        The octets of this part alone; the numbers stand below a message's text.
    output
        Write into this file.
    save
        Save all attachments into this folder; nothing there is overwritten.
    keep_unread
        Do not mark as read.
    """
    as_json = common is not None and common.json
    if not ids:
        raise UsageError("Say which message: immp read ID")
    if raw + mime + (part is not None) + as_json + (save is not None) > 1:
        raise UsageError("--raw, --mime, --part, --save and --json exclude each other")

    async def work() -> None:
        from .naming import check_names, messages
        from .output import print_json_octets, print_text
        from .save import save_attachments

        check_names(ids, folder)
        async with session(common) as me:
            for path in await messages(me, ids, folder):
                if save is not None:
                    if not path.ids:
                        raise UsageError("--save takes messages by their ids")
                    await save_attachments(me, path, save)
                elif raw or mime or part is not None:
                    await _octets(_source(me, path, raw=raw, part=part, keep_unread=keep_unread), output)
                elif as_json:
                    async for octets in me.fetch_json(path, keep_unread=keep_unread):
                        print_json_octets(octets)
                elif output is not None:
                    await _octets(_text(me, path, keep_unread), output)
                else:
                    async for line in _shown(me, path, keep_unread, common):
                        print_text(line)

    if output is not None and len(ids) > 1:
        raise UsageError("--output takes one message")
    return run(work())


async def _source(
    me: "Client", path: "Imid", *, raw: bool, part: int | None, keep_unread: bool
) -> AsyncIterator[bytes]:
    if part is not None:
        async for octets in me.fetch_part(path, part):
            yield octets
        return
    blocks = me.raw(path, keep_unread=keep_unread) if raw else me.fetch_mime(path, keep_unread=keep_unread)
    async for block in blocks:
        yield block.octets


async def _shown(me: "Client", path: "Imid", keep_unread: bool, common: Common | None) -> AsyncIterator[str]:
    """The lines of messages for people: their dates in the zone that times are shown in, hints in words of immp."""
    from .output import now_of, time_text
    from .words import in_own_words

    now = now_of(common)
    head, before = False, ""
    async for line in me.fetch_text(path, keep_unread=keep_unread):
        head = head or (not before and line.startswith("From: "))
        if head and line.startswith("Date: "):
            yield f"Date: {time_text(line.removeprefix('Date: '), now)}"
        else:
            yield in_own_words(line) if line.startswith("[Not all of part ") else line
        head, before = head and bool(line), line


async def _text(me: "Client", path: "Imid", keep_unread: bool) -> AsyncIterator[bytes]:
    async for line in me.fetch_text(path, keep_unread=keep_unread):
        yield f"{line}\n".encode()


async def _octets(source: AsyncIterator[bytes], output: Path | None) -> None:
    """To standard output, or into a file that appears when it is whole."""
    from .output import write_octets

    if output is None:
        async for octets in source:
            write_octets(octets)
        sys.stdout.flush()
        return
    if output.is_dir():  # noqa: ASYNC240 - a command that does one thing may wait for the disk
        raise UsageError(f"{output} is a folder; name a file")
    partly = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with open(partly, "wb") as file:  # noqa: ASYNC230
            async for octets in source:
                file.write(octets)
        os.replace(partly, output)
    finally:
        partly.unlink(missing_ok=True)
