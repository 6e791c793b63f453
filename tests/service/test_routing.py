"""Where names lead, for each purpose, and that nobody else decides it."""

import ast
from pathlib import Path
from typing import Any

import pytest
from tests.service.driving import account, answers, deliver, services_in

import immpd.service.routing as routing
from immpd.model.imid import Imid, parse_imid
from immpd.model.news import SessionsEnd, WhyEnded
from immpd.protocol.commands import AccountDisable, PublishCreate
from immpd.protocol.errors import Refused
from immpd.protocol.states import State
from immpd.service.outcome import Step
from immpd.service.routing import DELIVER, FEED, PUSH, Local, Purpose, Remote, Routes, item_name, no_route, node_name
from immpd.service.session import Services, Session
from immpd.store.accounts.directory import Account, ByAddress, MailingList, Recipient, account_by_address

SERVICE = Path(routing.__file__).parent
ITEM = "#0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60"
ROUTES = Routes(frozenset({"a.test", "b.test"}))

HERE = "here"
TABLE = {
    # name                           DELIVER           PUSH              PUBLISH, SUBSCRIBE
    "bob@a.test":                   (HERE,             HERE,             "BAD-NODE"),
    "Bob@B.test":                   (HERE,             HERE,             "BAD-NODE"),
    "helpdesk/bob@a.test":          (HERE,             HERE,             HERE),
    "bob+lists@a.test":             ("/inbox/lists",   "BAD-RECIPIENT",  "BAD-NODE"),
    "bob+Lists@a.test":             ("/inbox/lists",   "BAD-RECIPIENT",  "BAD-NODE"),
    "bob+junk@a.test":              (HERE,             "BAD-RECIPIENT",  "BAD-NODE"),
    "bob+g-abc@a.test":             ("/inbox/g-abc",   "grant abc",      "BAD-NODE"),
    "bob@a.test/news":              ("BAD-RECIPIENT",  "BAD-RECIPIENT",  HERE),
    f"bob/news@a.test{ITEM}":       ("BAD-RECIPIENT",  "BAD-RECIPIENT",  HERE),
    "bob/news@a.test?x=1":          ("BAD-RECIPIENT",  "BAD-RECIPIENT",  HERE),
    "bob/news@a.test::*":           ("BAD-RECIPIENT",  "BAD-RECIPIENT",  "BAD-NODE"),
    "/inbox":                       ("BAD-RECIPIENT",  "BAD-RECIPIENT",  "BAD-NODE"),
    "bob@c.test":                   ("c.test",         "c.test",         "BAD-NODE"),
    "bob+lists@c.test":             ("c.test",         "BAD-RECIPIENT",  "BAD-NODE"),
    "bob/news@c.test":              ("c.test",         "c.test",         "c.test"),
    "bob@sub.a.test":               ("sub.a.test",     "sub.a.test",     "BAD-NODE"),
}  # fmt: skip


def said(place: Local | Remote | Refused, purpose: Purpose) -> str:
    if isinstance(place, Local):
        if purpose is PUSH:
            return f"grant {place.imid.grant}" if place.imid.grant else HERE
        return place.folder or HERE
    return place.domain if isinstance(place, Remote) else place.word


@pytest.mark.parametrize("name", TABLE)
def test_where_a_name_leads(name: str) -> None:
    imid = parse_imid(name)
    assert tuple(said(ROUTES.lead(imid, purpose), purpose) for purpose in (DELIVER, PUSH, FEED)) == TABLE[name]


@pytest.mark.parametrize(
    ("purpose", "text"),
    [
        (DELIVER, "c.test is not served here, and delivery to other domains is not available yet"),
        (PUSH, "c.test is not served here, and other domains cannot be notified yet"),
        (FEED, "c.test is not served here, and feeds of other domains are not available yet"),
    ],
)
def test_of_another_domain_each_purpose_says_what_it_cannot(purpose: Purpose, text: str) -> None:
    assert no_route(Remote("c.test"), purpose).text == text


def test_a_node_written_as_a_path_is_named_in_one_form() -> None:
    place = ROUTES.lead(parse_imid("bob@a.test/News"), FEED)
    assert place == Local(Imid("bob/news", "a.test"))


def test_what_leads_nowhere_is_decided_in_one_place() -> None:
    """Nobody else refuses another domain, or looks up who gets a message."""
    found = set()
    for path in SERVICE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            named = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if named in ("NO_ROUTE", "find_recipients", "as_node"):
                found.add(str(path.relative_to(SERVICE)))
    assert found == {"routing.py"}


@pytest.fixture
async def alice(tmp_path: Path):
    """Alice's session; Bob is there, too."""
    async with services_in(tmp_path, domains=("a.test",)) as services:
        await account(services, "bob@a.test")
        yield await account(services, "alice@a.test")


async def account_of(services: Services, address: str) -> Account:
    found = await services.store.read(account_by_address(ByAddress(address)))
    assert found is not None
    return found


