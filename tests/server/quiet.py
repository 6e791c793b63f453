"""What a server must own again when a conversation is over: nothing. And waiting without sleeping."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from tests.serving import PATIENCE, Serving, Talk

from immpd.server.conversation import Conversation
from immpd.service.jobs import keeper


async def until(predicate: Callable[[], Any]) -> None:
    """Let the loop turn until it is so; a server that never gets there is a failed test."""
    async with asyncio.timeout(PATIENCE):
        while not predicate():  # noqa: ASYNC110 - the server knows nothing of its tests and sets no events
            await asyncio.sleep(0)


class Owned(msgspec.Struct, frozen=True):
    """What a server owns on behalf of its connections."""

    conversations: int
    listeners: int
    sessions: int
    addresses: int
    files: int
    tasks: int


def owned(server: Serving) -> Owned:
    listeners = sum(server.services.bus.listening)
    sessions = len(server.services.sessions)
    files = sum(1 for _ in (server.folder / "bodies").iterdir())
    tasks = sum(not _is_a_job(task) for task in asyncio.all_tasks())
    addresses = sum(server.server._by_address.values())
    return Owned(len(server.server.conversations), listeners, sessions, addresses, files, tasks)


def _is_a_job(task: asyncio.Task[Any]) -> bool:
    """Whether the keeper of jobs has it: those begin just after the server, and come and go by themselves."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename == keeper.__file__


@asynccontextmanager
async def nothing_left(server: Serving) -> AsyncIterator[None]:
    """After the block the server owns no more than before it, as soon as the loop had time to clear up."""
    before = owned(server)
    yield
    try:
        await until(lambda: owned(server) == before)
    except TimeoutError:
        raise AssertionError(f"Something is left: {owned(server)}, not {before}") from None


def conversation_of(server: Serving, talk: Talk) -> Conversation:
    """The server's side of a conversation."""
    name = talk.writer.get_extra_info("sockname")
    for conversation in server.server.conversations:
        if conversation.stream.transport.get_extra_info("peername") == name:
            return conversation
    raise AssertionError("The server does not have this conversation")


def buffered(server: Serving, talk: Talk) -> int:
    """Octets that the server holds for a peer that does not take them."""
    conversation = conversation_of(server, talk)
    return conversation.stream.transport.get_write_buffer_size() + conversation.outlet.written


def part(body: bytes, pid: str = "", more: str = "+CONTENT") -> bytes:
    head = f"AS {pid} " if pid else ""
    return f"{head}DATA body LENGTH {len(body)} {more}\n".encode() + body


async def raw_lines(talk: Talk, count: int) -> list[str]:
    """The next lines of all pipelines as they come."""
    return [await talk.line() for _ in range(count)]
