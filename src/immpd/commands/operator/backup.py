"""``immpd backup`` and ``immpd restore``."""

from pathlib import Path

from immpd.cli.person.output import plural

from .common import AsJson, Data, run, say


def backup(target: Path, /, *, data: Data, json: AsJson = False) -> int:
    """Copy the data folder, keys included, into a new folder and check the copy; the server may run.

    Parameters
    ----------
    target
        A folder that is not there yet, or is empty.
    """
    from immpd.app.backup import back_up

    async def work() -> None:
        made = await back_up(data, target)
        words = f"Backed up to {target}, with the keys: keep it as secret as the data folder."
        checked = f"Checked: the database and {plural(made.bodies, 'file')} are sound."
        say(f"{words}\n{checked}", json, backup=str(target), files=made.bodies)

    return run(work)


def restore(backup: Path, /, *, data: Data, json: AsJson = False) -> int:
    """Put a backup back as a data folder that has no store yet.

    Parameters
    ----------
    backup
        The folder that immpd backup made.
    """
    from immpd.app.backup import put_back

    async def work() -> None:
        await put_back(backup, data)
        say(f"Put back as {data}, and checked. It has a new epoch: clients list again.", json, data=str(data))

    return run(work)
