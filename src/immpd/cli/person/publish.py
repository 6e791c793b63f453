"""``immp publish``, and a feed of one's own: ``immp feed create|set|ls|stats|members|accept|retract|remove``."""

from collections.abc import AsyncIterator
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints
from uuid import UUID

from cyclopts import Parameter

from immpd.model.feed import MOST_KEPT, OPTIONS, NodeOptions

from .common import Common, UsageError, at_least_one, run, session

if TYPE_CHECKING:
    from immpd.client import Client
    from immpd.model.imid import Imid
    from immpd.protocol.replies import Published

_SWITCH = Parameter(negative=())


def publish(
    node: str,
    /,
    *,
    title: Annotated[str | None, Parameter(name=("--title", "-t"))] = None,
    message: Annotated[str | None, Parameter(name=("--message", "-m"))] = None,
    file: Annotated[Path | None, Parameter(name=("--file", "-f"))] = None,
    type: str | None = None,
    important: Annotated[bool | None, Parameter(negative=())] = None,
    id: UUID | None = None,
    common: Common | None = None,
) -> int:
    """Publish an item; its text is read from standard input.

    Parameters
    ----------
    node
        The feed: newsletter/updates@website.com.
    title
        What it is about; by default the feed's own title.
    message
        The text, instead of standard input.
    file
        A file, instead of standard input.
    type
        Its media type; by default text/plain, or what the file's name says.
    important
        Mark it as important.
    id
        The item's UUID: publishing again with the same one publishes once.
    """
    if message is not None and file is not None:
        raise UsageError("--message and --file exclude each other")
    body, kind = _body(message, file, type)

    async def work() -> None:
        from immpd.client import ConnectionLost, new_id

        item = id or new_id()
        for last in (False, True):
            try:
                async with session(common) as me:
                    done = await me.publish(node, title, body, type=kind, important=important, id=item)
                    break
            except ConnectionLost:
                # Whether it was published nobody knows; with the same ID, once more is safe.
                if last:
                    raise
        _tell(done, common)

    return run(work())


def _body(message: str | None, file: Path | None, kind: str | None) -> tuple[bytes, str | None]:
    """The octets and their media type; raises OSError."""
    import mimetypes
    import sys

    if message is not None:
        return message.encode(), kind
    if file is not None:
        return file.read_bytes(), kind or mimetypes.guess_type(file.name)[0]
    return sys.stdin.buffer.read(), kind


def _span(every: str | None) -> int | None:
    from .time import seconds_of

    return None if every is None else 0 if every == "0" else seconds_of(every)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _tell(done: "Published", common: Common | None) -> None:
    from .output import print_json, print_text

    (row,) = done.rows
    if common is not None and common.json:
        counts = {
            "accepted": row.accepted,
            "pending": row.pending,
            "no-subscription": row.no_subscription,
            "blocked": row.blocked,
            "over-quota": row.over_quota,
        }
        print_json({"id": done.id, "node": row.imid, "outcome": row.outcome, "text": row.text, **counts})
    elif row.outcome == "queued":
        print_text(f"{row.imid}: {row.text}")
    else:
        print_text(f"{row.imid}: {row.text} to {_counted(row.accepted + row.pending, 'subscriber')}")


# --- feeds of one's own


def _parameter(name: str, hint: Any) -> tuple[str, Any, Any]:
    """An option of a feed on the command line."""
    kind = str | None if name == "every" else get_args(hint)[0]
    spelling = ("--title", "-t") if name == "title" else f"--{name}"
    return name, Annotated[kind, Parameter(name=spelling, help=OPTIONS[name].help)], field(default=None)


if TYPE_CHECKING:
    FeedOptions = NodeOptions
else:
    _shown = [_parameter(*one) for one in get_type_hints(NodeOptions, include_extras=True).items()]
    FeedOptions = Parameter(name="*")(make_dataclass("FeedOptions", _shown, namespace={"__module__": __name__}))


def _options(given: FeedOptions | None) -> NodeOptions:
    values: dict[str, Any] = {} if given is None else {name: getattr(given, name) for name in OPTIONS}
    return NodeOptions(**values | {"every": _span(values.get("every"))})


def create(node: str, /, *, options: FeedOptions | None = None, common: Common | None = None) -> int:
    """Make a feed under your own name: immp feed create YOU/NAME@DOMAIN.

    Parameters
    ----------
    node
        Its name: newsletter/updates@website.com, for the account newsletter@website.com.
    """
    chosen = _options(options)

    async def work() -> None:
        async with session(common) as me:
            done = await me.create_node(node, chosen)
        _done(done.text, common)

    return run(work())


def change(node: str, /, *, options: FeedOptions | None = None, common: Common | None = None) -> int:
    """Change a feed; the options are those of create."""
    chosen = _options(options)

    async def work() -> None:
        async with session(common) as me:
            done = await me.set_node(node, chosen)
        _done(done.text, common)

    return run(work())


