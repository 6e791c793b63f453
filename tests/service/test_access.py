"""Every command says what it wants of a mailbox, and nobody else decides about one."""

import ast
from pathlib import Path

import pytest
from tests.service.driving import account, services_in

import immpd.service.access as access
from immpd.model.imid import parse_imid
from immpd.protocol.commands import MboxFetch, MboxMove, MboxPut
from immpd.protocol.errors import Refused
from immpd.protocol.registry import COMMANDS
from immpd.protocol.states import State
from immpd.service.access import NO_MAILBOX, RIGHTS, Right, mailbox_of
from immpd.service.principal import Principal
from immpd.service.session import Session

SERVICE = Path(access.__file__).parent


def test_every_command_says_which_right_it_wants_or_that_it_touches_no_mailbox() -> None:
    assert {
        command.name for command in COMMANDS if (command.request in RIGHTS) == (command.request in NO_MAILBOX)
    } == set()


def test_a_second_path_wants_a_right_of_its_own() -> None:
    paths = {command.request for command in COMMANDS if {"path", "to"} <= set(command.request.__struct_fields__)}
    paths.remove(MboxPut)  # its TO are people
    assert {request for request, rights in RIGHTS.items() if len(rights) == 2} == paths


def test_the_mailbox_of_who_acts_is_found_in_one_place() -> None:
    """Others ask ``mailbox_of``; what is written here knows the account for another reason than a path."""
    found = set()
    for path in SERVICE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "mailbox" and "person" in ast.dump(node.value):
                found.add(str(path.relative_to(SERVICE)))
    assert found <= {"mail/delivery.py"}, found


@pytest.fixture
async def alice(tmp_path: Path):
    async with services_in(tmp_path) as services:
        yield await account(services, "alice@a.test")


async def test_the_own_mailbox_by_each_of_its_names(alice: Session) -> None:
    own = alice.principal.person.mailbox
    fetch = MboxFetch(path=parse_imid("/inbox"))
    assert mailbox_of(alice, fetch) == own
    assert mailbox_of(alice, fetch, parse_imid("/inbox")) == own
    assert mailbox_of(alice, fetch, parse_imid("Alice@A.test/inbox")) == own


async def test_the_mailbox_of_somebody_else_wants_the_right_of_the_command(alice: Session) -> None:
    there = parse_imid("bob@a.test/inbox")
    with pytest.raises(Refused, match=r"NO-RIGHT.*read.*bob@a\.test"):
        mailbox_of(alice, MboxFetch(path=there), there)
    move = MboxMove(path=there, to=there)
    with pytest.raises(Refused, match="delete"):
        mailbox_of(alice, move, there)
    with pytest.raises(Refused, match="write"):
        mailbox_of(alice, move, there, target=True)


async def test_who_is_nobody_has_no_mailbox(alice: Session) -> None:
    nobody = Session(alice.services, State.UNAUTHENTICATED)
    with pytest.raises(Refused, match="STATE"):
        mailbox_of(nobody, MboxFetch(path=parse_imid("/inbox")))
    assert Principal().account is None
    assert Right("send-as") is Right.SEND_AS
