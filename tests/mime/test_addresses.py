"""Address lists: structure before decoding, and no address where none is certain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immpd.mime.addresses import Address, read_addresses


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bob@x.example", [("", "bob@x.example")]),
        ("Bob Smith <Bob@X.example>", [("Bob Smith", "Bob@x.example")]),
        ("bob@x.example (Bob (the) Smith)", [("Bob (the) Smith", "bob@x.example")]),
        ('"Doe, J\\"" <j@x.example>, k@x.example', [('Doe, J"', "j@x.example"), ("", "k@x.example")]),
        ("team: a@x.example, b@x.example;, c@x.example", [("", f"{n}@x.example") for n in "abc"]),
        ("undisclosed-recipients:;", []),
        ("<@route.example,@r2.example:bob@x.example>", [("", "bob@x.example")]),
        ('"john doe"@x.example', [("", '"john doe"@x.example')]),
        ("bob @ x.example", [("", "bob@x.example")]),
        ("=?utf-8?q?a=2C_evil=40x=2Eexample?= <b@x.example>", [("a, evil@x.example", "b@x.example")]),
        ("Whomever", [("Whomever", "")]),
        ("a@b@c.example", [("a@b@c.example", "")]),
        ("Moderator <moderator>", [("Moderator <moderator>", "")]),
        ('"unclosed <a@x.example>', [("unclosed <a@x.example>", "")]),
        ("a\0@x.example", [("a\ufffd@x.example", "")]),
        ("two words@x.example", [("two words@x.example", "")]),
        (",,;,", []),
        ("", []),
    ],
)
def test_lists(text: str, found: list[tuple[str, str]]) -> None:
    assert [(a.name, a.address) for a in read_addresses(text)] == found


def test_a_name_that_looks_like_an_address_is_shown_quoted() -> None:
    assert str(Address('ceo@bank.example" <x', "evil@x.example")) == '"ceo@bank.example\\" <x" <evil@x.example>'


@given(st.text(alphabet='ab@.,;:<>()"\\ \t=?q\u202e', max_size=60))
def test_what_is_shown_reads_back_as_the_same_address(text: str) -> None:
    for address in read_addresses(text):
        if address.address:
            assert [a.address for a in read_addresses(str(address))] == [address.address]
