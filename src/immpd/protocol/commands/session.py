"""Commands about the session itself."""

from typing import Annotated

from immpd.protocol import replies as r
from immpd.protocol.codes import Code
from immpd.protocol.registry import Positional, Request, Shape, command
from immpd.protocol.states import EVERY, TLS_UP, State


@command(
    "UPGRADE",
    states={State.CLEAR},
    shape=Shape.SESSION,
    codes=(Code.UPGRADING, Code.UPGRADE_REFUSED),
    alone=True,
    summary="Encrypt the connection",
)
class Upgrade(Request[r.Upgrading], frozen=True, kw_only=True):
    """Go over to TLS (docs/protocol.md, "Transport")."""

    method: Annotated[str, Positional, "method"]


@command("CAPS", states=TLS_UP, shape=Shape.NOW, codes=(Code.CAPABILITIES,), summary="What the server offers")
class Caps(Request[r.Capabilities], frozen=True, kw_only=True):
    """The capabilities line of the greeting again."""


@command("HELP", states=TLS_UP, shape=Shape.NOW, codes=(Code.OK, Code.NOT_FOUND), summary="How a command is written")
class Help(Request[r.Help], frozen=True, kw_only=True):
    """All commands, or one."""

    words: Annotated[tuple[str, ...], Positional, "command"] = ()


@command("NOOP", states=TLS_UP, shape=Shape.NOW, codes=(Code.OK,), summary="Do nothing, and say so")
class Noop(Request[r.Ok], frozen=True, kw_only=True):
    """Nothing; keeps a connection alive and measures a round trip."""


@command("WHO", states=TLS_UP, shape=Shape.NOW, codes=(Code.OK,), summary="Who this session is")
class Who(Request[r.Who], frozen=True, kw_only=True):
    """Account, device and state of this session."""


@command(
    "CANCEL",
    states=TLS_UP,
    shape=Shape.SESSION,
    codes=(Code.STOPPED, Code.NOT_STOPPED),
    summary="Stop a pipeline",
)
class Cancel(Request[r.Stopped], frozen=True, kw_only=True):
    """End the running and queued commands of a pipeline; acts when it is read."""

    pid: Annotated[str, Positional, "pipeline"]


@command("QUIT", states=EVERY, shape=Shape.SESSION, codes=(Code.GOODBYE,), summary="Finish and close")
class Quit(Request[r.Goodbye], frozen=True, kw_only=True):
    """Let running commands finish, drop unfinished messages, close."""
