"""Base64 that arrives cut anywhere."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.making import cut

from immpd.protocol.bodies import Base64Decoder, Body

_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
places = st.lists(st.integers(0, 60), max_size=8)


def decode(*pieces: bytes) -> bytes | None:
    """The octets, or None where they are not base64."""
    decoder = Base64Decoder()
    try:
        octets = b"".join([decoder.feed(piece) for piece in pieces])
        decoder.finish()
    except ValueError:
        return None
    return octets


@given(st.binary(max_size=40), st.sampled_from([b"", b"\n", b"\r\n", b" ", b"\t"]), places)
def test_cut_anywhere(octets: bytes, between: bytes, where: list[int]) -> None:
    text = base64.b64encode(octets)
    text = between.join(text[n : n + 7] for n in range(0, len(text), 7)) + between
    assert decode(*cut(text, where)) == decode(text) == octets


@given(st.text("AZaz09+/= \n!", max_size=24).map(str.encode), places)
def test_what_is_no_base64_is_none_however_it_is_cut(text: bytes, where: list[int]) -> None:
    whole = decode(text)
    assert decode(*cut(text, where)) == whole
    bare = text.translate(None, b" \n")
    assert whole == (base64.b64decode(bare) if _BASE64.fullmatch(bare) else None)


@pytest.mark.parametrize(
    "text",
    [b"Y", b"YQ", b"YQ=", b"YQ==YQ==", b"YWJj=", b"YWJj=YWJ", b"=", b"====", b"Y===", b"YQ=Y", b"YWJj-_-_", b"\xff"],
)
def test_no_base64(text: bytes) -> None:
    assert decode(text) is None
    assert decode(*(text[n : n + 1] for n in range(len(text)))) is None


def test_after_bad_base64_nothing_comes_out() -> None:
    body = Body(None, 12, chunked=False, base64=True, lines=False)
    assert body.decode(b"YWJj", False) == b"abc"
    assert body.decode(b"!!!!", False) == b""
    assert body.error is not None
    error = body.error
    assert error.word == "BASE64"
    assert body.decode(b"YWJj", True) == b""
    assert body.error is error


def test_base64_that_ends_too_early() -> None:
    body = Body("p", 3, chunked=False, base64=True, lines=False)
    assert body.decode(b"YWJ", True) == b""
    assert body.error is not None


def test_plain_octets_are_not_touched() -> None:
    body = Body(None, 3, chunked=False, base64=False, lines=False)
    octets = b"\x00=\n"
    assert body.decode(octets, True) is octets
