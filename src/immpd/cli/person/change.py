"""``immp flag``, ``mv``, ``cp``, ``rm``, and the folders' own: ``immp folder add|rename|rm|ls``."""

from typing import Annotated

from cyclopts import Parameter

from .common import Common, UsageError, run, session

_FOLDER = Annotated[str, Parameter(name=("--folder", "-f"))]
_SWITCH = Parameter(negative=())


def flag(
    *words: Annotated[str, Parameter(allow_leading_hyphen=True)],
    keyword: Annotated[bool, _SWITCH] = False,
    folder: _FOLDER = "INBOX",
    common: Common | None = None,
) -> int:
    """Set and clear flags: immp flag 1a2b3c4d +FLAGGED -READ +todo.

    Parameters
    ----------
    words
        Ids, FOLDER#id or FOLDER::filter, and flags: +NAME sets, -NAME clears. READ, FLAGGED, ANSWERED, IMPORTANT
        and DRAFT are known to the server, other names are yours.
    keyword
        A name that is nearly that of a flag is meant as it is written.
    folder
        The folder that the ids are of.
    """
    add = [word[1:] for word in words if word.startswith("+")]
    clear = [word[1:] for word in words if word.startswith("-")]
    names = [word for word in words if word[:1] not in ("+", "-")]
    if not names or not (add or clear):
        raise UsageError("Say which messages and which flags: immp flag ID… +FLAGGED -READ")
    if not keyword:
        _check_flags([word for word in words if word[:1] in ("+", "-")])

    async def work() -> None:
        from .naming import check_names, messages

        check_names(names, folder)
        async with session(common) as me:
            paths = await messages(me, names, folder)
            _changed(sum([(await me.flag(path, add=add, clear=clear)).n for path in paths]), "changed", common)

    return run(work())


def _check_flags(words: list[str]) -> None:
    """Find names that are a flag's but for a slip; raises UsageError."""
    from .words import KNOWN_FLAGS, like

    for word in words:
        name = word[1:].upper()
        if name in ("UNREAD", "SEEN", "UNSEEN"):
            meant = "+READ" if (name == "SEEN") == (word[0] == "+") else "-READ"
            raise UsageError(f"There is no flag {word}; did you mean {meant}? --keyword takes it as a keyword of yours")
        if name not in KNOWN_FLAGS and (hint := like(name, KNOWN_FLAGS)):
            sign = hint.replace("mean ", f"mean {word[0]}")
            raise UsageError(f"There is no flag {word}{sign} --keyword takes it as a keyword of yours")


def mv(*words: str, folder: _FOLDER = "INBOX", common: Common | None = None) -> int:
    """Move messages into another folder: immp mv ID… FOLDER.

    Parameters
    ----------
    words
        Ids, FOLDER#id or FOLDER::filter, and at the end the folder to move them to.
    folder
        The folder that the ids are of.
    """
    names, target = _names_and_target(words, "mv")

    async def work() -> None:
        from .naming import check_names, folder_path, messages

        check_names(names, folder)
        async with session(common) as me:
            paths = await messages(me, names, folder)
            _changed(sum([(await me.move(path, folder_path(target))).n for path in paths]), "moved", common)

    return run(work())


def cp(*words: str, folder: _FOLDER = "INBOX", common: Common | None = None) -> int:
    """Put messages into a further folder: immp cp ID… FOLDER.

    Parameters
    ----------
    words
        Ids, FOLDER#id or FOLDER::filter, and at the end the folder to put them into.
    folder
        The folder that the ids are of.
    """
    names, target = _names_and_target(words, "cp")

    async def work() -> None:
        from .naming import check_names, folder_path, messages

        check_names(names, folder)
        async with session(common) as me:
            paths = await messages(me, names, folder)
            copied = [await me.copy(path, folder_path(target)) for path in paths]
            _changed(sum(len(one.rows) for one in copied), "copied", common)

    return run(work())


def rm(
    *ids: str, folder: _FOLDER = "INBOX", purge: Annotated[bool, _SWITCH] = False, common: Common | None = None
) -> int:
    """Delete messages: into TRASH, or with --purge for good.

    Parameters
    ----------
    ids
        Ids, FOLDER#id or FOLDER::filter.
    folder
        The folder that the ids are of.
    purge
        At once and for good.
    """
    if not ids:
        raise UsageError("Say which messages: immp rm ID…")

    async def work() -> None:
        from .naming import check_names, messages

        check_names(ids, folder)
        async with session(common) as me:
            paths = await messages(me, ids, folder)
            count = sum([(await me.delete(path, purge=purge)).n for path in paths])
            _changed(count, "purged" if purge else "deleted", common)

    return run(work())


def add_folder(path: str, /, *, common: Common | None = None) -> int:
    """Make a folder, and those above it where they are missing."""

    async def work() -> None:
        from .naming import folder_path

        async with session(common) as me:
            _done((await me.create(folder_path(path))).text, common)

    return run(work())


def rename_folder(path: str, to: str, /, *, common: Common | None = None) -> int:
    """Give a folder, with all below it, another name or place."""

    async def work() -> None:
        from .naming import folder_path

        async with session(common) as me:
            _done((await me.rename(folder_path(path), folder_path(to))).text, common)

    return run(work())


def remove_folder(path: str, /, *, recursive: Annotated[bool, _SWITCH] = False, common: Common | None = None) -> int:
    """Remove an empty folder.

    Parameters
    ----------
    path
        The folder.
    recursive
        Also what is in it and below it; the messages go to TRASH.
    """

    async def work() -> None:
        from .naming import folder_path

        async with session(common) as me:
            _done((await me.remove(folder_path(path), recursive=recursive)).text, common)

    return run(work())


def _names_and_target(words: tuple[str, ...], name: str) -> tuple[tuple[str, ...], str]:
    if len(words) < 2:
        raise UsageError(f"Say which messages and where to: immp {name} ID… FOLDER")
    return words[:-1], words[-1]


def _changed(count: int, what: str, common: Common | None) -> None:
    from .output import print_json, say

    if common is not None and common.json:
        print_json({"n": count})
    else:
        say(f"{count} {what}")


def _done(text: str, common: Common | None) -> None:
    from .output import print_json, print_text

    if common is not None and common.json:
        print_json({"text": text})
    else:
        print_text(text)
