"""``immp settings``: what one sets for one's account."""

import sys

from .common import Common, UsageError, run, session


def settings(*changes: str, common: Common | None = None) -> int:
    """Show what you set for your account, or change it: immp settings push.repeat=300.

    Parameters
    ----------
    changes
        NAME=VALUE sets, NAME= takes back. "push.quiet=22:00-07:00 Europe/Berlin": notifications wait.
        push.repeat=SECONDS: an urgent one comes again until you answer. push.promote=SECONDS: what you do not
        answer becomes a message. push.seen=yes: senders may know that you dismissed what they sent.
    """
    wanted = [change.partition("=") for change in changes]
    for name, equals, _ in wanted:
        if not (name and equals):
            raise UsageError(f"{name!r} says no value: write NAME=VALUE, or NAME= to take it back")

    async def work() -> None:
        from immpd.client import Refused

        from .output import print_json, print_table
        from .words import like

        async with session(common) as me:
            for name, _, value in wanted:
                try:
                    await me.set_setting(name, value)
                except Refused as error:
                    if error.word != "NO-SETTING":
                        raise
                    known = error.text.rpartition("there are ")[2].split(", ")
                    raise UsageError(f"{error.text}{like(name, known)}") from None
            there = await me.settings()
        if common is not None and common.json:
            print_json(there)
        else:
            not_set = "(not set)" if sys.stdout.isatty() else ""
            print_table(
                [[name, value or not_set] for name, value in there.items()],
                heads=("SETTING", "VALUE"),
                empty="You set nothing; immp settings --help tells what there is",
            )

    return run(work())
