"""A port before a server that stays the same over restarts, and can be closed or cut."""

import asyncio
from collections.abc import Callable

from tests.serving import Serving


class Way:
    """Takes connections at ``address`` to ``server`` while it is open."""

    def __init__(self) -> None:
        self.server: Serving
        self.port = 0
        self.cut: Callable[[], bool] = lambda: False
        """Asked before octets of the server go to the client: the connection breaks instead."""
        self.hold: Callable[[], bool] = lambda: False
        """The same: then they never arrive, and the connection stays."""
        self.taken = 0
        """Connections so far."""
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Take connections."""
        self._listener = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Take no more, and cut those that stand."""
        if self._listener is not None:
            self._listener.close()
            self.break_all()
            await self._listener.wait_closed()
            self._listener = None

    def break_all(self) -> None:
        """Cut every connection, in the middle of whatever it carries."""
        for writer in self._writers:
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken += 1
        try:
            back, forth = await asyncio.open_connection(*self.server.listen)
        except OSError:
            writer.close()
            return
        both = {writer, forth}
        self._writers |= both

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, back: bool) -> None:
            try:
                while octets := await source.read(65_536):
                    if back and self.cut():
                        break
                    if not (back and self.hold()):
                        target.write(octets)
            except ConnectionError:
                pass
            finally:
                for one in both:
                    one.close()

        await asyncio.gather(pump(reader, forth, False), pump(back, writer, True))
        self._writers -= both
