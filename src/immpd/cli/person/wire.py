"""``immp do`` and ``immp raw``: the protocol itself, for those who want it.

Rules: ``do`` knows every command of the registry and reads it as the server would; ``raw`` sends what
is typed and shows what comes, and only TLS and log-in are done by itself.
"""

import asyncio
import sys
import threading
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from .common import OK, Common, UsageError, exit_code, run, session, show_first_sight

if TYPE_CHECKING:
    from immpd.client import Client, Refused
    from immpd.client.pending import Pending
    from immpd.protocol.connection import Block
    from immpd.protocol.lines import Line
    from immpd.protocol.registry import Request


def do(*words: Annotated[str, Parameter(allow_leading_hyphen=True)], common: Common | None = None) -> int:
    r"""Run commands of the protocol: immp do MBOX INDEX /inbox LIMIT 3 +JSON.

    A word of its own ``;`` divides commands, which share a pipeline. The octets of a command that takes some
    (DATA, or others with LENGTH) come from standard input, and are counted for you:
    immp do DELIVER TO bob@a.com \\; DATA body +CONTENT \\; DONE < text.

    Parameters
    ----------
    words
        The command as docs/protocol.md writes it. A word with spaces is quoted for you; to mean a value that reads
        like a name, write it in double quotes that reach the command.
    """
    from immpd.protocol.registry import has_octets

    requests = parse_words(words)
    octets = sys.stdin.buffer.read() if any(has_octets(request) for request in requests) else b""

    async def work() -> int:
        async with session(common) as me:
            return await _run_all(me, requests, octets, common)

    return run(work())


def parse_words(words: tuple[str, ...]) -> "list[Request[Any]]":
    """The requests that these words make; raises UsageError with what the server would say."""
    from immpd.protocol.grammar import parse_line

    line = " ".join(_quoted(word) for word in words)
    parsed = parse_line(line.encode(errors="replace")) if words else []
    if not parsed:
        raise UsageError("Say which command: immp do HELP lists them")
    requests = []
    for one in parsed:
        if one.error is not None:
            raise UsageError(one.error.text + _meant(one.error))
        if one.pid is not None:
            raise UsageError("AS is not for here: the commands of one line share a pipeline")
        assert one.request is not None
        requests.append(one.request)
    return requests


def _meant(error: "Refused") -> str:
    """The command that may have been meant by one that there is not."""
    from immpd.protocol.registry import KEYWORDS

    from .words import like

    if error.word != "UNKNOWN-COMMAND":
        return ""
    written = error.text.removeprefix("There is no command ").partition(";")[0]
    return like(written, KEYWORDS) or like(written.partition(" ")[0], (one for one in KEYWORDS if " " not in one))


def _quoted(word: str) -> str:
    """A word as it stands on a line: quoted where it must be, a switch or name as it is."""
    if word == ";" or (len(word) >= 2 and word[0] == word[-1] == '"'):
        return word
    if word and not any(mark in word for mark in ' ";'):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


async def _run_all(me: "Client", requests: "list[Request[Any]]", octets: bytes, common: Common | None) -> int:
    """One after the other; the first refusal decides the exit code, the rest is still run, as on a line."""
    from immpd.client import Refused
    from immpd.client.pending import Pipeline
    from immpd.protocol.registry import BY_REQUEST, has_octets

    link = me.link
    as_json = common is not None and common.json
    code = OK
    pipeline: Pipeline = await link.pipeline()
    try:
        for request in requests:
            sent = request
            body = b""
            if has_octets(request):
                sent, body = _with_octets(request, octets)
                octets = b""
            alone = BY_REQUEST[type(request)].alone
            pending = (link.default if alone else pipeline).submit(sent, body, streaming=True)
            try:
                await _show(pending, as_json)
            except Refused as error:
                code = code or exit_code(error) or OK
    finally:
        pipeline.release()
    return code


def _with_octets(request: "Request[Any]", octets: bytes) -> "tuple[Request[Any], bytes]":
    """The command with the octets of standard input behind it, and the LENGTH that they have."""
    import msgspec

    from immpd.protocol.registry import BY_REQUEST

    if BY_REQUEST[type(request)].body != "counted":
        request = msgspec.structs.replace(request, chunked=False)
    return msgspec.structs.replace(request, length=len(octets)), octets


