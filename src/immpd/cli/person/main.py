"""The command ``immp``: its sub-commands, its help, and how it ends.

Rule: sub-commands are named here and imported when they are called (``immp ls`` <= 300 ms).
"""

import os
import sys
from collections.abc import Sequence
from uuid import UUID

from cyclopts import App, CoercionError, CycloptsError, MissingArgumentError, Parameter, UnusedCliTokensError

from .common import INTERRUPTED, OK, USAGE, describe_error, exit_code, tell
from .groups import GROUPS, completed

HELP = """Mail and messages by IMMP, from the command line.

Begin with: immp login ADDRESS

Exit codes: 0 done; 1 refused, or not there; 2 the command line, or a file that it names, is wrong;
3 not logged in, or the log-in failed; 4 the server cannot be reached, or the connection was lost;
5 the server shows another key than the known one; 75 not possible now, try again later.
"""

COMMANDS = {
    "login": ("login:login", "Log in and keep the log-in for the other commands."),
    "send": ("send:send", "Send a message; its text is read from standard input, or written in your editor."),
    "push": ("push:push", "Notify people; the text is read from standard input unless --body gives it."),
    "ls": ("read:ls", "List a folder's messages, the newest first; / lists the folders."),
    "read": ("read:read", "Read messages."),
    "reply": (
        "answer:reply",
        "Answer a message; the text is read from standard input, or written in your editor.",
    ),
    "forward": (
        "answer:forward",
        "Send a message on with its attachments, its text below yours: immp forward ID ADDRESS….",
    ),
    "thread": (
        "answer:thread",
        "Show the conversation around a message, from all folders, the oldest first.",
    ),
    "flag": ("change:flag", "Set and clear flags: immp flag 1a2b3c4d +FLAGGED -READ +todo."),
    "mv": ("change:mv", "Move messages into another folder: immp mv ID… FOLDER."),
    "cp": ("change:cp", "Put messages into a further folder: immp cp ID… FOLDER."),
    "rm": ("change:rm", "Delete messages: into TRASH, or with --purge for good."),
    "folders": ("read:folders", "List the folders with their unread and total counts."),
    "publish": ("publish:publish", "Publish an item; its text is read from standard input."),
    "subscribe": ("subscribe:subscribe", "Subscribe to a feed, or change how you get it."),
    "subscriptions": (
        "subscribe:subscriptions",
        "List your subscriptions: where each comes from, since when, how much it brings.",
    ),
    "unsubscribe": ("subscribe:unsubscribe", "Leave a feed, by its name or the subscription's id."),
    "items": ("subscribe:items", "Read what your feeds published, or clear an item on every device."),
    "settings": (
        "settings:settings",
        "Show what you set for your account, or change it: immp settings push.repeat=300.",
    ),
    "watch": ("watch:watch", "Show what happens in the mailbox, as it happens, until Ctrl-C."),
    "whoami": ("login:whoami", "Ask the server who you are."),
    "passwd": ("password:passwd", "Change the password; it ends what is logged in elsewhere."),
    "logout": ("login:logout", "Forget a log-in on this machine."),
    "do": ("wire:do", "Run commands of the protocol: immp do MBOX INDEX /inbox LIMIT 3 +JSON."),
    "raw": ("wire:raw", "Speak the protocol by hand: what you type is sent, what the server says is shown."),
}
"""Name: where it is, and its line in the list; a test compares the line with the command's own words."""
EPILOGUES = {
    "push": "Exit codes: 0 delivered; 1 refused, which with --spool is set aside; 2 the command line, or a file that "
    "it names, is wrong, or the spool is full. The others are kept with --spool, to be sent later: 3 the log-in or the "
    "token is not accepted; 4 the server is away; 5 it shows another key than the known one, or an unknown one to a "
    "token; 75 not now: the recipient has not answered yet whether you may, or too much came at once."
}
"""What stands below a command's options."""
FOLDER_COMMANDS = {
    "add": ("change:add_folder", "Make a folder, and those above it where they are missing."),
    "rename": ("change:rename_folder", "Give a folder, with all below it, another name or place."),
    "rm": ("change:remove_folder", "Remove an empty folder."),
    "ls": ("read:folders", "List the folders with their unread and total counts."),
}
FEED_COMMANDS = {
    "create": ("publish:create", "Make a feed under your own name: immp feed create YOU/NAME@DOMAIN."),
    "set": ("publish:change", "Change a feed; the options are those of create."),
    "ls": ("publish:ls", "List the feeds that you own or may publish on."),
    "stats": ("publish:stats", "Show a feed's newest items and how many subscribers have each."),
    "members": ("publish:members", "List whom a feed knows; or add, accept and remove people."),
    "accept": ("publish:accept", "Publish an item that waits for you: immp feed accept FEED#ID."),
    "retract": ("publish:retract", "Take an item back, or decline one that waits: immp feed retract FEED#ID."),
    "remove": ("publish:remove", "Remove a feed with all its items; its subscribers are told."),
}


