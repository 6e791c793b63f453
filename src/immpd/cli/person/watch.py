"""``immp watch``."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from .common import OK, Common, at_least_one, run, session

if TYPE_CHECKING:
    from immpd.client import Client, Event
    from immpd.model.imid import Imid

_SWITCH = Parameter(negative=())
_QUIET = ("watching", "alive")


def watch(
    *paths: str,
    name: str = "",
    since: str | None = None,
    ack: Annotated[bool, _SWITCH] = False,
    count: Annotated[int | None, Parameter(validator=at_least_one)] = None,
    once: Annotated[bool, _SWITCH] = False,
    common: Common | None = None,
) -> int:
    """Show what happens in the mailbox, as it happens, until Ctrl-C.

    When the connection is lost it connects again and goes on where it was: nothing is missed, nothing comes twice.

    Parameters
    ----------
    paths
        Only these folders.
    name
        The server keeps a place in the timeline for each name on this device.
    since
        Begin behind this cursor; by default behind the last event that was acknowledged, else now.
    ack
        Acknowledge each event when it was shown: the next watch goes on behind it.
    count
        End after so many events.
    once
        End when the connection is lost, with exit code 4.
    """
    as_json = common is not None and common.json

    async def work() -> None:
        from immpd.client import Reconnecting

        from .naming import folder_path
        from .output import print_json

        left = count
        again = not once and Reconnecting(on_lost=_tell_lost)
        where = [folder_path(path) for path in paths]
        async with session(common) as me:
            for path in where:
                await _tell_missing(me, path)
            async for event in me.watch(*where, since=since, name=name, acknowledge=ack, reconnect=again):
                if as_json:
                    print_json(event)
                elif event.event not in _QUIET:
                    _show(event)
                _flush()
                if event.event in _QUIET:
                    continue
                if left is not None:
                    left -= 1
                    if left <= 0:
                        if ack:
                            await me.ack(event.cursor, name=name)
                        break

    try:
        return run(work())
    except KeyboardInterrupt:
        return OK


async def _tell_missing(me: "Client", path: "Imid") -> None:
    """A folder may be made later, and its name may be a slip: it is watched, and said."""
    from immpd.client import Refused

    from .common import tell

    try:
        await me.check(path)
    except Refused as error:
        if error.word == "NO-FOLDER":
            tell(f"There is no folder {path} yet, which is watched all the same; immp folders shows those there are")


def _tell_lost(error: Exception) -> None:
    from .common import describe_error, tell

    tell(f"{describe_error(error)}; connecting again until it succeeds")


def _flush() -> None:
    import sys

    sys.stdout.flush()


def _show(event: "Event") -> None:
    """One line for an event."""
    from immpd.model.message import sender_text
    from immpd.protocol.text import clean

    from .output import print_text

    tail = event.id[-8:]
    if event.event in ("mail", "copied"):
        who = sender_text(event.from_, event.author)
        text = f"{event.event}  {tail}  {event.folder}  {who}  {event.subject}"
    elif event.event == "moved":
        text = f"moved  {tail}  {event.from_folder} → {event.folder}"
    elif event.event == "flags":
        text = f"flags  {tail}  {event.folder}  {' '.join(event.flags) or '(none)'}"
    elif event.event == "notification":
        again = f" (again, {event.again})" if event.again else ""
        said = " ".join(event.body.split())
        buttons = " ".join(f"[{action.id}: {action.label}]" for action in event.actions)
        pieces = (f"notification  {tail}  {event.level}{again}  {event.from_}", event.title, said, buttons)
        text = "  ".join(filter(None, pieces))
    elif event.event == "notification-cleared":
        text = f"cleared  {tail}  {event.why}"
    elif event.event == "answer":
        text = f"answer  {event.push}  {event.by}  {event.action}"
    elif event.event == "item":
        mark = "!  " if event.level == "high" else ""
        edition = f"  (edition {event.edition})" if event.edition > 1 else ""
        text = f"item  {tail}  {event.node}  {mark}{event.title}{edition}"
    elif event.node:
        text = "  ".join(filter(None, (event.event, tail, event.node, event.status)))
    elif event.was:
        text = f"{event.event}  {event.was} → {event.folder}"
    elif event.event == "resync":
        text = "resync  Older events are no longer known; list again"
    else:
        text = "  ".join(filter(None, (event.event, tail, event.folder)))
    print_text(clean(text))
