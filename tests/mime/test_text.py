"""Octets to text: every codec is survived, nothing unsafe is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immpd.mime.text import _CODECS, clean_line, clean_text, decode, decode_words, size_text


@given(st.sampled_from(sorted(_CODECS)), st.binary(max_size=60))
def test_no_charset_raises(charset: str, octets: bytes) -> None:
    decode(octets, charset)


@pytest.mark.parametrize("charset", ["punycode", "idna", "zlib", "unicode_escape", "../../x", "x" * 100, "", "rot13"])
def test_what_is_no_charset_is_utf_8_or_windows_1252(charset: str) -> None:
    assert decode("é€".encode(), charset) == "é€"
    assert decode(b"\xe9\x80", charset) == "é€"


@pytest.mark.parametrize("charset", ["UTF-8", "utf8", "unicode-1-1-utf-8", "us-ascii"])
def test_names_of_utf_8(charset: str) -> None:
    assert decode("é".encode(), charset) == "é"


def test_lines_and_texts_are_cleaned() -> None:
    assert clean_line("a\tb\r\n\x7f\x85\u2028\u202e\u200f\ud800") == "a b" + "\ufffd" * 8
    assert clean_text("a\tb\r\nc\rd\x1b\u2028\u202e\u200f\ud800") == "a\tb\nc\nd\ufffd\ufffd\ufffd\u200f\ufffd"


def test_what_nobody_sees_is_marked_in_a_line_and_left_out_of_a_text() -> None:
    hidden = "pay\u200bpal \U000e0041 👨\u200d👧 Wort\u00adteil"
    assert clean_line(hidden) == "pay\ufffdpal \ufffd 👨\u200d👧 Wort\ufffdteil"
    assert clean_text(hidden) == "paypal  👨\u200d👧 Wortteil"


def test_encoded_words() -> None:
    assert decode_words("=?utf-8?q?a_b?= =?utf-8?b?w7Y=?= c") == "a bö c"
    assert decode_words("é \\u0041 =?utf-8*en?q?=C3=B6?= Ж") == "é \\u0041 ö Ж"
    assert decode_words("=?utf-8?b?w7Y?= =?x?b?A?=") == "=?utf-8?b?w7Y?= =?x?b?A?="
    assert decode_words("=?utf-8?q?=C3?=\t=?utf-8?q?=A9?=") == "é"
    assert decode_words("x=?utf-8?x?a?= =?utf-8?q?unclosed") == "x=?utf-8?x?a?= =?utf-8?q?unclosed"


@given(st.text(alphabet="=?utf-8bqQB_ =?\n\\é", max_size=60))
def test_encoded_words_of_anything(text: str) -> None:
    decode_words(text)


def test_sizes_for_people() -> None:
    assert [size_text(n) for n in (0, 1023, 1024, 12_595, 4 << 20)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "12.3 KiB",
        "4.0 MiB",
    ]
