"""The part of a cursor that stands for an item: read back by who wrote it, and by nobody else."""

from hypothesis import given
from hypothesis import strategies as st

from immpd.service.feeds.cursors import ItemCursors

ONE, OTHER = ItemCursors(bytes(32)), ItemCursors(b"x" * 32)


@given(st.integers(0, (1 << 63) - 1))
def test_a_number_comes_back(number: int) -> None:
    written = ONE.octets(number).decode()
    assert ONE.number(written) == number
    assert OTHER.number(written) is None
    assert str(number) not in written or number < 10**6


@given(st.text(max_size=30))
def test_what_was_never_written_is_no_number(text: str) -> None:
    assert ONE.number(text) is None


def test_neighbours_have_nothing_in_common() -> None:
    pairs = [(ONE.octets(n), ONE.octets(n + 1)) for n in range(100)]
    assert max(sum(x == y for x, y in zip(a, b, strict=True)) for a, b in pairs) < 6
