"""Skeletons of names: what looks alike is alike, what people tell apart stays apart."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from immpd.model.confusables import _LOOKS_LIKE, skeleton
from immpd.model.imid import ImidError
from immpd.model.names import normalise_segment


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("paypal", "раураl"),  # Cyrillic er, a, u
        ("apple", "аррӏе"),
        ("lily", "1i1y"),
        ("bob0", "bobo"),
        ("modern", "modem"),
        ("sawyer", "savvyer"),
        ("vivian", "νινιаn"),  # Greek nu, iota
        ("ali", "alı"),
        ("ali", "ali\u0307"),
        ("m̧ed", "m\u0326ed"),
        ("вика", "ʙиκа"),
        ("zoë", "zoё"),
        ("helpdesk/alice", "helpdesk/аlice"),
        ("scope", "ѕсоре"),
        ("straße", "strasse"),
        ("oσo", "ooο"),
        ("hans", "հans"),  # Armenian ho
    ],
)
def test_confusable(one: str, other: str) -> None:
    assert one != other
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("jose", "josé"),
        ("mail", "mall"),
        ("ian", "lan"),
        ("anna", "hanna"),
        ("a/b", "ab"),
        ("иван", "петр"),
        ("5", "s"),
    ],
)
def test_not_confusable(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)


@example("і\u0307\u030a")
@given(st.one_of(st.text(max_size=12), st.text("1l0omwrnvі\u0307\u030aiȷаӏ", max_size=12)))
def test_skeleton_is_idempotent_and_total(name: str) -> None:
    assert skeleton(skeleton(name)) == skeleton(name)


def test_ascii_takes_the_same_way_in_short() -> None:
    assert skeleton("Warm10|w") == skeleton("Warm10|w\u200d") == "vvarrnlolvv"


def test_the_table_holds_only_what_names_can_hold_and_nothing_twice() -> None:
    everything = "".join(_LOOKS_LIKE.values())
    assert len(set(everything)) == len(everything)
    for character in everything:
        try:
            normalise_segment("a" + character)
        except ImidError:
            try:
                normalise_segment(character)
            except ImidError:
                normalise_segment("l" + character + "l")
