"""Whom an answer goes to, and what it quotes."""

import pytest

from immpd.client.answering import answer_to, forward_subject, forwarded, quote, reply_subject
from immpd.model.imid import parse_imid
from immpd.model.message import Envelope

ME = parse_imid("alice@a.test")
DATE = "2026-11-24T12:30:00Z"


def envelope(**fields) -> Envelope:
    return Envelope(**{"id": "e1", "from_": "bob@a.test", "date": DATE, "to": ("alice@a.test",), **fields})


def people(imids) -> list[str]:
    return [str(imid) for imid in imids]


@pytest.mark.parametrize(
    ("fields", "all_", "to", "cc"),
    [
        ({}, False, ["bob@a.test"], []),
        ({"to": ("alice@a.test", "carol@a.test"), "cc": ("dave@a.test",)}, False, ["bob@a.test"], []),
        (
            {"to": ("alice@a.test", "carol@a.test"), "cc": ("dave@a.test", "bob@a.test")},
            True,
            ["bob@a.test"],
            ["carol@a.test", "dave@a.test"],
        ),
        ({"reply_to": "Bob <bob@b.test>, team@b.test"}, False, ["bob@b.test", "team@b.test"], []),
        ({"reply_to": "nonsense"}, False, ["bob@a.test"], []),
        ({"author": "Eve <eve@e.test>"}, False, ["eve@e.test"], []),
        # Not to oneself: also as a plus-address; one's own message goes on to those who got it.
        ({"to": ("alice+lists@a.test", "carol@a.test")}, True, ["bob@a.test"], ["carol@a.test"]),
        ({"from_": "alice@a.test", "to": ("bob@a.test", "carol@a.test")}, False, ["bob@a.test", "carol@a.test"], []),
        (
            {"from_": "alice@a.test", "to": ("bob@a.test",), "cc": ("carol@a.test",)},
            True,
            ["bob@a.test"],
            ["carol@a.test"],
        ),
        ({"from_": "alice@a.test", "to": ("alice@a.test",)}, True, [], []),
        # A list: its writer alone, or all of it.
        ({"to": ("alice/club@a.test",), "headers": {"list-id": "bob/club@a.test"}}, False, ["bob@a.test"], []),
        (
            {"to": ("bob/club@a.test",), "cc": ("dave@a.test",), "headers": {"list-id": "bob/club@a.test"}},
            True,
            ["bob/club@a.test"],
            ["dave@a.test"],
        ),
    ],
)
def test_whom_an_answer_goes_to(fields, all_, to, cc) -> None:
    answer = answer_to(envelope(**fields), ME, all=all_)
    assert (people(answer.to), people(answer.cc)) == (to, cc)


@pytest.mark.parametrize(
    ("fields", "itself", "references"),
    [
        ({}, "e1", ("e1",)),
        ({"in_reply_to": "e0"}, "e1", ("e0", "e1")),
        ({"in_reply_to": "e0", "references": ("a", "e0")}, "e1", ("a", "e0", "e1")),
        ({"message_id": "m@x.test"}, "m@x.test", ("m@x.test",)),
    ],
)
def test_an_answer_is_tied_to_its_conversation(fields, itself, references) -> None:
    answer = answer_to(envelope(**fields), ME)
    assert (answer.in_reply_to, answer.references) == (itself, references)


def test_of_a_long_conversation_the_first_and_the_last_are_named() -> None:
    answer = answer_to(envelope(references=tuple(f"r{n}" for n in range(100))), ME)
    assert (len(answer.references), answer.references[0], answer.references[-1]) == (100, "r0", "e1")


@pytest.mark.parametrize(
    ("subject", "reply", "forward"),
    [
        ("Lunch", "Re: Lunch", "Fwd: Lunch"),
        ("Re: Lunch", "Re: Lunch", "Fwd: Re: Lunch"),
        ("RE: re:  AW: Re[2]: Lunch", "Re: Lunch", "Fwd: RE: re:  AW: Re[2]: Lunch"),
        ("Fwd: Lunch", "Re: Fwd: Lunch", "Fwd: Lunch"),
        ("Regarding lunch", "Re: Regarding lunch", "Fwd: Regarding lunch"),
        ("", "Re:", "Fwd:"),
    ],
)
def test_prefixes_stand_once(subject, reply, forward) -> None:
    assert (reply_subject(subject), forward_subject(subject)) == (reply, forward)


def test_a_subject_stays_within_its_bound() -> None:
    assert len(reply_subject("ü" * 1000).encode()) == 2000


def test_a_text_is_quoted_without_its_signature() -> None:
    said = quote(envelope(), "Noon?\n\n> earlier\n\n-- \nBob\n")
    assert said == "On 2026-11-24 12:30 UTC, bob@a.test wrote:\n> Noon?\n>\n>> earlier\n"


def test_what_is_forwarded_says_whose_it_was() -> None:
    said = forwarded(envelope(subject="Lunch", cc=("carol@a.test",)), "Noon?")
    assert said.endswith(
        "From: bob@a.test\nDate: 2026-11-24 12:30 UTC\nSubject: Lunch\nTo: alice@a.test\nCc: carol@a.test\n\nNoon?"
    )
