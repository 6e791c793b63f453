"""Drives sessions of the service without a connection: commands in, replies and octets out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog

from immpd.app.clock import SystemClock
from immpd.app.compose import opened
from immpd.app.configuration import Configuration
from immpd.protocol.commands import Data, Deliver, Done
from immpd.protocol.registry import Request
from immpd.protocol.replies import Reply
from immpd.protocol.states import State
from immpd.service.outcome import Page, Rows, Step, Wait
from immpd.service.principal import Principal
from immpd.service.session import Services, Session, refusal_of
from immpd.store.accounts.directory import NewAccount, add_account
from immpd.store.errors import StoreError


class SetClock(SystemClock):
    """A clock that stands still until it is advanced."""

    def __init__(self) -> None:
        self.seconds = 1_795_000_000.0

    def now(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@asynccontextmanager
async def services_in(
    folder: Path, log: Any = None, domains: tuple[str, ...] = ("demo.test", "second.test"), **limits: Any
) -> AsyncIterator[Services]:
    configuration = Configuration(domains=domains)
    if limits:
        changed = msgspec.structs.replace(configuration.limits, **limits)
        configuration = msgspec.structs.replace(configuration, limits=changed)
    async with opened(folder, configuration, log or structlog.get_logger(), SetClock()) as services:
        yield services


async def account(services: Services, address: str) -> Session:
    """A new account and a session that is logged in to it."""
    local, _, domain = address.partition("@")
    folders = tuple(services.ids.octets() for _ in range(6))
    new = NewAccount(address, domain, local, local, 0, b"s" * 16, 600_000, b"k" * 32, b"k" * 32, folders)
    session = Session(services, State.USER, peer="test")
    session.principal = Principal(await services.store.write(add_account(new)))
    session.domain = domain
    return session


async def answers(session: Session, request: Request[Any], attached: Any = None) -> tuple[Reply | Wait, bytes]:
    """The reply of one command and the octets of its pages; a watch comes back where it begins to wait."""
    if attached is None:
        attached = session.arrive(None, request)
    return await follow(session, session.begin(request, attached))


async def follow(session: Session, outcome: Any) -> tuple[Reply | Wait, bytes]:
    octets = b""
    store = session.services.store
    while not isinstance(outcome, Reply | Wait):
        if isinstance(outcome, Step):
            try:
                result = await (store.write if outcome.unit.work.writes else store.read)(outcome.unit)
            except StoreError as error:
                if outcome.failed is None:
                    raise refusal_of(error) from error
                outcome = outcome.failed(error)
            else:
                outcome = outcome.then(result)
        elif isinstance(outcome, Page | Rows):
            outcome = outcome.page() if isinstance(outcome, Rows) else outcome
            octets += b"".join(outcome.pieces)
            outcome = outcome.then()
        else:
            outcome = await asyncio.ensure_future(outcome)
    return outcome, octets


async def deliver(session: Session, *to: str, parts: Any = (("body", b"hello", True),), **fields: Any) -> Any:
    """DELIVER, DATA for each (name, octets, content) or Data request with octets, DONE; the reply of DONE."""
    from immpd.model.imid import parse_imid

    await session.call(Deliver(to=tuple(parse_imid(one) for one in to), **fields))
    for part in parts:
        request, octets = part if isinstance(part[0], Data) else (Data(name=part[0], content=part[2]), part[1])
        await data(session, request, octets)
    return await session.call(Done())


async def data(session: Session, request: Data, octets: bytes, cut: int = 65_536) -> Reply:
    request = msgspec.structs.replace(request, length=len(octets))
    part = session.arrive(None, request)
    if len(octets) <= cut:
        part.whole(octets)
    else:
        for at in range(0, len(octets), cut):
            part.take(octets[at : at + cut], at + cut >= len(octets))
    reply, _ = await answers(session, request, part)
    return reply
