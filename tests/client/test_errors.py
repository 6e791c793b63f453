"""Refusals as they are read from a line."""

import importlib
import inspect
import pkgutil

import pytest

import immpd.client
import immpd.model
import immpd.net
import immpd.protocol
from immpd.client import ImmpError, Server, at, errors
from immpd.client.composing import imids_of
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


PACKAGES = (immpd.client, immpd.model, immpd.net, immpd.protocol)
MODULES = [name for one in PACKAGES for _, name, _ in pkgutil.iter_modules(one.__path__, f"{one.__name__}.")]


@pytest.mark.parametrize("name", MODULES)
def test_every_error_that_the_library_can_raise_has_the_one_base(name: str) -> None:
    for _, kind in inspect.getmembers(importlib.import_module(name), inspect.isclass):
        if issubclass(kind, Exception) and kind.__module__.startswith("immpd."):
            assert issubclass(kind, immpd.client.ImmpError), f"{kind} is no ImmpError"


def test_every_error_of_a_caller_is_exported() -> None:
    for name in errors.__all__:
        if isinstance(getattr(errors, name), type):
            assert getattr(immpd.client, name) is getattr(errors, name)
            assert name in immpd.client.__all__


def test_a_value_that_cannot_be_one_is_an_error_of_the_library() -> None:
    wrongs = (lambda: at("/inbox", "x"), lambda: Server.parse(":25"), lambda: imids_of("two words"))
    for wrong in wrongs:
        with pytest.raises(ImmpError) as caught:
            wrong()
        assert isinstance(caught.value, ValueError)
