"""Makes blocking.py: ``python -m immpd.client.blocking_source --write``, then ``ruff format``.

Its source is client.py with the files of the classes that Client is made of.

Rules: every public method of ``Client``, and ``connect``'s parameters, appear with their own types and
words; a test fails where blocking.py is older than client.py.
"""

import ast
import sys
from pathlib import Path
from typing import TypeVar

FOLDER = Path(__file__).parent
N = TypeVar("N", ast.ClassDef, ast.AsyncFunctionDef)

_HEAD = '''"""The client without ``async``: made by blocking_source.py, never edited by hand.

    with immpd.client.blocking.connect("alice@a.com", password="…") as me:
        for row in me.index("/inbox", limit=10):
            print(row.from_, row.subject)

Rules: a session has a loop on a thread of its own, and may be used from any thread; iterators take from
the server only what is taken from them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from uuid import UUID

from immpd.model.feed import NodeOptions
from immpd.model.imid import Imid
from immpd.model.message import FetchedMessage, IndexRow
from immpd.model.notification import Action
from immpd.net.fingerprints import FirstSight, KnownPeers
from immpd.protocol import replies as r
from immpd.protocol.connection import Block
from immpd.protocol.registry import Request

from .blocking_loop import LoopThread, R
from .client import Client as AsyncClient
from .client import Secret
from .composing import Attachment, Recipients
from .connecting import open_client
from .events import Event
from .notifying import Id
from .publishing import Digest, Form, NodeLike
from .watching import PathLike, Reconnecting

__all__ = ["Client", "connect"]


class Client:
    """A session, as ``immpd.client.Client``; made by ``connect``."""

    def __init__(self, client: AsyncClient, thread: LoopThread) -> None:
        self._client = client
        self._thread = thread

    @property
    def about(self) -> r.Capabilities:
        """What the server's greeting inside TLS offered."""
        return self._client.about

    @property
    def account(self) -> Imid | None:
        """Who this session is."""
        return self._client.account

    @property
    def secret(self) -> Secret | None:
        """What the password became, for the next log-in without it."""
        return self._client.secret

    def call(self, request: Request[R], octets: bytes | None = None) -> R:
        """Run one command to its typed reply; ``octets`` are what follows DATA."""
        return self._thread.run(self._client.call(request, octets))
'''
_CONNECT = '''
    """``with connect("alice@a.com", password=…) as me:``; everything as ``immpd.client.open_client`` says."""
    thread = LoopThread()
    try:
        client = thread.run(open_client({arguments}))
        try:
            yield Client(client, thread)
        except BaseException:
            thread.run(client.abort())
            raise
        thread.run(client.close())
    finally:
        thread.stop()
'''
_OWN = frozenset({"logged_in"})
_CLASSES = ("Client", "Notifying", "Publishing", "Sending", "Watching")


def source(folder: Path) -> str:
    """The text of blocking.py (not yet formatted) for the client.py and connecting.py in ``folder``."""
    halves = [
        _find(folder / f"{name.lower()}.py", ast.ClassDef, name)
        for name in ("Client", "Notifying", "Publishing", "Sending", "Watching")
    ]
    opening = _find(folder / "connecting.py", ast.AsyncFunctionDef, "open_client")
    methods = [
        _method(node)
        for half in halves
        for node in half.body
        if isinstance(node, ast.AsyncFunctionDef) and not node.name.startswith("_") and node.name not in _OWN
    ]
    head = f"@contextmanager\ndef connect({ast.unparse(opening.args)}) -> Iterator[Client]:"
    return _HEAD + "".join(methods) + "\n\n" + head + _CONNECT.format(arguments=_arguments(opening.args, skip=0))


def _find(path: Path, kind: type[N], name: str) -> N:
    return next(node for node in ast.parse(path.read_text()).body if isinstance(node, kind) and node.name == name)


def _method(node: ast.AsyncFunctionDef) -> str:
    returns = ast.unparse(node.returns) if node.returns is not None else "None"
    words = ast.get_docstring(node, clean=False) or ""
    call = f"self._client.{node.name}({_arguments(node.args, skip=1)})"
    if returns.startswith("AsyncIterator["):
        returns = returns.removeprefix("Async")
        body = f"yield from self._thread.iterate({call})"
    else:
        body = f"return self._thread.run({call})" if returns != "None" else f"self._thread.run({call})"
    return f'\n    def {node.name}({ast.unparse(node.args)}) -> {returns}:\n        """{words}"""\n        {body}\n'


def _arguments(arguments: ast.arguments, skip: int) -> str:
    """How a call passes on everything that it was given."""
    passed = [one.arg for one in arguments.args[skip:]]
    if arguments.vararg is not None:
        passed.append(f"*{arguments.vararg.arg}")
    return ", ".join(passed + [f"{one.arg}={one.arg}" for one in arguments.kwonlyargs])


if __name__ == "__main__":
    if "--write" in sys.argv:
        (FOLDER / "blocking.py").write_text(source(FOLDER))
    else:
        sys.stdout.write(source(FOLDER))