KINDS = {int: "whole number", UUID: "UUID"}
"""What a value is not, in words."""


SYNONYMS = {
    "add": ("create", "make", "mk", "new", "mkdir"),
    "create": ("add", "make", "mk", "new"),
    "folder": ("mkdir",),
    "remove": ("rm", "delete", "del"),
    "rm": ("remove", "delete", "del"),
    "list": ("ls", "show"),
    "ls": ("list", "show", "dir"),
    "mv": ("move",),
    "cp": ("copy",),
    "rename": ("mv", "move"),
    "read": ("show", "cat", "fetch"),
    "folders": ("mailboxes",),
    "passwd": ("password",),
    "show": ("read", "cat"),
}
"""What somebody may write for a command who knows another program, or another of our groups: it is suggested."""


def make_app() -> App:
    """The application with all sub-commands, none of which is imported yet."""
    from immpd import __version__

    app = App(
        name="immp",
        help=HELP,
        version=__version__,
        result_action="return_value",
        default_parameter=Parameter(show_default=default_shown),
    )
    folder = App(name="folder", help="Make, rename, remove and list folders.", result_action="return_value")
    feed = App(name="feed", help="Make, change and look after feeds of your own.", result_action="return_value")
    for name, (place, words) in COMMANDS.items():
        _add(app, name, place, words)
        if name == "folders":
            app.command(folder)
        if name == "publish":
            app.command(feed)
    for name, (place, words) in FOLDER_COMMANDS.items():
        _add(folder, name, place, words)
    for name, (place, words) in FEED_COMMANDS.items():
        _add(feed, name, place, words)
    for group, (about, commands) in GROUPS.items():
        inner = App(name=group, help=about, result_action="return_value")
        app.command(inner)
        for name, (place, words) in commands.items():
            _add(inner, name, place, words)
    return app


def _add(app: App, name: str, place: str, words: str) -> None:
    place = f"immpd.cli.person.{place}"
    app.command(place, name=name, help=words, help_epilogue=EPILOGUES.get(name), synonym=SYNONYMS.get(name))


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code and never raises."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = make_app()(completed(list(arguments)), exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        tell(usage_text(error, "immp"))
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough, as head does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        found = exit_code(error)
        if found is None:
            if "IMMP_DEBUG" in os.environ:
                raise
            tell(f"something nobody foresaw: {type(error).__name__}: {error} (IMMP_DEBUG=1 shows where)")
            return 70  # EX_SOFTWARE
        tell(_one_line(describe_error(error)))
        return found
    return code if isinstance(code, int) else OK


def usage_text(error: CycloptsError, program: str) -> str:
    """What is wrong with a command line, in one line, and which help tells more."""
    chain = " ".join((program, *(error.command_chain or ())))
    if isinstance(error, UnusedCliTokensError):
        text = f"{chain} has no use for {', '.join(error.unused_tokens or ())}"
    elif isinstance(error, MissingArgumentError) and error.argument is not None and not error.argument.tokens:
        # What was written nearly like it is named with it.
        _, nearly, suggestion = str(error).partition("Did you mean")
        text = f"{chain} needs {error.argument.name}{'. Did you mean' * bool(nearly)}{suggestion}"
    elif isinstance(error, CoercionError) and error.token is not None and error.target_type in KINDS:
        place = error.token.keyword or (error.argument.name if error.argument is not None else "")
        text = f"{place}: {error.token.value} is no {KINDS[error.target_type]}".removeprefix(": ")
    else:
        # A suggestion is enough; of all commands --help has a list.
        text = str(error).partition("Available commands:")[0]
    return f"{_one_line(text).rstrip('.')} ({chain} --help tells more)"


def _one_line(text: str) -> str:
    from immpd.protocol.text import clean

    return clean(" ".join(text.split()))


def default_shown(value: object) -> object:
    """What the help says of a default: nothing where it is nothing."""
    return None if value in ((), "", None, False) else value
