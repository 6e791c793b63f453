"""Ids of other messages."""

import pytest

from immpd.model.references import MAX_LENGTH, MAX_REFERENCES, bounded, read_reference

UUID_TEXT = "0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (UUID_TEXT, UUID_TEXT),
        (UUID_TEXT.upper(), UUID_TEXT),
        (f"<{UUID_TEXT}@a.example>", UUID_TEXT),
        ("<CAF=x+y@mail.example>", "CAF=x+y@mail.example"),
        ("a1", "a1"),
        ("x" * 36, "x" * 36),
        ("ü@a.example", "ü@a.example"),
    ],
)
def test_an_id_is_read(written: str, read: str) -> None:
    assert read_reference(written) == read


@pytest.mark.parametrize("written", ["", "<>", "a b", "<a> <b>", "a\u202eb", "a\x00b", "x" * (MAX_LENGTH + 1)])
def test_what_is_no_id_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="UUID or a Message-ID"):
        read_reference(written)


def test_of_too_many_the_first_and_the_last_are_kept() -> None:
    every = [f"{number}@a.example" for number in range(MAX_REFERENCES + 50)]
    kept = bounded(every)
    assert (len(kept), kept[0], kept[1], kept[-1]) == (MAX_REFERENCES, every[0], every[51], every[-1])
    assert bounded(every[:3]) == tuple(every[:3])
