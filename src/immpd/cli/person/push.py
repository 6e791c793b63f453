"""``immp push``: notify people, from a terminal, a script or a device."""

import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from cyclopts import Parameter

from .common import REFUSED, Common, UsageError, describe_error, exit_code, run, session, tell

if TYPE_CHECKING:
    from immpd.model.notification import Action
    from immpd.protocol.replies import Delivered

    from .push_route import Card, Route

_SWITCH = Parameter(negative=())
_MANY = Parameter(negative=())
MAX_TAG = 64
MAX_READ = 1 << 20
"""Octets taken from standard input; a server takes fewer and says so."""


def push(
    *to: str,
    title: Annotated[str, Parameter(name=("--title", "-t"))] = "",
    level: Annotated[str | None, Parameter(name=("--level", "-l"))] = None,
    body: str | None = None,
    action: Annotated[tuple[str, ...], _MANY] = (),
    answer: Annotated[tuple[str, ...], _MANY] = (),
    icon: str = "",
    tag: str | None = None,
    id: UUID | None = None,
    ttl: str | None = None,
    at: str | None = None,
    feed: Annotated[str | None, Parameter(name="--from")] = None,
    retract: UUID | None = None,
    token_file: Path | None = None,
    server: str | None = None,
    fingerprint: str | None = None,
    direct: Annotated[bool, _SWITCH] = False,
    spool: Path | None = None,
    flush: Annotated[bool, _SWITCH] = False,
    timeout: str = "60s",
    common: Common | None = None,
) -> int:
    """Notify people; the text is read from standard input unless --body gives it.

    Parameters
    ----------
    to
        Whom: name@domain, or a grant's address.
    title
        What it is about, in a line.
    level
        How urgent: silent, low, normal, high or critical.
    body
        The text, instead of standard input; "" for none.
    action
        A button that opens a page: LABEL=URL; may be given several times.
    answer
        A button whose press comes back as an answer: LABEL, or ID=LABEL; may be given several times.
    icon
        URL of a picture, https.
    tag
        What is still open under the same tag is replaced by this.
    id
        Its UUID: the same again is delivered once; with other words it replaces what was sent.
    ttl
        How long it is kept: 90s, 15m, 7d; by default 7d. It counts from now, or from --at.
    at
        When it is shown: 2026-01-31T08:00, 2026-01-31T08:00:00Z or +2h.
    feed
        A feed of yours, in whose name it is sent: it reaches subscribers of the feed, and nobody else.
    retract
        Take back what was sent under this ID, instead of sending anything.
    token_file
        A file with a push token: no log-in is needed, and there is one recipient, its owner.
    server
        HOST:PORT of the server, with --token-file; by default the recipient's domain, port 1025.
    fingerprint
        The SHA-256 of the server's key, with --token-file; then no other is accepted.
    direct
        TLS from the first octet (port 1026), with --token-file.
    spool
        A folder of yours where the notification is kept when the server cannot take it now (exits 3 to 5, 75).
        The next immp push with this folder sends what waits there first; each is shown once. What is refused is
        set aside in its folder refused, with the reason.
    flush
        Send what waits in the --spool folder and is due, nothing new.
    timeout
        How long the server may be silent.
    """
    from .time import seconds_of

    patience = seconds_of(timeout)
    if flush:
        if spool is None or to or title or body is not None or retract is not None:
            raise UsageError("--flush sends what waits in a folder: immp push --spool DIR --flush")
        return _flush(spool, patience, common)
    if retract is not None:
        if to or title or body is not None:
            raise UsageError("--retract takes back and sends nothing: immp push --retract ID")
        return _retract(retract, common)
    route = _route(to, token_file, server, fingerprint, direct, common)
    text = _text(body, title)
    if not title and not text.strip():
        raise UsageError("There is nothing to say: give -t TITLE, --body TEXT, or a text on standard input")
    card = _card(
        title,
        text,
        _actions(action, answer),
        icon,
        level=level,
        tag=tag,
        id=id,
        ttl=ttl,
        at=at,
        feed=feed,
    )
    if spool is not None:
        return _by_spool(spool, card, to, route, patience, common)

    return run(_at_once(card, to, route, patience, common))


async def _at_once(card: "Card", to: tuple[str, ...], route: "Route", patience: int, common: Common | None) -> int:
    """Send it to all recipients, and tell what became of it."""
    from immpd.client import ConnectionLost

    from .push_route import in_time
    from .send import tell_delivered

    token = route.token()

    async def once() -> "Delivered":
        async with route.connect(to[0]) as me:
            return await in_time(card.push(me, to, token), patience)

    try:
        delivered = await once()
    except ConnectionLost:
        # Whether it was delivered nobody knows; with the same ID, once more is safe.
        delivered = await once()
    return tell_delivered(delivered, common)


def _by_spool(
    folder: Path, card: "Card", to: tuple[str, ...], route: "Route", patience: int, common: Common | None
) -> int:
    """Keep it, then send what waits and it."""
    from immpd.client.composing import imids_of
    from immpd.client.home import default_home

    from .profile import Profiles
    from .push_route import Route
    from .spool import Spool, SpoolFull
    from .spool_send import kept_now, send_kept

    folder = folder.absolute()
    if route.token() is None:
        route = Route(profile=Profiles(default_home()).load(route.profile or None)[0])
    several = [kept_now(card, str(one), route) for one in dict.fromkeys(imids_of(to))]

    async def work() -> int:
        from .spool_tell import tell_kept

        try:
            spool = Spool(folder)
            try:
                new = spool.add(several)
            except SpoolFull:
                await send_kept(spool, {}, patience)  # perhaps the server is there again: then there is room
                new = spool.add(several)
        except (OSError, SpoolFull) as error:
            return await _unkept(error, _at_once(card, to, route, patience, common))
        told = await send_kept(spool, dict(zip(new, several, strict=True)), patience)
        return tell_kept([told[name] for name in new], [told[name] for name in told if name not in new], common)

    return run(work())


