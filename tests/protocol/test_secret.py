"""K(h, n1, n2) of AUTH SECRET."""

import hashlib
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immpd.protocol.secret import secret_key, secret_matches

H = bytes.fromhex("c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d")
N1 = UUID("0193B3E4-7C1A-7000-8000-0123456789AB")
N2 = 1_735_689_600


def test_the_key_is_the_hash_of_the_three_texts_joined() -> None:
    joined = (
        b"c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d"
        b"0193b3e4-7c1a-7000-8000-0123456789ab"
        b"1735689600"
    )
    assert secret_key(H, N1, N2) == hashlib.sha1(joined).hexdigest()


def test_the_answer_matches_in_either_case() -> None:
    assert secret_matches(H, N1, N2, secret_key(H, N1, N2))
    assert secret_matches(H, N1, N2, secret_key(H, N1, N2).upper())


@pytest.mark.parametrize("answer", ["", "0" * 40, "é", "\ud800", "x" * 10_000])
def test_other_answers_do_not(answer: str) -> None:
    assert not secret_matches(H, N1, N2, answer)


@given(st.integers(0, 2**40), st.uuids())
def test_every_nonce_counts(n2: int, n1: UUID) -> None:
    assert secret_matches(H, N1, N2, secret_key(H, n1, n2)) == ((n1, n2) == (N1, N2))
