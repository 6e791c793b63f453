"""Fixtures for tests against a server. The classes behind them are in tests/serving.py.

    server     one in-process server a module (domain a.test; time stands still: server.clock is a ManualClock).
               .listen, .listen_tls (host, port) · .operator (Session: await server.operator.call(AccountList()))
               .pass_time(seconds) advances the clock and sweeps · .log.events("…") · .log.take_errors()
               .add_account("bob") · .services · .server · .folder · .fingerprint
    serve      another server, with its own settings, for one test:
                   other = await serve(domains=("b.test",), limits=Limits(max_parts=2))
    account    await account() or await account("bob"): an account that no other test has; f"{alice}" is its address
    talk       await talk() inside TLS · await talk(alice, "phone") logged in (device "phone")
               await talk(how="clear" | "direct" | "operator") · await talk(alice, on=other): all hung up after the test
                   t.send("NOOP") (a line feed is added; octets go as they are) · answer = await t.reply() ·
                   await t.ask("MBOX LIST") = send and reply · await t.replies(3) · reply("w") for AS w …
                   await t.row("w"): the next line of a reply that has not ended (events of WATCH)
                   answer.code .text .word .rows .lines .fields .blocks .octets("1")
                   await t.deliver(alice, body=b"…", subject="…", more="ID …") · await t.login(alice)
                   await t.rest(): every line until the server closes · await t.line() raises Ended there
    clock      a ManualClock of its own: now() monotonic() sleep() advance(seconds) until_sleeping()

A loop lives as long as its module. An error that a server logs, or that reaches the loop, fails the test
unless the test takes it with ``server.log.take_errors()``.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.serving import Account, ManualClock, RecordingLog, Serving, Talk, serving
from tests.unskipped import pytest_runtest_makereport  # noqa: F401 - pytest finds it here

_logs: list[RecordingLog] = []


@pytest.fixture(autouse=True)
def _no_unexpected_errors() -> Iterator[None]:
    """What a server logs as an error fails the test that caused it."""
    yield
    errors = [error for log in _logs for error in log.take_errors()]
    if errors:
        pytest.fail("The server logged:\n" + "\n".join(errors), pytrace=False)


@pytest.fixture
def clock() -> ManualClock:
    """Time that stands still until the test advances it."""
    return ManualClock()


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    """One server for all tests of a module."""
    log = RecordingLog()
    _logs.append(log)
    async with serving(tmp_path_factory.mktemp("data"), log=log) as made:
        yield made
    _logs.remove(log)


@pytest.fixture
async def serve(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Callable[..., Awaitable[Serving]]]:
    """Makes servers for one test: ``await serve(folder=None, domains=…, clock=…, bounds=…, limits=…)``."""
    async with AsyncExitStack() as stack:

        async def make(folder: Path | None = None, **settings: Any) -> Serving:
            log = settings.setdefault("log", RecordingLog())
            _logs.append(log)
            return await stack.enter_async_context(serving(folder or tmp_path_factory.mktemp("data"), **settings))

        yield make


@pytest.fixture
def account(server: Serving) -> Callable[..., Awaitable[Account]]:
    """Makes accounts that no other test has: ``await account("bob")``."""
    return server.unique_account


@pytest.fixture
async def talk(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Awaitable[Talk]]]:
    """Opens conversations; those still open when the test ends are hung up."""
    opened: list[Talk] = []

    async def open_one(
        account: Account | None = None, device: str = "", *, how: str = "upgrade", on: Serving | None = None
    ) -> Talk:
        server: Serving = on or request.getfixturevalue("server")
        if how in ("clear", "upgrade"):
            made = await Talk.clear(server)
        else:
            made = await (Talk.direct(server) if how == "direct" else Talk.operating(server))
        opened.append(made)
        if how == "upgrade":
            await made.upgrade(server.domain)
        if account is not None:
            answer = await made.login(account, device)
            assert answer.code == 210, answer
        return made

    yield open_one
    for one in opened:
        await one.close()
