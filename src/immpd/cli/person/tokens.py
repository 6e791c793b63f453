"""``immp token``: secrets with which a device or script may notify one, and nothing else."""

from pathlib import Path

from .common import Common, UsageError, run, session, tell


def add(
    name: str,
    /,
    *,
    level: str | None = None,
    every: str | None = None,
    out: Path | None = None,
    common: Common | None = None,
) -> int:
    """Make a token; it is shown, or written into a file, this once.

    Parameters
    ----------
    name
        What you call it: the notifications come from you/name@domain.
    level
        The most urgent it may be: silent, low, normal, high or critical; by default critical.
    every
        The device promises a sign of life in each such span (1d, 15m): you are told when it falls silent.
    out
        Write it into this file, which must not exist yet and which you alone can read.
    """
    from .time import seconds_of

    seconds = None if every is None else seconds_of(every)
    file = None if out is None else out.absolute()
    if file is not None and (file.exists() or not file.parent.is_dir()):
        raise UsageError(f"{out}: {'there is such a file already' if file.exists() else 'there is no such folder'}")

    async def work() -> None:
        from immpd.client import ClientError, Refused
        from immpd.net.private_file import write_private_file

        from .output import print_json, say

        async with session(common) as me:
            token = await me.add_push_token(name, level=level, every=seconds)
            if file is not None:
                try:
                    write_private_file(file, f"{token}\n".encode(), replace=False)
                except OSError:
                    try:  # a secret that nobody has seen is of no use to anybody
                        await me.remove_push_token(name)
                    except (ClientError, Refused):
                        tell(f"The token {name} stays behind; immp token remove {name} removes it")
                    raise
        address, server, fingerprint = _way(common)
        if common is not None and common.json:
            said = {"name": name, "file": str(out)} if out is not None else {"name": name, "token": token}
            print_json({**said, "address": address, "server": server, "fingerprint": fingerprint})
            return
        say(f"{name} is in {out}" if out is not None else token)
        words = f"push {address} --token-file FILE" + (f" --server {server}" if server else "")
        tell(f"The device says: immp {words} --fingerprint {fingerprint}")

    return run(work())


def _way(common: Common | None) -> tuple[str, str, str]:
    """Whom a device notifies, at which server, and the server's key."""
    from immpd.client.connecting import account_of
    from immpd.client.home import default_home
    from immpd.net.fingerprints import KnownPeers

    from .profile import Profiles

    home = default_home()
    _, profile = Profiles(home).load((common or Common()).profile)
    account = account_of(profile.address)
    keys = KnownPeers(home).keys(account.domain)
    return account.address, profile.server, keys[-1].fingerprint if keys else ""


def list_all(*, common: Common | None = None) -> int:
    """List your tokens, without their secrets."""

    async def work() -> None:
        from .output import date_text, now_of, print_json, print_table

        async with session(common) as me:
            rows = await me.push_tokens()
        if common is not None and common.json:
            for row in rows:
                said = {"name": row.name, "level": row.level, "every": row.every}
                print_json({**said, "created": row.created, "used": row.used})
            return
        now = now_of(common)
        cells = []
        for row in rows:
            every = f"every {row.every} s" if row.every else ""
            used = f"used {date_text(row.used, now)}" if row.used else "never used"
            cells.append([row.name, row.level, every, used])
        print_table(cells, heads=("NAME", "UP TO", "PROMISES", "USED"), empty="You have no token")

    return run(work())


def remove(name: str, /, *, common: Common | None = None) -> int:
    """Remove a token: it can do nothing from now on."""

    async def work() -> None:
        from .notifications import tell_done

        async with session(common) as me:
            tell_done((await me.remove_push_token(name)).text, common)

    return run(work())
