"""``immp subscribe``, ``subscriptions``, ``unsubscribe``, ``items``."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from .common import Common, UsageError, at_least_one, run, session

if TYPE_CHECKING:
    from immpd.client import Event

_SWITCH = Parameter(negative=())


def subscribe(
    node: str,
    /,
    *,
    push: Annotated[bool, _SWITCH] = False,
    mail: Annotated[bool, _SWITCH] = False,
    digest: Literal["hourly", "daily"] | None = None,
    folder: Annotated[str | None, Parameter(name=("--folder", "-f"))] = None,
    mute: bool | None = None,
    seen: bool | None = None,
    common: Common | None = None,
) -> int:
    """Subscribe to a feed, or change how you get it.

    Parameters
    ----------
    node
        The feed, or a link to it: immp://newsletter/updates@website.com?subscribe.
    push
        As notifications.
    mail
        As messages.
    digest
        As a message every hour or day that names what was published.
    folder
        Where its messages go; by default INBOX.
    mute
        Show nothing as it happens; immp items has it all the same. --no-mute takes it back.
    seen
        The publisher may count you among those who saw an item (immp items --dismiss). --no-seen takes it back.
    """
    if push + mail + (digest is not None) > 1:
        raise UsageError("--push, --mail and --digest exclude each other")
    form: Literal["notification", "message"] | None = "notification" if push else "message" if mail else None

    async def work() -> None:
        from immpd.model.imid import parse_imid

        from .naming import folder_path
        from .output import print_json, print_text

        name = parse_imid(node).as_node()
        path = None if folder is None else folder_path(folder)
        async with session(common) as me:
            before = {f"{row.node}@{row.origin}" for row in await me.subscriptions()}
            done = await me.subscribe(name, form=form, digest=digest, folder=path)
            there = name.address in before
            if mute is not None or seen is not None or (there and (form or digest or path)):
                await me.set_subscription(name, form=form, digest=digest, folder=path, muted=mute, seen=seen)
        if common is not None and common.json:
            print_json({"id": done.id, "node": name.address, "title": done.text, "state": done.state or "active"})
        elif done.state:
            print_text(f"{done.text}: the owner has to let you in")
        else:
            print_text(f"{done.text}: subscribed; immp unsubscribe {name} leaves")

    return run(work())


def subscriptions(*, common: Common | None = None) -> int:
    """List your subscriptions: where each comes from, since when, how much it brings."""

    async def work() -> None:
        from immpd.protocol.text import clean

        from .output import date_text, now_of, print_json, print_table

        async with session(common) as me:
            rows = await me.subscriptions()
        if common is not None and common.json:
            for row in rows:
                print_json(row)
            return
        now = now_of(common)
        cells = []
        for row in rows:
            how = "waits to be let in" if row.state == "waiting" else row.form
            how += ", muted" if row.muted else ""
            how += f" to {row.folder}" if row.folder else ""
            lately = f"{row.items} in 30 days" + (f", last {date_text(row.last, now)}" if row.last else "")
            cells.append(
                [clean(row.title), f"{row.node}@{row.origin}", how, f"since {date_text(row.since, now)}", lately]
            )
        heads = ("TITLE", "FEED", "HOW", "SINCE", "ITEMS")
        print_table(cells, heads=heads, share=(0, 1), empty="You subscribe to nothing")

    return run(work())


def unsubscribe(name: str, /, *, common: Common | None = None) -> int:
    """Leave a feed, by its name or the subscription's id.

    Parameters
    ----------
    name
        newsletter/updates@website.com, or the id that immp subscriptions --json shows.
    """

    async def work() -> None:
        from .output import print_json, print_text

        async with session(common) as me:
            done = await me.unsubscribe(name)
        if common is not None and common.json:
            print_json({"id": done.id, "title": done.text})
        else:
            print_text(f"{done.text}: left")

    return run(work())


def items(
    node: str | None = None,
    /,
    *,
    since: str | None = None,
    limit: Annotated[int | None, Parameter(name=("--limit", "-n"), validator=at_least_one)] = None,
    dismiss: str | None = None,
    common: Common | None = None,
) -> int:
    """Read what your feeds published, or clear an item on every device.

    Parameters
    ----------
    node
        Only this feed.
    since
        Only what lies behind this cursor.
    limit
        At most so many.
    dismiss
        An item that you are done with: FEED#ID, with the id or the end of it.
    """

    async def work() -> None:
        from .naming import split_item, whole_item
        from .output import print_json, print_text

        feed, piece = (None, "") if dismiss is None else split_item(dismiss)
        async with session(common) as me:
            if feed is not None:

                async def ids() -> AsyncIterator[str]:
                    async for event in me.items(node=feed):
                        yield event.id

                id = await whole_item(feed, piece, ids)
                done = await me.dismiss_item(feed, id)
                if common is not None and common.json:
                    print_json({"id": str(id), "node": feed.address})
                else:
                    print_text(done.text)
                return
            async for event in me.items(since, node=node, limit=limit):
                if common is not None and common.json:
                    print_json(event)
                elif event.event == "item":
                    _show(event, common)

    return run(work())


def _show(event: "Event", common: Common | None) -> None:
    from immpd.protocol.text import clean

    from .output import now_of, print_text, size_text, time_text

    print_text(clean(f"{event.title}  ({event.node}, {time_text(event.date, now_of(common))})"))
    try:
        if not event.type.startswith("text/"):
            raise ValueError
        text = event.octets.decode()
    except ValueError:
        text = f"{event.type}, {size_text(event.length)}"
    if text:
        print_text("\n" + text.rstrip("\n"))
    print_text("")
