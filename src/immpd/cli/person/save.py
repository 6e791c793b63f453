"""``immp read --save``: the attachments of messages as files.

Rules: nothing is written outside the folder, and nothing is overwritten; a name that cannot be used as it came is
cleaned, and that is said; a file that could not be written whole is not left behind.
"""

import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from .common import NotThere, UsageError, tell

if TYPE_CHECKING:
    from immpd.client import Client
    from immpd.model.imid import Imid
    from immpd.model.message import FetchedMessage

LONGEST = 200
"""Octets of a file's name."""
LARGEST_MAIL = 64 << 20
"""Octets of an Internet mail that are looked at for its attachments."""
_UNWANTED = re.compile(r'[<>:"|?*]')


async def save_attachments(me: "Client", path: "Imid", folder: Path) -> int:
    """Save all attachments of the messages of a path; returns how many there were. Raises UsageError, OSError."""
    from immpd.client import at

    if folder.exists() and not folder.is_dir():  # noqa: ASYNC240 - a command that does one thing may wait for the disk
        raise UsageError(f"{folder} is no folder")
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240
    count = 0
    for one in path.ids:
        where = at(path, one)
        message = await me.message(where)
        async for name, octets in _attachments(me, where, message):
            count += 1
            await _save(folder, name, count, octets)
    if not count:
        raise NotThere("There is no attachment")
    return count


async def _attachments(
    me: "Client", path: "Imid", message: "FetchedMessage"
) -> "AsyncIterator[tuple[str, AsyncIterator[bytes]]]":
    """Name and octets of each."""
    from immpd.client.answering import is_text, is_whole_mail

    if is_whole_mail(message):
        from immpd.mime.incoming import attachment_octets, attachments

        octets = b""
        async for piece in me.fetch_part(path, 1, (0, LARGEST_MAIL - 1)):
            octets += piece
        for inner in attachments(octets, limit=LARGEST_MAIL):
            yield inner.name, _whole(attachment_octets(octets, inner.number, limit=LARGEST_MAIL) or b"")
        return
    for part in message.parts:
        if not is_text(part):
            yield part.name, me.fetch_part(path, part.id)


async def _whole(octets: bytes) -> AsyncIterator[bytes]:
    yield octets


async def _save(folder: Path, sent: str, number: int, octets: AsyncIterator[bytes]) -> None:
    from .output import print_text, size_text

    name = file_name(sent) or f"attachment-{number}"
    if name != sent:
        tell(f"The name {sent!r} is changed to {name}" if sent else f"An attachment without a name is {name}")
    target, file = _new_file(folder, name)
    size = 0
    try:
        with file:
            async for piece in octets:
                size += len(piece)
                file.write(piece)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    print_text(f"{target}  {size_text(size)}")
    sys.stdout.flush()


def file_name(sent: str) -> str:
    """A name that is safe as a file's: no folders, nothing unprintable, not hidden; may be empty."""
    from immpd.protocol.text import clean

    last = sent.replace("\\", "/").rpartition("/")[2]
    name = _UNWANTED.sub("_", clean(last).replace("\ufffd", "_")).strip().lstrip(".").rstrip(". ")
    stem, dot, ending = name.rpartition(".")
    if len(name.encode()) > LONGEST:
        ending = dot + ending if dot and len(ending.encode()) <= 20 else ""
        name = (stem or name).encode()[: LONGEST - len(ending.encode())].decode(errors="ignore") + ending
    return name


def _new_file(folder: Path, name: str) -> tuple[Path, BinaryIO]:
    """A file that was not there: the name itself, else with a number."""
    for numbered in _numbered(name):
        target = folder / numbered
        try:
            return target, open(target, "xb")
        except FileExistsError:
            continue
    raise AssertionError


def _numbered(name: str) -> Iterator[str]:
    yield name
    stem, dot, ending = name.rpartition(".")
    number = 0
    while True:
        number += 1
        yield f"{stem}-{number}.{ending}" if dot and stem else f"{name}-{number}"