def remove(node: str, /, *, common: Common | None = None) -> int:
    """Remove a feed with all its items; its subscribers are told."""

    async def work() -> None:
        async with session(common) as me:
            done = await me.remove_node(node)
        _done(done.text, common)

    return run(work())


def ls(*, common: Common | None = None) -> int:
    """List the feeds that you own or may publish on."""

    async def work() -> None:
        from .output import print_json, print_table

        async with session(common) as me:
            rows = await me.nodes()
        if common is not None and common.json:
            for row in rows:
                print_json(row)
        else:
            print_table(
                [[row.node, row.text, _counted(row.subscribers, "subscriber"), row.access] for row in rows],
                heads=("FEED", "TITLE", "SUBSCRIBERS", "ACCESS"),
                share=(0, 1),
                empty="You have no feed",
            )

    return run(work())


def stats(
    node: str,
    /,
    *,
    limit: Annotated[int, Parameter(name=("--limit", "-n"), validator=at_least_one)] = 20,
    common: Common | None = None,
) -> int:
    """Show a feed's newest items and how many subscribers have each.

    Parameters
    ----------
    node
        The feed.
    limit
        At most so many items.
    """

    async def work() -> None:
        from immpd.protocol.text import clean

        from .output import date_text, now_of, print_json, print_table, say

        async with session(common) as me:
            shown = await me.node(node, limit=limit)
        if common is not None and common.json:
            for row in shown.rows:
                print_json(row)
            return
        counts = f"{_counted(shown.subscribers, 'subscriber')}, {_counted(shown.items, 'item')} kept"
        say(clean(f"{shown.node}  {shown.text}: {counts}"))
        now = now_of(common)
        cells = []
        for row in shown.rows:
            told = f"{row.accepted} have it"
            told += f", {row.pending} to come" if row.pending else ""
            told += f", {row.seen} saw it" if row.seen else ""
            missed = row.no_subscription + row.blocked + row.over_quota
            told += f", {missed} missed it" if missed else ""
            what = row.state if row.state != "published" else told
            cells.append([row.id[-8:], date_text(row.created, now), what, clean(row.text)])
        print_table(cells, heads=("ID", "DATE", "SUBSCRIBERS", "TITLE"), share=(3,), empty="Nothing is published here")

    return run(work())


def members(
    node: str,
    /,
    *,
    add: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    publisher: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    accept: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    remove: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    common: Common | None = None,
) -> int:
    """List whom a feed knows; or add, accept and remove people.

    Parameters
    ----------
    node
        The feed.
    add
        An address that may subscribe whatever the access; may be given several times.
    publisher
        An address that may publish, too.
    accept
        A subscriber who waits to be let in.
    remove
        An address to forget, and whose subscription ends.
    """

    async def work() -> None:
        from .output import date_text, now_of, print_json, print_table

        async with session(common) as me:
            for address in add:
                _done((await me.add_member(node, address)).text, common)
            for address in publisher:
                _done((await me.add_member(node, address, publisher=True)).text, common)
            for address in accept:
                _done((await me.accept_member(node, address)).text, common)
            for address in remove:
                _done((await me.remove_member(node, address)).text, common)
            if add or publisher or accept or remove:
                return
            rows = [row async for row in me.members(node)]
        if common is not None and common.json:
            for row in rows:
                print_json(row)
        else:
            now = now_of(common)
            print_table(
                [[row.address, row.role, date_text(row.since, now)] for row in rows],
                heads=("WHO", "ROLE", "SINCE"),
                empty="The feed knows nobody",
            )

    return run(work())


async def _whole(me: "Client", node: "Imid", piece: str) -> UUID:
    """The whole id of an item of one's own feed."""
    from .naming import whole_item

    async def ids() -> AsyncIterator[str]:
        for row in (await me.node(node, limit=MOST_KEPT)).rows:
            yield row.id

    return await whole_item(node, piece, ids)


def accept(item: str, /, *, common: Common | None = None) -> int:
    """Publish an item that waits for you: immp feed accept FEED#ID."""

    async def work() -> None:
        from .naming import split_item

        node, piece = split_item(item)
        async with session(common) as me:
            name = await _whole(me, node, piece)
            _tell(await me.accept_item(node, name), common)

    return run(work())


def retract(item: str, /, *, common: Common | None = None) -> int:
    """Take an item back, or decline one that waits: immp feed retract FEED#ID."""

    async def work() -> None:
        from .naming import split_item

        node, piece = split_item(item)
        async with session(common) as me:
            name = await _whole(me, node, piece)
            _done((await me.retract_item(node, name)).text, common)

    return run(work())


def _done(text: str, common: Common | None) -> None:
    from .output import print_json, print_text

    if common is not None and common.json:
        print_json({"text": text})
    else:
        print_text(text)