async def _show(pending: "Pending", as_json: bool) -> None:
    """The reply as it comes, its final line too; raises Refused for a 4xx or 7xx."""
    from immpd.client import Refused
    from immpd.protocol.connection import Block as BlockType

    try:
        while (item := await pending.following()) is not None:
            if isinstance(item, BlockType):
                _show_block(item, as_json)
            else:
                _show_line(item, as_json)
    except Refused:
        assert pending.final is not None
        _show_line(pending.final, as_json)
        raise
    assert pending.final is not None
    _show_line(pending.final, as_json)


def _show_line(line: "Line", as_json: bool) -> None:
    from .output import print_json, print_text

    if as_json:
        print_json({"code": line.code, "more": line.more, "text": line.text})
    else:
        print_text(f"{line.code}{'-' if line.more else ''} {line.text}".rstrip())


def _show_block(block: "Block", as_json: bool) -> None:
    from .output import print_json, print_text, write_octets

    if as_json:
        octets = b64encode(block.octets).decode()
        print_json({"code": 255, "message": block.message, "part": block.part, "more": block.more, "octets": octets})
        return
    print_text(f"255- {block.message} {block.part} {len(block.octets)}{' more=1' if block.more else ''}")
    write_octets(block.octets)
    write_octets(b"\n")


def raw(
    address: str | None = None,
    /,
    *,
    server: str | None = None,
    direct: Annotated[bool, Parameter(negative=())] = False,
    no_login: Annotated[bool, Parameter(negative=())] = False,
    common: Common | None = None,
) -> int:
    """Speak the protocol by hand: what you type is sent, what the server says is shown.

    Parameters
    ----------
    address
        Connect for this account without logging in; by default the profile's, logged in.
    server
        HOST:PORT of the server, with ADDRESS.
    direct
        TLS from the first octet, with ADDRESS.
    no_login
        Leave the log-in to you.
    """

    async def work() -> int:
        from immpd.client import open_client
        from immpd.client.home import default_home
        from immpd.net.fingerprints import KnownPeers

        from .profile import Profiles

        home = default_home()
        known = KnownPeers(home)
        if address is None and not no_login:
            async with session(common) as me:
                return await _converse(me)
        if address is not None:
            who, where, how = address, server, direct
        else:
            _, profile = Profiles(home).load((common or Common()).profile)
            who, where, how = profile.address, profile.server or None, profile.direct
        seen = partial(show_first_sight, when="from now on")
        me = await open_client(who, server=where, direct=how, known=known, on_first_sight=seen)
        return await _converse(me)

    return run(work())


async def _converse(me: "Client") -> int:
    """Standard input to the server, the server to standard output, until either ends."""
    from .output import write_octets

    link = me.link
    quitting = False

    def received(octets: bytes) -> None:
        write_octets(octets)
        sys.stdout.flush()

    link.take_over(received)
    loop = asyncio.get_running_loop()
    typed: asyncio.Queue[bytes] = asyncio.Queue(maxsize=64)
    last = b"\n"
    """The end of what was sent."""
    _read_input(lambda octets: asyncio.run_coroutine_threadsafe(typed.put(octets), loop).result())
    while not link.gone.done():
        reading = asyncio.ensure_future(typed.get())
        both: set[asyncio.Future[Any]] = {reading, link.gone}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            reading.cancel()
            break
        octets = reading.result()
        if not octets:
            if not quitting:
                # The server answers what it was asked, then says good-bye.
                link.write(b"QUIT\n" if last.endswith(b"\n") else b"\nQUIT\n")
                quitting = True
            await asyncio.shield(link.gone)
            break
        last = (last + octets)[-64:]
        quitting = quitting or last.upper().replace(b"\r", b"").endswith(b"\nQUIT\n")
        link.write(octets)
        await link.drain()
    if not quitting and link.lost_by is not None:
        raise link.lost_by
    return OK


def _read_input(put: Callable[[bytes], object]) -> None:
    """Read standard input on a thread that does not keep the process alive; empty octets are its end.

    Unbuffered: a thread that waits in the buffered reader holds its lock, and the interpreter aborts when it ends.
    """
    source = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)

    def read() -> None:
        try:
            while octets := source.read(1 << 16):
                put(octets)
            put(b"")
        except (RuntimeError, ValueError):
            pass  # the loop, or standard input, is closed: nobody listens any more

    threading.Thread(target=read, name="stdin", daemon=True).start()
