"""The end of sessions, to whoever has some of them open in this process.

Rules: publish after the commit that decided it; a listener is a plain function that must not raise.
"""

from collections.abc import Callable

from immpd.model.ending import SessionsEnd

EndListener = Callable[[SessionsEnd], None]


class EndBus:
    """Which sessions are to end."""

    def __init__(self) -> None:
        self._listeners: list[EndListener] = []

    def listen(self, listener: EndListener) -> None:
        """Call ``listener`` with every end that is told, for as long as the process lives."""
        self._listeners.append(listener)

    def publish(self, end: SessionsEnd) -> None:
        """Tell everybody."""
        for listener in self._listeners:
            listener(end)
