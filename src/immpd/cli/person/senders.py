"""``immp grant``, ``requests`` and ``origins``: who may notify one."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from .common import Common, run, session


def add_grant(
    *,
    for_: Annotated[str | None, Parameter(name="--for")] = None,
    uses: int | None = None,
    until: str | None = None,
    common: Common | None = None,
) -> int:
    """Make an address to hand out.

    Parameters
    ----------
    for_
        The domain that may use it; by default the first that does.
    uses
        How often, 1 to 1000; by default once.
    until
        When it ends: 2026-01-31T08:00, or +7d.
    """
    from .time import moment_of

    ends = None if until is None else moment_of(until, datetime.now(UTC))

    async def work() -> None:
        from .output import print_json, say

        async with session(common) as me:
            address = await me.add_grant(domain=for_, uses=uses, until=ends)
        if common is not None and common.json:
            print_json({"address": address})
        else:
            say(address)

    return run(work())


def list_grants(*, common: Common | None = None) -> int:
    """List the grants that can still be used."""

    async def work() -> None:
        from .output import date_text, now_of, plural, print_json, print_table

        async with session(common) as me:
            rows = await me.grants()
        if common is not None and common.json:
            for row in rows:
                said = {"address": row.address, "domain": row.domain, "uses": row.uses}
                print_json({**said, "until": row.until, "created": row.created})
            return
        now = now_of(common)
        cells = []
        for row in rows:
            until = f"until {date_text(row.until, now)}" if row.until else ""
            cells.append([row.address, row.domain or "any domain", plural(row.uses, "use"), until])
        print_table(cells, heads=("ADDRESS", "FOR", "LEFT", "UNTIL"), empty="You gave no grant that can still be used")

    return run(work())


def remove_grant(address: str, /, *, common: Common | None = None) -> int:
    """Take a grant back.

    Parameters
    ----------
    address
        The address that was handed out.
    """
    from immpd.model.imid import parse_imid

    imid = parse_imid(address)

    async def work() -> None:
        async with session(common) as me:
            _done((await me.remove_grant(imid)).text, common)

    return run(work())


def list_requests(*, common: Common | None = None) -> int:
    """List the strangers that wait for your answer."""

    async def work() -> None:
        from immpd.protocol.text import clean

        from .output import date_text, now_of, print_json, print_table, short_ids

        async with session(common) as me:
            rows = await me.requests()
        if common is not None and common.json:
            for row in rows:
                said = {"id": row.id, "origin": row.origin, "sender": row.sender}
                print_json({**said, "since": row.since, "title": row.text})
            return
        now = now_of(common)
        shown = short_ids(row.id for row in rows)
        cells = [[shown[row.id], date_text(row.since, now), row.origin, row.sender, row.text] for row in rows]
        print_table(
            [[clean(cell) for cell in row] for row in cells],
            heads=("ID", "SINCE", "DOMAIN", "SENDER", "SAYS"),
            empty="No stranger waits for your answer",
        )

    return run(work())


def accept(id: str, /, *, common: Common | None = None) -> int:
    """Let a stranger's domain notify you.

    Parameters
    ----------
    id
        The request's id, the end of it as the list shows it, or the domain that asks.
    """
    return _answer_request(id, True, common)


def decline(id: str, /, *, common: Common | None = None) -> int:
    """Refuse a stranger's domain.

    Parameters
    ----------
    id
        The request's id, the end of it as the list shows it, or the domain that asks.
    """
    return _answer_request(id, False, common)


def _answer_request(id: str, accepted: bool, common: Common | None) -> int:
    from .notifications import check_piece, matching

    if "." not in id:  # as every domain has one
        check_piece(id)

    async def work() -> None:
        async with session(common) as me:
            rows = await me.requests()
            by_origin = [row.id for row in rows if row.origin == id.lower()]
            where = by_origin[0] if by_origin else matching([row.id for row in rows], id, "requests")
            reply = await (me.accept_request(where) if accepted else me.decline_request(where))
            _done(reply.text, common)

    return run(work())


def list_origins(*, common: Common | None = None) -> int:
    """List whom you allowed or denied."""

    async def work() -> None:
        from .output import date_text, now_of, print_json, print_table

        async with session(common) as me:
            rows = await me.push_origins()
        if common is not None and common.json:
            for row in rows:
                print_json({"origin": row.origin, "allowed": row.allowed, "level": row.level, "since": row.since})
        else:
            now = now_of(common)
            print_table(
                [
                    [row.origin, f"up to {row.level}" if row.allowed else "denied", date_text(row.since, now)]
                    for row in rows
                ],
                heads=("WHO", "MAY", "SINCE"),
                empty="You allowed or denied nobody",
            )

    return run(work())


def allow(origin: str, /, *, level: str | None = None, common: Common | None = None) -> int:
    """Let a domain or a sender notify you.

    Parameters
    ----------
    origin
        A domain, or a sender's address.
    level
        The most urgent it may be: silent, low, normal, high or critical; by default high.
    """

    async def work() -> None:
        async with session(common) as me:
            _done((await me.allow_push(origin, level)).text, common)

    return run(work())


def deny(origin: str, /, *, common: Common | None = None) -> int:
    """Refuse a domain or a sender."""

    async def work() -> None:
        async with session(common) as me:
            _done((await me.deny_push(origin)).text, common)

    return run(work())


def forget(origin: str, /, *, common: Common | None = None) -> int:
    """Take such a decision back: it is a stranger again."""

    async def work() -> None:
        async with session(common) as me:
            _done((await me.forget_push(origin)).text, common)

    return run(work())


def _done(text: str, common: Common | None) -> None:
    from .notifications import tell_done

    tell_done(text, common)
