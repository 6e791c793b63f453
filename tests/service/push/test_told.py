"""What the sender of a notification is told."""

from typing import get_args

from immpd.service.push.pushing import ARRIVED, REFUSED
from immpd.store.push.admission import NotKept


def test_whatever_becomes_of_a_push_there_are_words_for_it():
    may_become = {one for literal in get_args(NotKept) for one in get_args(literal)}
    assert may_become | {"delivered", "updated"} == set(ARRIVED) | set(REFUSED)
