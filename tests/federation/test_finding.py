from collections import Counter
from random import Random

import pytest
from tests.federation.name_server import NameServer

from immpd.federation.finding import Endpoint, Finder, NotFound, in_order, is_public
from immpd.federation.resolving import Association, DnsResolver, Service


def finder(names: NameServer, *, private: bool = False, hosts: dict[str, str] | None = None) -> Finder:
    resolver = DnsResolver([names.address], seconds=2)
    return Finder(resolver, hosts or {}, allow_private=private, random=Random(1).random)


def where(endpoints: tuple[Endpoint, ...]) -> list[str]:
    return [f"{one.address} {one.port} {one.host}" for one in endpoints]


async def test_services_in_their_order_with_their_ports(names: NameServer) -> None:
    names.add("_immp._tcp.b.test", "SRV", "20 0 4025 second.b.test.", "10 0 2025 first.b.test.")
    names.add("first.b.test", "A", "8.8.8.1")
    names.add("first.b.test", "AAAA", "2600::1", "2600::2")
    names.add("second.b.test", "A", "8.8.8.2")
    found = where(await finder(names).find("b.test"))
    assert found[0].startswith("2600::")
    assert found[1] == "8.8.8.1 2025 first.b.test"
    assert found[2].startswith("2600::")
    assert found[3] == "8.8.8.2 4025 second.b.test"


async def test_a_domain_without_services_is_found_at_its_own_addresses(names: NameServer) -> None:
    names.add("b.test", "A", "8.8.8.1")
    assert where(await finder(names).find("b.test")) == ["8.8.8.1 1025 b.test"]


async def test_a_domain_that_says_it_takes_nothing(names: NameServer) -> None:
    names.add("_immp._tcp.b.test", "SRV", "0 0 0 .")
    names.add("b.test", "A", "8.8.8.1")
    with pytest.raises(NotFound, match="takes no messages") as refused:
        await finder(names).find("b.test")
    assert refused.value.final


async def test_a_domain_that_is_not_there(names: NameServer) -> None:
    with pytest.raises(NotFound, match=r"no b\.test in DNS") as refused:
        await finder(names).find("b.test")
    assert refused.value.final


async def test_where_dns_fails_a_later_time_may_help(names: NameServer) -> None:
    names.fails = True
    with pytest.raises(NotFound) as refused:
        await finder(names).find("b.test")
    assert not refused.value.final


async def test_one_dead_target_does_not_hide_the_others(names: NameServer) -> None:
    names.add("_immp._tcp.b.test", "SRV", "10 0 1025 gone.b.test.", "20 0 1025 here.b.test.")
    names.add("here.b.test", "A", "8.8.8.1")
    assert where(await finder(names).find("b.test")) == ["8.8.8.1 1025 here.b.test"]


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0"])
async def test_nobody_is_led_to_a_private_address_by_dns(names: NameServer, address: str) -> None:
    names.add("b.test", "A", address)
    names.add("_immp._tcp.c.test", "SRV", "10 0 1025 b.test.", "20 0 1025 d.test.")
    names.add("d.test", "A", "8.8.8.1")
    with pytest.raises(NotFound, match="no public address") as refused:
        await finder(names).find("b.test")
    assert not refused.value.final  # nothing is lost while somebody lies
    assert where(await finder(names).find("c.test")) == ["8.8.8.1 1025 d.test"]
    assert where(await finder(names, private=True).find("b.test")) == [f"{address} 1025 b.test"]


async def test_an_address_in_place_of_a_target_is_no_way_in(names: NameServer) -> None:
    names.add("_immp._tcp.b.test", "SRV", "10 0 22 127.0.0.1.")
    with pytest.raises(NotFound):
        await finder(names).find("b.test")


async def test_dns_leads_nobody_to_the_port_of_another_service(names: NameServer) -> None:
    names.add("mail.b.test", "A", "8.8.8.1")
    names.add("_immp._tcp.b.test", "SRV", "10 0 25 mail.b.test.")
    names.add("_immp._tcp.c.test", "SRV", "10 0 25 mail.b.test.", "20 0 443 mail.b.test.")
    with pytest.raises(NotFound, match="port 25") as refused:
        await finder(names).find("b.test")
    assert not refused.value.final
    assert where(await finder(names).find("c.test")) == ["8.8.8.1 443 mail.b.test"]
    assert where(await finder(names, hosts={"b.test": "10.0.0.1:25"}).find("b.test")) == ["10.0.0.1 25 10.0.0.1"]


async def test_the_operators_word_goes_before_dns_and_may_be_private(names: NameServer) -> None:
    names.add("b.test", "A", "8.8.8.1")
    names.add("box.lan", "A", "10.0.0.5")
    hosts = {"b.test": "127.0.0.1:4025", "c.test": "box.lan"}
    assert where(await finder(names, hosts=hosts).find("b.test")) == ["127.0.0.1 4025 127.0.0.1"]
    assert where(await finder(names, hosts=hosts).find("c.test")) == ["10.0.0.5 1025 box.lan"]
    assert [name for name, _ in names.asked if name == "b.test"] == []


async def test_what_is_proved_from_the_domain_to_the_port_has_its_associations(names: NameServer) -> None:
    names.add("_immp._tcp.b.test", "SRV", "10 0 1025 mail.b.test.")
    names.add("mail.b.test", "A", "8.8.8.1")
    names.add("_1025._tcp.mail.b.test", "TLSA", "3 1 1 " + "ab" * 32)
    names.validated |= {"_immp._tcp.b.test", "mail.b.test", "_1025._tcp.mail.b.test"}
    (one,) = await finder(names).find("b.test")
    assert one.validated
    assert one.associations == (Association(3, 1, 1, b"\xab" * 32),)
    for unproved in tuple(names.validated):
        names.validated.remove(unproved)
        (one,) = await finder(names).find("b.test")
        assert one.associations == ()
        assert one.validated == (unproved == "_1025._tcp.mail.b.test")
        names.validated.add(unproved)


async def test_hidden_associations_are_no_way_around_them(names: NameServer) -> None:
    """Who can keep the answer away must not make a connection less safe (RFC 7672, section 2.1)."""
    names.add("b.test", "A", "8.8.8.1")
    names.validated |= {"_immp._tcp.b.test", "b.test"}
    names.silent.add("_1025._tcp.b.test")
    with pytest.raises(NotFound) as refused:
        await finder(names).find("b.test")
    assert not refused.value.final


def test_weights_divide_a_priority_by_chance() -> None:
    heavy, light, last = Service(1, 90, 1, "heavy"), Service(1, 10, 1, "light"), Service(2, 100, 1, "last")
    random = Random(7).random
    orders = [in_order([last, light, heavy], random) for _ in range(1000)]
    assert all(order[2] == last for order in orders)
    first = Counter(order[0].target for order in orders)
    assert 850 < first["heavy"] < 950


def test_a_weight_of_nothing_is_still_tried() -> None:
    services = [Service(1, 0, 1, "a"), Service(1, 0, 1, "b"), Service(1, 5, 1, "c")]
    assert {one.target for one in in_order(services, Random(1).random)} == {"a", "b", "c"}
    assert len(in_order(services, lambda: 1.0)) == 3
    assert len(in_order(services, lambda: 0.0)) == 3


@pytest.mark.parametrize("address", ["8.8.8.8", "2600::1", "64:ff9b::808:808"])
def test_a_public_address(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "0.0.0.0",
        "192.0.2.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "::127.0.0.1",
        "fec0::1",
        "5f00::1",
    ],
)
def test_no_public_address(address: str) -> None:
    assert not is_public(address)
