"""The states, and what leads from one to the next."""

import pytest

from immpd.protocol.commands import AuthResponse, Quit, Upgrade
from immpd.protocol.registry import BY_REQUEST, COMMANDS, KEYWORDS, Command
from immpd.protocol.states import EVERY, MEMBER, NEEDED, OPERATOR, SENDER, STATE_NAMES, TLS_UP, TRANSITIONS, State


def test_every_state_has_its_words() -> None:
    assert set(STATE_NAMES) == set(NEEDED) == set(State)
    assert len(set(STATE_NAMES.values())) == len(set(NEEDED.values())) == len(State)


def test_what_moves_is_a_command_of_that_state() -> None:
    for before, name, after in TRANSITIONS:
        assert before in KEYWORDS[name].states
        assert before < after
        assert after in EVERY


def test_every_state_but_the_operators_is_reached_or_begins() -> None:
    reached = {after for _, _, after in TRANSITIONS} | {State.CLEAR, State.OPERATOR}
    assert reached == set(State) - {State.DOMAIN}  # domains come with federation


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_its_states(command: Command) -> None:
    assert command.states
    assert command.states <= EVERY


def test_in_clear_there_are_two_commands() -> None:
    in_clear = [command.request for command in COMMANDS if State.CLEAR in command.states]
    assert in_clear == [Upgrade, Quit]
    assert BY_REQUEST[Upgrade].states == {State.CLEAR}
    assert BY_REQUEST[AuthResponse].states == {State.UNAUTHENTICATED}


def test_sets() -> None:
    assert EVERY - {State.CLEAR} == TLS_UP
    assert MEMBER < SENDER < TLS_UP
    assert {State.OPERATOR} == OPERATOR
