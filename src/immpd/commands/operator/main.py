"""The command ``immpd``: its sub-commands, its help, and how it ends.

Rules: sub-commands are named here and imported when they are called; an error is one line on standard
error and an exit code that scripts can rely on.
"""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

HELP = """The IMMP server and its administration.

Begin with: immpd init --data DIR --domain DOMAIN, then immpd serve --data DIR

Exit codes: 0 done; 1 failed or refused; 2 the command line or the configuration is wrong;
75 not possible now, try again later.
"""

COMMANDS = {
    "init": ("serve:init", "Make a data folder for the domains to serve."),
    "serve": ("serve:serve", "Serve until SIGTERM; SIGHUP reads the certificates again."),
    "backup": ("backup:backup", "Copy the data folder, checked, while the server runs."),
    "restore": ("backup:restore", "Put a backup back as a new data folder."),
    "check": ("account:check", "Let the store verify itself."),
    "route": ("route:route", "Show where another domain is found: addresses and ports in the order of trying."),
    "fingerprint": (
        "fingerprint:fingerprint",
        "Print the SHA-256 of the public key that the server shows for each domain.",
    ),
}
ACCOUNT_COMMANDS = {
    "add": ("account:add", "Make an account and its mailbox."),
    "list": ("account:list_", "List all accounts."),
    "passwd": ("account:passwd", "Set an account's password; it ends the account's sessions."),
    "disable": ("account:disable", "Refuse log-in and delivery; its mail stays."),
    "remove": ("account:remove", "Remove an account and all that it has, for good."),
    "enable": ("account:enable", "Take a disable back."),
}
SESSION_COMMANDS = {
    "list": ("sessions:list_", "List where accounts, or one, are logged in, with the last use of each."),
    "end": ("sessions:end", "End a session, or all of an account."),
}
CONFIG_COMMANDS = {
    "show": ("config:show", "Show every setting, its value and where it comes from."),
    "check": ("config:check", "Read the configuration and say whether it can be used."),
}
GROUPS = {
    "account": ("Add, list, disable and remove accounts, and set passwords.", ACCOUNT_COMMANDS),
    "sessions": ("See where accounts are logged in, and end it.", SESSION_COMMANDS),
    "config": ("Show and check the configuration.", CONFIG_COMMANDS),
}


def make_app() -> App:
    """The application with all sub-commands, none of which is imported yet."""
    from immpd import __version__
    from immpd.cli.person.main import default_shown

    app = App(
        name="immpd",
        help=HELP,
        version=__version__,
        result_action="return_value",
        default_parameter=Parameter(show_default=default_shown),
    )
    for name, (place, words) in COMMANDS.items():
        app.command(f"immpd.commands.operator.{place}", name=name, help=words)
    for name, (words, commands) in GROUPS.items():
        group = App(name=name, help=words, result_action="return_value")
        for sub, (place, about) in commands.items():
            group.command(f"immpd.commands.operator.{place}", name=sub, help=about)
        app.command(group)
    return app


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code and never raises."""
    from immpd.cli.person.groups import with_list

    from .common import USAGE, exit_code, tell

    try:
        code = make_app()(with_list(list(arguments), ("account", "sessions")), exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        from immpd.cli.person.main import usage_text

        tell(usage_text(error, "immpd"))
        return USAGE
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough, as head does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        found, words = exit_code(error)
        if found is None:
            raise
        tell(words)
        return found
    return code if isinstance(code, int) else 0
