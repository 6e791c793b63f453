"""``immp sessions``: where one is logged in."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from .common import Common, NotThere, UsageError, run, session, tell

if TYPE_CHECKING:
    from immpd.client import Client


def list_all(*, common: Common | None = None) -> int:
    """List where your account is logged in, with the last use of each."""

    async def work() -> None:
        from .output import date_text, now_of, print_json, print_table, short_ids

        async with session(common) as me:
            rows = [row async for row in me.sessions()]
        if common is not None and common.json:
            for row in rows:
                print_json(row)
            return
        now = now_of(common)
        shown = short_ids(row.id for row in rows)
        cells = []
        for row in rows:
            used = "this command" if row.own else date_text(row.used, now)
            cells.append([shown[row.id], row.device or "(no name)", row.address, date_text(row.since, now), used])
        print_table(cells, heads=("ID", "DEVICE", "ADDRESS", "SINCE", "USED"))

    return run(work())


def end(
    *ids: str,
    all: Annotated[bool, Parameter(negative=())] = False,
    common: Common | None = None,
) -> int:
    """End sessions; who has the password can log in again.

    Parameters
    ----------
    ids
        Their ids, or the ends of them as the list shows them.
    all
        All that are open.
    """
    if bool(ids) == all:
        raise UsageError("Say which session: immp sessions end ID, or --all")

    async def work() -> None:
        from .notifications import tell_done

        async with session(common) as me:
            if all:
                ended = (await me.end_other_sessions()).ended
            else:
                ended = sum([(await me.end_session(id_)).ended for id_ in await _whole(me, ids)])
        tell_done(f"{ended} session{'s' * (ended != 1)} ended", common)
        if ended:
            tell("Who has the password can log in again; immp passwd changes it")

    return run(work())


async def _whole(me: "Client", pieces: tuple[str, ...]) -> list[str]:
    """The whole ids that these mean."""
    open_ids = [row.id async for row in me.sessions()]
    found = []
    for piece in pieces:
        matches = [id_ for id_ in open_ids if piece and id_.endswith(piece.lower())]
        if len(matches) != 1:
            several = f"means {len(matches)} sessions" if matches else "is no open session"
            raise NotThere(f"{piece} {several}; immp sessions shows them")
        found.append(matches[0])
    return found
