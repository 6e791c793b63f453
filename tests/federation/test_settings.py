import pytest

from immpd.federation.settings import host_and_port, server_address


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("b.test", ("b.test", 1025)),
        ("b.test:4025", ("b.test", 4025)),
        ("192.0.2.1:4025", ("192.0.2.1", 4025)),
        ("::1", ("::1", 1025)),
        ("[::1]", ("::1", 1025)),
        ("[::1]:4025", ("::1", 4025)),
    ],
)
def test_what_an_operator_writes(text: str, found: tuple[str, int]) -> None:
    assert host_and_port(text) == found


@pytest.mark.parametrize("text", ["", ":4025", "b.test:0", "b.test:x", "b.test:70000", "[::1", "[::1]4025", "[b]:1"])
def test_what_an_operator_must_not_write(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - some come from ipaddress
        host_and_port(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
    ],
)
def test_the_address_of_a_dns_server(text: str, address: tuple[str, int]) -> None:
    assert server_address(text) == address


@pytest.mark.parametrize("text", ["", "ns.test", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:70000", "[::1", "[::1]:x"])
def test_no_address_of_a_dns_server(text: str) -> None:
    with pytest.raises(ValueError, match="no address of a DNS server"):
        server_address(text)
