"""The pieces of an IMID: folder keys and percent-encoding."""

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immpd.model.imid import parse_imid
from immpd.model.names import (
    FOLDER_UNSAFE,
    OPTION_UNSAFE,
    ImidError,
    folder_key,
    is_reserved_folder,
    normalise_domain,
    normalise_segment,
    percent_decode,
    percent_encode,
    show_domain,
)

_NAMES = st.text(st.characters(codec="utf-8"))


def test_folder_key_is_stable_for_every_character() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if 0xD800 <= code <= 0xDFFF or not character.isprintable():
            continue
        key = folder_key(character)
        if key == character:
            continue
        assert folder_key(key) == key
        assert folder_key(unicodedata.normalize("NFD", character)) == key
        assert folder_key(character.casefold()) == key


@given(_NAMES)
def test_folder_key(name: str) -> None:
    key = folder_key(name)
    assert folder_key(key) == key
    assert folder_key(unicodedata.normalize("NFD", name)) == key
    assert folder_key(unicodedata.normalize("NFC", name)) == key


def test_folder_key_compares_without_case() -> None:
    assert folder_key("INBOX") == folder_key("inbox") == "inbox"
    assert folder_key("ÄRGER") == folder_key("a\u0308rger")
    assert folder_key("Straße") == folder_key("STRASSE")
    assert is_reserved_folder("Inbox")
    assert not is_reserved_folder("archive")


@given(_NAMES, st.sampled_from([FOLDER_UNSAFE, OPTION_UNSAFE]))
def test_percent_round_trip(text: str, unsafe: re.Pattern[str]) -> None:
    encoded = percent_encode(text, unsafe)
    assert percent_decode(encoded) == text
    assert not unsafe.search(encoded.replace("%", ""))


@given(st.one_of(st.text(max_size=20), st.text("aA1-.x\u0301äßſΣ", max_size=20)))
def test_normalisation_is_idempotent(text: str) -> None:
    for normalise in (normalise_segment, normalise_domain):
        try:
            canonical = normalise(text)
        except ImidError:
            continue
        assert normalise(canonical) == canonical


def test_every_character_as_a_name() -> None:
    # every 29th code point: quick, and with all planes in it
    for code in range(0, sys.maxunicode + 1, 29):
        try:
            canonical = normalise_segment("a" + chr(code))
        except ImidError:
            continue
        assert normalise_segment(canonical) == canonical


def test_a_domain_that_does_not_decode_is_shown_as_it_is() -> None:
    assert show_domain("xn--a.com") == "xn--a.com"


def test_an_error_cannot_forge_a_line() -> None:
    with pytest.raises(ImidError) as caught:
        normalise_segment("a\n250 fine")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [".", "..", "a/../b", "\uff0e\uff0e"])
def test_no_part_of_a_name_is_dots_alone(name: str) -> None:
    with pytest.raises(ImidError, match="dots alone"):
        parse_imid(f"{name}@a.com")


@pytest.mark.parametrize("path", ["/.", "/a/..", "/x\u200b", "/a\U000e0041", "alice@a.com/\u3164"])
def test_no_folder_is_dots_or_hides_something(path: str) -> None:
    with pytest.raises(ImidError):
        parse_imid(path)


def test_a_folder_may_have_what_emoji_and_scripts_need() -> None:
    assert parse_imid("/❤️/می\u200cخواهم").text == "/❤️/می\u200cخواهم"
