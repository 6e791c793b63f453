"""What a client offers, as its own TLS says it, however its first message is cut."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immpd.net.client_hello import MAX_HELLO, offered_protocols


def hello(*protocols: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="a.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("protocols", [(), ("immp/1",), ("h2", "http/1.1"), ("smtp", "immp/1")])
def test_what_a_client_offers(protocols: tuple[str, ...]) -> None:
    octets = hello(*protocols)
    assert offered_protocols(octets) == protocols
    assert offered_protocols(octets + b"more") == protocols
    assert {offered_protocols(octets[:end]) for end in range(len(octets))} == {None}
    record, rest = octets[:5], octets[5:]
    pieces = [rest[at : at + 100] for at in range(0, len(rest), 100)]
    assert offered_protocols(b"".join(record[:3] + len(one).to_bytes(2) + one for one in pieces)) == protocols


@given(st.binary(max_size=200), st.integers(0, 600))
def test_whatever_comes_it_is_read_or_left_to_tls(octets: bytes, at: int) -> None:
    offered_protocols(octets)
    good = hello("immp/1")
    offered_protocols(good[:at] + octets + good[at + len(octets) :])


def test_what_is_too_long_or_no_hello_offers_nothing() -> None:
    assert offered_protocols(b"GET / HTTP/1.1\r\n") == ()
    assert offered_protocols(b"\x16\x03\x01\x00\x01\x01" * 9) == ()
    assert offered_protocols(b"\x16\x03\x01\x40\x00" + b"\x01\xff\xff\xff" + bytes(2 * MAX_HELLO)) == ()
