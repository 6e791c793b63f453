"""Refusals as they are read from a line."""

import pytest

from immpd.client.errors import read_refusal
from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
from immpd.protocol.lines import Line


@pytest.mark.parametrize(
    "error",
    [
        Refused(Code.NOT_FOUND, "NO-FOLDER", "There is no folder /x; MBOX LIST shows them"),
        Refused(Code.TEMPORARY, "STORE-FULL", "No room", 60),
    ],
)
def test_a_refusal_is_read_as_it_was_said(error: Refused) -> None:
    read = read_refusal(Line(int(error.code), error.line_text()))
    assert (read.code, read.word, read.text, read.retry) == (error.code, error.word, error.text, error.retry)


def test_retry_counts_only_at_its_place() -> None:
    assert read_refusal(Line(750, "[INTERNAL] The server failed; retry=5 stands in the text")).retry is None


def test_an_unknown_code_keeps_its_class_and_number() -> None:
    read = read_refusal(Line(499, "[NEW] Something of a later version"))
    assert (read.code, read.word) == (Code.CONFLICT, "NEW")
    assert "499" in read.text
    assert read_refusal(Line(799, "What")).code is Code.INTERNAL
