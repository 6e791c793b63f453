"""``immpd sessions``: who is logged in where."""

from .common import OK, AsJson, Data, operator, print_json, run, say


def list_(address: str | None = None, /, *, data: Data, json: AsJson = False) -> int:
    """List where accounts, or one, are logged in, with the last use of each.

    Parameters
    ----------
    address
        Of this account alone: name@domain.
    """
    from uuid import UUID

    from immpd.cli.person.output import print_table
    from immpd.model.imid import parse_imid
    from immpd.protocol.commands import SessionList
    from immpd.protocol.replies import SessionRow

    account = None if address is None else parse_imid(address)

    cells = []

    def show(row: SessionRow) -> None:
        if json:
            print_json(row)
        else:
            cells.append([row.id, row.account, row.device or "(no name)", row.address, row.since, row.used])

    async def work() -> None:
        async with operator(data) as call:
            after: UUID | None = None
            while True:
                page = await call(SessionList(account=account, after=after))
                for row in page.rows:
                    show(row)
                if page.more is None:
                    break
                after = UUID(page.rows[-1].id)
        if not json:
            print_table(
                cells, heads=("ID", "ACCOUNT", "DEVICE", "ADDRESS", "SINCE", "USED"), empty="Nobody is logged in"
            )

    return run(work)


def end(session: str, /, *, data: Data, json: AsJson = False) -> int:
    """End a session, or all of an account.

    Parameters
    ----------
    session
        Its id as the list shows it, or an account.
    """
    from immpd.model.imid import parse_imid
    from immpd.protocol.commands import SessionEnd

    request = SessionEnd(session="*", account=parse_imid(session)) if "@" in session else SessionEnd(session=session)

    async def work() -> int:
        async with operator(data) as call:
            ended = (await call(request)).ended
        say(f"{ended} session{'s' * (ended != 1)} ended", json, ended=ended)
        return OK

    return run(work)