class Found:
    """Asks where messages of somebody go, as DELIVER does."""

    def __init__(self, services: Services, sender: str) -> None:
        self.services = services
        self.sender = sender
        self.asked_store = False

    async def __call__(self, *names: str) -> list[Any]:
        kept: list[Any] = []
        own = await account_of(self.services, self.sender)

        def then(found: Any, sender: Recipient | None) -> Any:
            assert sender is not None
            assert sender.mailbox == own.mailbox
            kept.extend(found)

        outcome = self.services.routes.find([parse_imid(name) for name in names], own, then)
        self.asked_store = isinstance(outcome, Step)
        if isinstance(outcome, Step):
            outcome.then(await self.services.store.read(outcome.unit))
        return kept


async def test_who_gets_a_message(alice: Session) -> None:
    await answers(alice, PublishCreate(node=parse_imid("alice/list@a.test"), list=True))
    await answers(alice, PublishCreate(node=parse_imid("alice/news@a.test")))
    names = ["bob@a.test", "nobody@a.test", "alice/list@a.test", "alice/news@a.test", "eve@c.test", "bob@a.test/INBOX"]
    there, nobody, list_, news, other, path = await Found(alice.services, "alice@a.test")(*names)
    assert isinstance(there, Recipient)
    assert there.mailbox == (await account_of(alice.services, "bob@a.test")).mailbox
    assert (nobody.word, news.word, path.word) == ("NO-RECIPIENT", "NO-RECIPIENT", "BAD-RECIPIENT")
    assert list_ == MailingList("alice/list@a.test")
    assert other == Remote("c.test")


async def test_of_a_plain_address_that_was_found_the_store_is_not_asked_again(alice: Session) -> None:
    found = Found(alice.services, "alice@a.test")
    for _ in range(2):
        await found("bob@a.test", "eve@c.test")
    assert not found.asked_store
    for name in ("bob+news@a.test", "nobody@a.test"):
        for _ in range(2):
            await found(name)
            assert found.asked_store, name


async def test_who_was_disabled_is_not_found_and_who_is_enabled_is(alice: Session) -> None:
    found = Found(alice.services, "alice@a.test")
    (before,) = await found("bob@a.test")
    operator = Session(alice.services, State.OPERATOR)
    await answers(operator, AccountDisable(address=parse_imid("bob@a.test"), disabled=True))
    (refused,) = await found("bob@a.test")
    assert refused.word == "NO-RECIPIENT"
    await answers(operator, AccountDisable(address=parse_imid("bob@a.test"), disabled=False))
    assert await found("bob@a.test") == [before]
    assert (await deliver(alice, "bob@a.test")).rows[0].outcome == "delivered"


@pytest.mark.parametrize("why", ["disabled", "removed"])
async def test_who_was_closed_by_another_process_is_asked_for_again(alice: Session, why: WhyEnded) -> None:
    found = Found(alice.services, "alice@a.test")
    await found("bob@a.test")
    alice.services.bus.publish([SessionsEnd("alice@a.test", "ended"), SessionsEnd("bob@a.test", "password")])
    await found("bob@a.test")
    assert not found.asked_store
    alice.services.bus.publish([SessionsEnd("bob@a.test", why)])
    await found("bob@a.test")
    assert found.asked_store
    await found("bob@a.test")
    assert not found.asked_store


async def test_where_news_were_lost_everybody_is_asked_for_again(alice: Session) -> None:
    found = Found(alice.services, "alice@a.test")
    await found("bob@a.test")
    alice.services.bus.gap()
    await found("bob@a.test")
    assert found.asked_store


async def test_what_is_known_of_recipients_is_bounded(alice: Session) -> None:
    for name in ("b", "c", "d"):
        await account(alice.services, f"{name}@a.test")
    alice.services.routes = Routes(frozenset({"a.test"}), most_known=3)
    found = Found(alice.services, "alice@a.test")
    await found("b@a.test", "c@a.test")
    await found("b@a.test", "c@a.test")
    assert not found.asked_store
    await found("d@a.test")
    await found("b@a.test")
    assert found.asked_store


async def test_nodes_and_items_by_their_names(alice: Session) -> None:
    assert node_name(alice, parse_imid("alice@a.test/news")).address == "alice/news@a.test"
    node, uuid = item_name(alice, parse_imid(f"alice/news@a.test{ITEM}"))
    assert (node, len(uuid)) == ("alice/news@a.test", 16)
    for what, name, word in (
        (node_name, f"alice/news@a.test{ITEM}", "BAD-NODE"),
        (node_name, f"alice/news@c.test{ITEM}", "NO-ROUTE"),
        (item_name, "alice/news@a.test", "BAD-NODE"),
        (item_name, "alice/news@c.test", "NO-ROUTE"),
        (item_name, "alice@a.test", "BAD-NODE"),
    ):
        with pytest.raises(Refused) as caught:
            what(alice, parse_imid(name))
        assert caught.value.word == word, name
