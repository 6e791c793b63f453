"""The server's log: structlog on standard error, lines for people or JSON for machines.

Rules: an event is a name and fields, never a secret and never the octets of mail; a traceback shows
no local variables, for they may be secrets.
"""

import sys
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

if TYPE_CHECKING:
    from immpd.service.ports import Log

    from .configuration import Logging


def open_log(settings: "Logging", output: TextIO | None = None) -> "Log":
    """A log as the settings say, on ``output`` (standard error)."""
    output = output or sys.stderr
    structlog = _structlog()
    console = settings.format == "console" or (settings.format == "auto" and output.isatty())
    last: list[Any] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=output.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
            )
        ]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]
    )
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    logger = structlog.wrap_logger(
        structlog.PrintLogger(output),
        processors=[structlog.processors.add_log_level, stamp, *last],
        wrapper_class=structlog.make_filtering_bound_logger(settings.level),
    )
    return logger.bind()  # type: ignore[no-any-return] # bound, a line that the level leaves out costs nearly nothing


def _structlog() -> Any:
    """The module, without rich, which takes 50 ms of a start and would show local variables in tracebacks."""
    rich = sys.modules.get("rich")
    sys.modules["rich"] = None  # type: ignore[assignment] # how Python is told that a module is not to be had
    try:
        import structlog
    finally:
        if rich is None:
            del sys.modules["rich"]
        else:
            sys.modules["rich"] = rich
    return structlog


def _json(event: dict[str, Any], **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()
