"""Commands about the session itself: CAPS, HELP, NOOP, WHO (docs/protocol.md, "Session")."""

from typing import Any

from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import Caps, Help, Noop, Who
from immpd.protocol.errors import Refused
from immpd.protocol.registry import COMMANDS, Command
from immpd.protocol.states import STATE_NAMES

from .session import Session, capabilities, handles

_DONE = replies.Ok()


@handles(Noop)
def noop(_: Session, __: Noop, ___: Any) -> replies.Ok:
    """Answer."""
    return _DONE


@handles(Caps)
def caps(session: Session, _: Caps, __: Any) -> replies.Capabilities:
    """The capabilities of the greeting."""
    return capabilities(session)


@handles(Who)
def who(session: Session, _: Who, __: Any) -> replies.Who:
    """Account, device, state."""
    account = session.principal.account
    return replies.Who(
        account=account.address if account else "",
        device=session.principal.device,
        state=session.state.name.lower(),
        domain=capabilities(session).d,
    )


@handles(Help)
def help_(session: Session, request: Help, _: Any) -> replies.Help:
    """All commands available here, a line each; or the one asked for, in full."""
    if not request.words:
        found = [command for command in COMMANDS if session.state in command.states]
        return replies.Help(lines=tuple(f"{command.synopsis()}" for command in found))
    asked = tuple(word.upper() for word in request.words)
    named = [c for c in COMMANDS if asked in (c.keywords, *c.aliases) or c.keywords[: len(asked)] == asked]
    if not named:
        raise Refused(Code.NOT_FOUND, "NO-HELP", f"There is no command {' '.join(asked)[:60]}; HELP lists them")
    return replies.Help(lines=tuple(line for command in named for line in describe(command)))


def describe(command: Command) -> list[str]:
    """The help of one command: how it is written, what it does, where it may be said, what it answers."""
    states = ", ".join(STATE_NAMES[state] for state in sorted(command.states))
    codes = " ".join(f"{code:d}" for code in command.codes)
    return [command.synopsis(), f"  {command.summary}", f"  For: {states}", f"  Answers: {codes}"]
