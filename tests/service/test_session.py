"""Refusals that take much to provoke: what is too much, and what is just being done."""

import pytest
from tests.service.driving import account, answers, services_in

from immpd.model.imid import parse_imid
from immpd.protocol.codes import Code
from immpd.protocol.commands import (
    MboxCreate,
    MboxRemove,
    MboxRename,
    Publish,
    PublishCreate,
    Push,
    Subscribe,
    SubscribeSet,
)
from immpd.protocol.errors import Refused


async def counted(session, request):
    """The reply to a command with its octets right behind it."""
    draft = session.arrive(None, request)
    draft.whole(b"x" * request.length)
    return (await answers(session, request, draft))[0]


async def test_a_thousand_folders_below_one_are_too_many_for_one_step(tmp_path):
    async with services_in(tmp_path, max_folders=3000) as services:
        alice = await account(services, "alice@demo.test")
        await alice.call(MboxCreate(path=parse_imid("/top" + "/f" * 1000)))
        for request in (
            MboxRemove(path=parse_imid("/top"), recursive=True),
            MboxRename(path=parse_imid("/top"), to=parse_imid("/other")),
        ):
            with pytest.raises(Refused) as refused:
                await alice.call(request)
            assert (refused.value.code, refused.value.word) == (Code.LIMIT, "TOO-MUCH")


async def test_a_hundred_strangers_wait_and_no_more(tmp_path):
    domains = ("demo.test", *(f"stranger{number}.test" for number in range(101)))
    async with services_in(tmp_path, domains=domains) as services:
        await account(services, "alice@demo.test")
        outcomes = []
        for domain in domains[1:]:
            stranger = await account(services, f"noreply@{domain}")
            try:
                outcomes.append((await counted(stranger, Push(to=(parse_imid("alice@demo.test"),), length=2))).CODE)
            except Refused as error:
                outcomes.append(error.word)
        assert outcomes == [Code.DELIVERED] * 100 + ["TOO-MANY-REQUESTS"]


async def test_the_form_of_a_subscription_stands_while_an_item_is_delivered_to_it(tmp_path):
    async with services_in(tmp_path) as services:
        node = parse_imid("news/daily@demo.test")
        owner, alice = await account(services, "news@demo.test"), await account(services, "alice@demo.test")
        await owner.call(PublishCreate(node=node))
        await alice.call(Subscribe(to=node, mail=True))
        await counted(owner, Publish(node=node, length=2))
        with pytest.raises(Refused) as refused:  # nobody delivers here
            await alice.call(SubscribeSet(name=node, push=True))
        assert (refused.value.code, refused.value.word, refused.value.retry) == (Code.TEMPORARY, "BEING-DELIVERED", 5)
