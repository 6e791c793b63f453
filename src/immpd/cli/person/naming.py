"""How a person names folders and messages on the command line.

Rules: ``INBOX`` is ``/INBOX``; a message is named by its whole id, or the last (or first) characters of
it that are unambiguous in its folder, alone or as FOLDER#id; an item likewise, as FEED#id; what is
ambiguous or not there changes nothing.
"""

import re
from collections.abc import AsyncIterable, Callable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from immpd.model.imid import Imid, parse_imid

from .common import NotThere, UsageError

if TYPE_CHECKING:
    from immpd.client import Client

SEARCHED = 10_000
"""Messages of a folder, the newest, among which an abbreviated id is looked for."""
SHORTEST = 4
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PIECE = re.compile(r"[0-9a-f-]{4,36}")


def folder_path(text: str) -> Imid:
    """A folder, with a filter where one is written: INBOX, work/plans, /inbox::unread. Raises ImidError."""
    written = text.replace(" ", "%20")
    head = written.partition("::")[0]
    return parse_imid(written if head.startswith("/") or "@" in head else f"/{written}")


def split_item(text: str) -> tuple[Imid, str]:
    """The feed and the item's id, or a piece of it, of FEED#ID. Raises ImidError, UsageError."""
    feed, mark, piece = text.rpartition("#")
    if not mark or not _PIECE.fullmatch(piece.lower()):
        raise UsageError(f"Name one item: FEED#ID, with the id or at least {SHORTEST} characters of its end")
    return parse_imid(feed).as_node(), piece.lower()


async def whole_item(feed: Imid, piece: str, ids: Callable[[], AsyncIterable[str]]) -> UUID:
    """The item's whole id; reads ``ids``, those that the feed has, only where it is abbreviated."""
    if _UUID.fullmatch(piece):
        return UUID(piece)
    matches = list(dict.fromkeys([id async for id in ids() if id.endswith(piece) or id.startswith(piece)]))
    if not matches:
        raise NotThere(f"There is no item {piece} in {feed}")
    if len(matches) > 1:
        raise NotThere(f"{piece} means {len(matches)} items in {feed}; give more of the id")
    return UUID(matches[0])


def split_name(text: str, folder: str) -> tuple[str, list[str]]:
    """(folder, ids or pieces of ids) of ID, FOLDER#ID or FOLDER#ID,ID."""
    head, mark, tail = text.rpartition("#")
    pieces = [piece.lower() for piece in (tail if mark else text).split(",")]
    for piece in pieces:
        if not _PIECE.fullmatch(piece):
            raise UsageError(
                f"{piece or text!r} is no message: give its id, at least {SHORTEST} characters of its end, or FOLDER#id"
            )
    return (head if mark and head else folder), pieces


def check_names(names: Sequence[str], folder: str) -> None:
    """Find out what is wrong with names before the server is called; raises UsageError, ImidError."""
    for name in names:
        if "::" in name and "#" not in name:
            folder_path(name)
        else:
            folder_path(split_name(name, folder)[0])


async def messages(me: "Client", names: Sequence[str], folder: str) -> list[Imid]:
    """The messages that these names mean, a path for each folder; FOLDER::filter stands for itself."""
    found: list[Imid] = []
    by_folder: dict[str, list[str]] = {}
    for name in names:
        if "::" in name and "#" not in name:
            found.append(folder_path(name))
            continue
        where, pieces = split_name(name, folder)
        by_folder.setdefault(str(folder_path(where)), []).extend(pieces)
    for where, pieces in by_folder.items():
        found.append(msgspec.structs.replace(parse_imid(where), ids=await _whole(me, where, pieces)))
    return found


async def _whole(me: "Client", where: str, pieces: list[str]) -> tuple[UUID, ...]:
    """The whole ids; reads the folder only where one is abbreviated."""
    short = {piece for piece in pieces if not _UUID.fullmatch(piece)}
    matches: dict[str, list[str]] = {piece: [] for piece in short}
    if short:
        async for row in me.index(where, limit=SEARCHED):
            for piece in short:
                if row.id.endswith(piece) or row.id.startswith(piece):
                    matches[piece].append(row.id)
    ids: dict[UUID, None] = {}
    for piece in pieces:
        if piece in short:
            several = matches[piece]
            if not several:
                raise NotThere(f"There is no message {piece} in {where}; immp ls {where} shows them")
            if len(several) > 1:
                raise NotThere(f"{piece} means {len(several)} messages in {where}; give more of the id")
            ids[UUID(several[0])] = None
        else:
            ids[UUID(piece)] = None
    return tuple(ids)
