"""The conversation in clear, cut at every octet."""

import pytest

from immpd.client.errors import NotSecure, Refused
from immpd.client.greeting import UPGRADE, ClearGreeting
from immpd.protocol.codes import Code

GREETING = b"100- IMMP/1.0 server at a.test\n100- Please upgrade\n102 TLS\n101 p=IMMP v=1.0 d=a.test\n"


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_upgrade_is_sent_once_the_greeting_has_ended_however_it_is_cut(step: int) -> None:
    clear = ClearGreeting()
    sent = b"".join(clear.receive_data(GREETING[at : at + step]) for at in range(0, len(GREETING), step))
    assert sent == UPGRADE
    assert not clear.ready
    assert clear.receive_data(b"204 Upgrading to TLS\n") == b""
    assert clear.ready


def test_a_dash_before_102_is_read_too() -> None:
    assert ClearGreeting().receive_data(GREETING.replace(b"102 TLS", b"102- TLS")) == UPGRADE


@pytest.mark.parametrize("greeting", [GREETING.replace(b"102 TLS\n", b""), GREETING.replace(b"102 TLS", b"102 SSLv3")])
def test_a_greeting_without_tls_is_not_answered(greeting: bytes) -> None:
    with pytest.raises(NotSecure, match="does not offer TLS"):
        ClearGreeting().receive_data(greeting)


@pytest.mark.parametrize("injected", [b"200 Hello\n", b"2", b"255- a b 3\n", b"\n"])
def test_octets_behind_204_end_it(injected: bytes) -> None:
    clear = ClearGreeting()
    clear.receive_data(GREETING)
    with pytest.raises(NotSecure, match="between 204 and the TLS handshake"):
        clear.receive_data(b"204 Upgrading to TLS\n" + injected)


@pytest.mark.parametrize(
    "octets",
    [
        b"220 smtp.a.test ESMTP\n",
        b"HTTP/1.1 400 Bad Request\n",
        b"204 Upgrading\n",
        b"210 Authentication accepted\n",
        b"x" * 20_000,
    ],
)
def test_what_is_no_greeting_is_not_trusted(octets: bytes) -> None:
    with pytest.raises(NotSecure):
        ClearGreeting().receive_data(octets)


def test_a_refusal_in_clear_is_told() -> None:
    with pytest.raises(Refused) as caught:
        ClearGreeting().receive_data(b"450 [TOO-MANY-CONNECTIONS] retry=10 Too many connections\n")
    assert (caught.value.code, caught.value.word, caught.value.retry) == (Code.TEMPORARY, "TOO-MANY-CONNECTIONS", 10)
