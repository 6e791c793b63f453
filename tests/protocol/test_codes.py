"""The table of status codes."""

from immpd.protocol.codes import Code, describe
from immpd.protocol.registry import COMMANDS, COMMON_CODES

GREETING = {Code.GREETING, Code.CAPABILITIES, Code.UPGRADE_METHOD}


def test_each_number_and_each_meaning_is_used_once() -> None:
    members = Code.__members__
    assert len(members) == len(set(members.values())) == len({code.meaning for code in members.values()})
    for name, code in members.items():
        assert code.name == name  # an alias has the name of another
        assert describe(int(code)) is code


def test_every_code_answers_something() -> None:
    used = {code for command in COMMANDS for code in command.codes}
    assert used | COMMON_CODES | GREETING == set(Code)


def test_classes() -> None:
    for code in Code:
        assert code // 100 in (1, 2, 3, 4, 7)
        assert code.meaning[0].isupper()
        if code >= 400:
            assert code.final
        if code.closes:
            assert code.final
    assert not Code.READY.final
    assert {code for code in Code if not code.final} == {
        Code.GREETING,
        Code.UPGRADE_METHOD,
        Code.BLOCK,
        Code.READY,
        Code.NONCES,
        Code.METADATA,
    }


def test_what_closes() -> None:
    assert {code for code in Code if code.closes} == {
        Code.GOODBYE,
        Code.ATTEMPTS,
        Code.OUT_OF_STEP,
        Code.BOUND,
        Code.SHUTDOWN,
        Code.UNKNOWN_OUTCOME,
    }


def test_numbers_of_another_version() -> None:
    assert describe(299) is None
    assert describe(0) is None