async def _unkept(error: OSError | UsageError, sending: Coroutine[Any, Any, int]) -> int:
    """What cannot be kept, for the disk may be full, can still be sent: else nobody would hear of the disk."""
    from immpd.client import ClientError, Refused

    tell(f"It cannot be kept: {describe_error(error)}")
    try:
        return await sending
    except (ClientError, Refused, OSError) as problem:
        if exit_code(problem) == REFUSED:
            raise
        tell(describe_error(problem))
        raise error from None


def _flush(folder: Path, patience: int, common: Common | None) -> int:
    from .spool import Spool
    from .spool_send import send_kept

    spool = Spool(folder.absolute())

    async def work() -> int:
        from .spool_tell import tell_kept

        return tell_kept(list((await send_kept(spool, {}, patience)).values()), [], common)

    return run(work())


def _retract(id: UUID, common: Common | None) -> int:
    async def work() -> None:
        from .notifications import tell_done

        async with session(common) as me:
            tell_done((await me.retract(id)).text, common)

    return run(work())


def _route(
    to: tuple[str, ...],
    token_file: Path | None,
    server: str | None,
    fingerprint: str | None,
    direct: bool,
    common: Common | None,
) -> "Route":
    """What was said about the way; raises UsageError, ImidError."""
    from immpd.client.composing import imids_of

    from .login import read_fingerprint
    from .push_route import Route

    if not to:
        raise UsageError("Say whom to notify: immp push ADDRESS… -t TITLE")
    imids = imids_of(to)
    if token_file is None:
        if server is not None or fingerprint is not None or direct:
            raise UsageError("--server, --fingerprint and --direct go with --token-file; a log-in knows its server")
        return Route(profile=(common.profile or "") if common is not None else "")
    if len(imids) != 1 or not imids[0].is_bare:
        raise UsageError("A token notifies one recipient, its owner: name@domain")
    return Route(
        token_file=str(token_file.absolute()),
        server=server or "",
        fingerprint=read_fingerprint(fingerprint) if fingerprint is not None else "",
        direct=direct,
    )


def _card(
    title: str,
    text: str,
    actions: "tuple[Action, ...]",
    icon: str,
    *,
    level: str | None,
    tag: str | None,
    id: UUID | None,
    ttl: str | None,
    at: str | None,
    feed: str | None,
) -> "Card":
    """The notification, as far as it can be checked here; raises UsageError, NotificationError."""
    import msgspec

    from immpd.client import new_id
    from immpd.model import notification as model
    from immpd.model.characters import is_shown, shown
    from immpd.model.imid import parse_imid

    from .push_route import Card
    from .time import moment_of, seconds_of

    # Whatever reports in words of its own is heard: a title that is no line is made one.
    title = shown(" ".join(title.split()))
    if len(title) > model.MAX_TITLE:
        title = f"{title[: model.MAX_TITLE - 1]}…"
    if tag is not None and not (0 < len(tag) <= MAX_TAG and is_shown(tag)):
        raise UsageError(f"A tag has 1 to {MAX_TAG} printable characters")
    kind, body = "text/plain", text.encode()
    if actions or icon:
        kind, body = model.MEDIA_TYPE, msgspec.json.encode(model.Card("", text, icon, actions))
        model.read_card(body)
    return Card(
        id=id or new_id(),
        title=title,
        type=kind,
        body=body,
        level=None if level is None else model.read_level(level).name.lower(),
        ttl=None if ttl is None else seconds_of(ttl),
        at=None if at is None else moment_of(at, datetime.now(UTC)).isoformat(timespec="seconds"),
        tag=tag,
        node="" if feed is None else str(parse_imid(feed).as_node()),
    )


def _actions(pages: tuple[str, ...], answers: tuple[str, ...]) -> "tuple[Action, ...]":
    """Buttons, the answers first; each has an id of its own."""
    from immpd.model.notification import Action, is_action_id

    made: dict[str, Action] = {}
    for word in answers:
        id, equals, label = word.partition("=")
        named = bool(equals) and is_action_id(id)
        label = label if named else word
        id = id if named else _slug(label, len(made))
        made[id if id not in made else f"answer-{len(made) + 1}"] = Action(id, label)
    for word in pages:
        label, equals, url = word.partition("=")
        if not equals:
            raise UsageError(f"{word!r} is no button: write --action LABEL=URL")
        id = _slug(label, len(made))
        made[id if id not in made else f"answer-{len(made) + 1}"] = Action(id, label, url)
    return tuple(Action(id, one.label, one.url) for id, one in made.items())


def _slug(label: str, number: int) -> str:
    """An id from what stands on a button: ``Not now`` is ``not-now``."""
    words = "".join(one if one.isascii() and one.isalnum() else " " for one in label.lower()).split()
    return "-".join(words)[:32].strip("-") or f"answer-{number + 1}"


def _text(body: str | None, title: str) -> str:
    """The text: given, or from standard input where that is no terminal that a title makes superfluous."""
    if body is not None:
        return body
    if sys.stdin is None or (sys.stdin.isatty() and title):
        return ""
    octets = sys.stdin.buffer.read(MAX_READ)
    # What a machine reports may be in any encoding; a report with a sign that nobody can read is still one.
    return octets.decode(errors="replace").rstrip("\n")
