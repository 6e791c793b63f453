import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from tests.serving import Serving

from immpd.app.configuration import Certificate
from immpd.client.errors import CannotConnect, NotSecure
from immpd.federation.calling import call, vouched_by_authority
from immpd.federation.finding import Endpoint
from immpd.federation.resolving import Association
from immpd.protocol.commands import Noop


def at(server: Serving, **more: object) -> Endpoint:
    host, port = server.listen
    return Endpoint(host, port, "mail.a.test", **more)  # type: ignore[arg-type]


@asynccontextmanager
async def listening(greets: bytes = b"") -> AsyncIterator[Endpoint]:
    """Somebody who takes connections, says this, and nothing more."""
    taken: list[asyncio.StreamWriter] = []

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)
        writer.write(greets)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield Endpoint(*server.sockets[0].getsockname()[:2], "silent.test")
    finally:
        server.close()
        for writer in taken:
            writer.close()
            await writer.wait_closed()
        await server.wait_closed()


@pytest.fixture
async def nobody() -> Endpoint:
    """A port at which nobody listens."""
    async with listening() as endpoint:
        pass
    return endpoint


async def test_a_domain_is_called_and_shows_its_key(server: Serving) -> None:
    peer = await call("a.test", [at(server)])
    try:
        assert peer.shown.fingerprint == server.fingerprint
        assert not peer.shown.dane
        assert peer.about.d == "a.test"
        await peer.call(Noop())
    finally:
        peer.hang_up()


async def test_who_does_not_answer_is_passed_by(server: Serving, nobody: Endpoint) -> None:
    peer = await call("a.test", [nobody, nobody, at(server)])
    assert peer.shown.endpoint == at(server)
    peer.hang_up()


async def test_who_is_silent_holds_up_nobody(server: Serving) -> None:
    async with listening() as silent:
        peer = await call("a.test", [silent, at(server)], next_after=0)
        assert peer.shown.endpoint == at(server)
        peer.hang_up()


async def test_the_first_reason_is_told_where_nobody_answers(nobody: Endpoint) -> None:
    async with listening(b"220 ESMTP\n") as other:
        with pytest.raises(NotSecure, match="220"):
            await call("a.test", [other, nobody])
        with pytest.raises(CannotConnect, match="Cannot reach"):
            await call("a.test", [nobody, other])


async def test_a_call_that_is_given_up_leaves_nothing_open(server: Serving) -> None:
    async with listening() as silent:
        task = asyncio.ensure_future(call("a.test", [silent, silent], next_after=0))
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [one for one in asyncio.all_tasks() if "_call_one" in repr(one)] == []


async def test_the_certificate_that_the_domain_names_in_dns(server: Serving) -> None:
    named = Association(3, 1, 1, bytes.fromhex(server.fingerprint))
    peer = await call("a.test", [at(server, validated=True, associations=(named,))])
    assert peer.shown.dane
    peer.hang_up()
    other = Association(3, 1, 1, hashlib.sha256(b"other").digest())
    with pytest.raises(NotSecure, match="TLSA"):
        await call("a.test", [at(server, validated=True, associations=(other,))])


async def test_whether_an_authority_vouches(serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("a.test")
    files = Certificate(certificate=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem"))
    issued.private_key_pem.write_to_path(files.key)
    issued.cert_chain_pems[0].write_to_path(files.certificate)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    server = await serve(certificates=(files,))
    peer = await call("a.test", [at(server)])
    assert not await vouched_by_authority("a.test", peer)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    assert await vouched_by_authority("a.test", peer)
    assert not await vouched_by_authority("b.test", peer)
    peer.hang_up()
    # The name of the host counts only where DNSSEC leads to it.
    host, port = server.listen
    unproved = await call("b.test", [Endpoint(host, port, "a.test")])
    assert not await vouched_by_authority("b.test", unproved)
    unproved.hang_up()
    proved = await call("b.test", [Endpoint(host, port, "a.test", validated=True)])
    assert await vouched_by_authority("b.test", proved)
    proved.hang_up()
