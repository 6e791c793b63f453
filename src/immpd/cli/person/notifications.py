"""``immp notifications``: what waits for an answer, and what became of one's own."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from cyclopts import Parameter

from .common import Common, NotThere, UsageError, at_least_one, run, session

if TYPE_CHECKING:
    from immpd.client import Client
    from immpd.model.notification import NotificationRow

_SWITCH = Parameter(negative=())
MOST = 10_000
"""Notifications that are looked at, the newest."""
PAGE = 100
"""Rows that the server lists at once."""


def list_all(
    *,
    all: Annotated[bool, _SWITCH] = False,
    limit: Annotated[int, Parameter(name=("--limit", "-n"), validator=at_least_one)] = 100,
    common: Common | None = None,
) -> int:
    """List the notifications that wait for you, the newest first.

    Parameters
    ----------
    all
        Also those that have ended and are still kept.
    limit
        At most so many.
    """

    async def work() -> None:
        from immpd.protocol.text import clean

        from .output import date_text, now_of, print_json, print_table, short_ids

        async with session(common) as me:
            rows = await _rows(me, ended=all, limit=limit)
        if common is not None and common.json:
            for row in rows:
                print_json(row)
            return
        now = now_of(common)
        shown = short_ids(row.id for row in rows)
        cells = []
        for row in rows:
            said = "  ".join(filter(None, (row.title, " ".join(row.body.split()), _buttons(row))))
            what = row.level if row.status == "shown" else row.status
            cells.append([shown[row.id], date_text(row.created, now), what, clean(row.from_), clean(said)])
        print_table(
            cells,
            heads=("ID", "DATE", "LEVEL", "FROM", "SAYS"),
            bold=[n for n, row in enumerate(rows) if row.level in ("high", "critical")],
            share=(3, 4),
            empty="No notification waits for you",
        )

    return run(work())


def show(id: str, /, *, common: Common | None = None) -> int:
    """Show a notification with all that it says.

    Parameters
    ----------
    id
        Its id, or the end of it as the list shows it.
    """
    check_piece(id)

    async def work() -> None:
        import msgspec

        from .output import now_of, print_json, print_text, time_text

        async with session(common) as me:
            row, octets = await _whole(me, await whole_id(me, id))
        text = row.body or ("" if row.actions else octets.decode(errors="replace"))
        if common is not None and common.json:
            print_json(msgspec.structs.replace(row, body=text))
            return
        now = now_of(common)
        created, expires, ended = (time_text(one, now) if one else "" for one in (row.created, row.expires, row.ended))
        about = (("From", row.from_), ("Level", row.level), ("Created", created), ("Until", expires))
        ends = (("Status", row.status), ("Ended", ended), ("Answer", row.answer), ("Push", row.push))
        print_text("\n".join(f"{name}: {said}" for name, said in (*about, *ends, ("Title", row.title)) if said))
        if text:
            print_text("\n" + text.rstrip("\n"))
        if row.actions:
            print_text("")
        for action in row.actions:
            print_text(f"  {action.id}  {action.label}" + (f"  {action.url}" if action.url else ""))

    return run(work())


def answer(id: str, choice: str, /, *, common: Common | None = None) -> int:
    """Press a notification's button, once.

    Parameters
    ----------
    id
        Its id, or the end of it as the list shows it.
    choice
        The button, by its id or by what stands on it.
    """
    check_piece(id)

    async def work() -> None:
        async with session(common) as me:
            where = await whole_id(me, id)
            row, _ = await _whole(me, where)
            found = [one for one in row.actions if one.id == choice]
            found = found or [one for one in row.actions if one.label.casefold() == choice.casefold()]
            if not found:
                offered = ", ".join(one.id for one in row.actions) or "none"
                raise NotThere(f"The notification has no button {choice}; it has {offered}")
            if found[0].url:
                raise NotThere(f"That button sends no answer, it opens {found[0].url}")
            tell_done((await me.answer(where, found[0].id)).text, common)

    return run(work())


def dismiss(*ids: str, all: Annotated[bool, _SWITCH] = False, common: Common | None = None) -> int:
    """Clear notifications on all your devices.

    Parameters
    ----------
    ids
        Their ids, or the ends of them as the list shows them.
    all
        All that wait for you.
    """
    if bool(ids) == all:
        raise UsageError("Say which notification, or --all: immp notifications dismiss ID…")
    for id in ids:
        check_piece(id)

    async def work() -> None:
        from .output import plural

        async with session(common) as me:
            if all:
                waiting = [row.id for row in await _rows(me, ended=False, limit=MOST)]
                for one in waiting:
                    await me.dismiss(one)
                tell_done(f"{plural(len(waiting), 'notification')} dismissed", common)
                return
            for where in [await whole_id(me, id) for id in ids]:
                tell_done((await me.dismiss(where)).text, common)

    return run(work())


def status(id: UUID, /, *, common: Common | None = None) -> int:
    """What became of a notification that you sent.

    Parameters
    ----------
    id
        The ID that immp push printed, or was given.
    """

    async def work() -> None:
        from .output import date_text, now_of, print_json, print_table

        async with session(common) as me:
            rows = await me.push_status(id)
        if common is not None and common.json:
            for row in rows:
                print_json({"recipient": row.imid, "status": row.status, "answer": row.answer, "at": row.at})
        else:
            now = now_of(common)
            print_table(
                [[row.imid, row.status, row.answer, date_text(row.at, now) if row.at else ""] for row in rows],
                heads=("WHO", "STATUS", "ANSWER", "AT"),
            )

    return run(work())


def tell_done(text: str, common: Common | None) -> None:
    """What the server said when something was done."""
    from .output import print_json, print_text

    if common is not None and common.json:
        print_json({"text": text})
    else:
        print_text(text)


def matching(ids: list[str], piece: str, what: str) -> str:
    """The one id that ends or begins with ``piece``; raises NotThere."""
    found = [one for one in ids if one.endswith(piece.lower()) or one.startswith(piece.lower())]
    if len(found) != 1:
        raise NotThere(f"{piece} means {len(found)} {what}; give more of the id" if found else f"There is no {piece}")
    return found[0]


def check_piece(text: str) -> None:
    """Find out whether it can be an id or the end of one; raises UsageError."""
    if not 4 <= len(text) <= 36 or not set(text.lower()) <= set("0123456789abcdef-"):
        raise UsageError(f"{text!r} is no id: give at least 4 characters of its end")


async def whole_id(me: "Client", piece: str) -> str:
    """The whole id of a notification; reads the list only where it is abbreviated. Raises NotThere."""
    if len(piece) == 36:
        return piece
    return matching([row.id for row in await _rows(me, ended=True, limit=MOST)], piece, "notifications")


async def _rows(me: "Client", *, ended: bool, limit: int) -> "list[NotificationRow]":
    rows: list[NotificationRow] = []
    while limit > len(rows):
        after = rows[-1].id if rows else None
        page = await me.notifications(after=after, limit=min(PAGE, limit - len(rows)), ended=ended)
        rows += page.rows
        if page.more is None:
            break
    return rows


async def _whole(me: "Client", id: str) -> "tuple[NotificationRow, bytes]":
    """Its row, and its octets as they came."""
    import msgspec

    from immpd.model.notification import NotificationRow
    from immpd.protocol.commands import PushShow
    from immpd.protocol.connection import Block

    row: NotificationRow | None = None
    octets = b""
    async with me.stream(PushShow(id=UUID(id))) as items:
        async for item in items:
            if isinstance(item, Block):
                octets += item.octets
            else:
                row = msgspec.json.decode(item.text, type=NotificationRow)
    if row is None:
        raise NotThere(f"There is no notification {id}")
    return row, octets


def _buttons(row: "NotificationRow") -> str:
    return " ".join(f"[{action.id}: {action.label}]" for action in row.actions)
