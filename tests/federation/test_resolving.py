import asyncio

import pytest
from tests.federation.name_server import NameServer
from tests.serving import ManualClock

from immpd.federation.resolving import (
    Answer,
    Association,
    CannotTell,
    DnsResolver,
    Kind,
    Remembering,
    Service,
)


def resolver(names: NameServer, *, believed: bool = False) -> DnsResolver:
    return DnsResolver([names.address], believed=believed, seconds=2)


async def test_addresses_and_services(names: NameServer) -> None:
    names.add("b.test", "A", "192.0.2.1", "192.0.2.2")
    names.add("b.test", "AAAA", "2001:db8::1")
    names.add("_immp._tcp.b.test", "SRV", "10 5 1025 mail.b.test.", "20 0 4025 .")
    names.add("_1025._tcp.mail.b.test", "TLSA", "3 1 1 " + "ab" * 32)
    asked = resolver(names)
    assert set((await asked.ask("b.test", "A")).records) == {"192.0.2.1", "192.0.2.2"}
    assert (await asked.ask("b.test", "AAAA")).records == ("2001:db8::1",)
    assert set((await asked.ask("_immp._tcp.b.test", "SRV")).records) == {
        Service(10, 5, 1025, "mail.b.test"),
        Service(20, 0, 4025, ""),
    }
    found = await asked.ask("_1025._tcp.mail.b.test", "TLSA")
    assert found.records == (Association(3, 1, 1, b"\xab" * 32),)


async def test_what_is_not_there_is_an_answer_with_its_own_time(names: NameServer) -> None:
    names.add("b.test", "A", "192.0.2.1")
    gone = await resolver(names).ask("c.test", "A")
    assert (gone.records, gone.exists, gone.seconds) == ((), False, 60)
    without = await resolver(names).ask("b.test", "AAAA")
    assert (without.records, without.exists, without.seconds) == ((), True, 60)


async def test_a_server_that_fails_is_no_answer(names: NameServer) -> None:
    names.fails = True
    with pytest.raises(CannotTell, match=r"b\.test"):
        await resolver(names).ask("b.test", "A")


async def test_a_name_that_none_can_have_is_no_answer(names: NameServer) -> None:
    with pytest.raises(CannotTell):
        await resolver(names).ask(f"{'a' * 64}.test", "A")


async def test_validation_counts_where_the_resolver_is_believed(names: NameServer) -> None:
    names.add("b.test", "A", "192.0.2.1")
    names.add("c.test", "A", "192.0.2.1")
    names.validated.add("b.test")
    here = resolver(names)  # on this machine
    assert (await here.ask("b.test", "A")).validated
    assert not (await here.ask("c.test", "A")).validated


class Counting:
    """A resolver whose answers the test gives."""

    def __init__(self, *answers: Answer | CannotTell) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def ask(self, name: str, kind: Kind) -> Answer:
        self.asked += 1
        await self.gate.wait()
        answer = self.answers.pop(0)
        if isinstance(answer, CannotTell):
            raise answer
        return answer


def one(address: str, seconds: int) -> Answer:
    return Answer((address,), seconds, False)


async def test_an_answer_is_kept_as_long_as_it_holds(clock: ManualClock) -> None:
    behind = Counting(one("192.0.2.1", 300), one("192.0.2.2", 300))
    kept = Remembering(behind, clock.monotonic)
    assert (await kept.ask("b.test", "A")).records == ("192.0.2.1",)
    clock.advance(299)
    assert (await kept.ask("B.test", "A")).records == ("192.0.2.1",)
    clock.advance(1)
    assert (await kept.ask("b.test", "A")).records == ("192.0.2.2",)
    assert behind.asked == 2


async def test_a_failure_is_not_kept(clock: ManualClock) -> None:
    kept = Remembering(Counting(CannotTell("no"), one("192.0.2.1", 300)), clock.monotonic)
    with pytest.raises(CannotTell):
        await kept.ask("b.test", "A")
    assert (await kept.ask("b.test", "A")).records == ("192.0.2.1",)


async def test_the_same_question_at_once_is_asked_once_and_outlives_who_asked_first(clock: ManualClock) -> None:
    behind = Counting(one("192.0.2.1", 300))
    behind.gate.clear()
    kept = Remembering(behind, clock.monotonic)
    first, second = (asyncio.ensure_future(kept.ask("b.test", "A")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    behind.gate.set()
    assert (await second).records == ("192.0.2.1",)
    assert behind.asked == 1
