"""What systemd, or another service manager that speaks its protocol, is told of the server (sd_notify(3)).

Rules: without NOTIFY_SOCKET nothing is said; a manager that does not listen never disturbs the server; the sign of
life comes from the loop, so that a loop which stands still is found out.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping


class ServiceManager:
    """Whoever started the server and wants to hear of it; ``pid`` is this process."""

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._alive: asyncio.TimerHandle | None = None
        interval = environment.get("WATCHDOG_USEC", "")
        mine = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        self._interval = int(interval) / 2e6 if interval.isdecimal() and mine else 0.0
        """Seconds between two signs of life, half of what the manager waits; 0: none are wanted."""

    def ready(self, status: str) -> None:
        """It serves; ``status`` is a line for people."""
        self._tell("READY=1", f"STATUS={status}")
        if self._interval and self._alive is None:
            self._show_life()

    def reloading(self, monotonic_ns: Callable[[], int]) -> None:
        """It reads something anew; ``ready`` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """It ends, which may take a while."""
        self._tell("STOPPING=1", "STATUS=Stopping")

    def leave(self) -> None:
        """No more signs of life."""
        if self._alive is not None:
            self._alive.cancel()
            self._alive = None

    def _show_life(self) -> None:
        self._tell("WATCHDOG=1")
        self._alive = asyncio.get_running_loop().call_later(self._interval, self._show_life)

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        # A name that begins with @ is Linux's own, in no folder.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)) as made:
                made.setblocking(False)
                made.sendto("\n".join(lines).encode(), os.fsencode(address))
        except OSError:
            pass
